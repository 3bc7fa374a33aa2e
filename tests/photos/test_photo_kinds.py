"Pictures are what their content says; metadata never costs one; whatever is left out has its reason."

import builtins
import io
import os
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, features
from test_market1501 import POSE, write_table

from posegen.core import UserError, preset
from posegen.data.prepare import prepare
from posegen.metrics.folders import score_folders
from posegen.photos.estimators import estimate_folder
from posegen.photos.folders import files_below
from posegen.photos.images import read_image
from posegen.photos.inputs import read_photo
from posegen.photos.layouts import list_source

AVIF = ["AVIF"] if features.check("avif") else []
KINDS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", *AVIF]


def picture(seed=0, size=(64, 128)):
    colours = np.random.default_rng(seed).integers(0, 255, (4, 2, 3), np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)


def encoded(kind, image=None, **options):
    file = io.BytesIO()
    (image or picture()).save(file, kind, **options)
    return file.getvalue()


def ftyp(*brands):
    head = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (4 + len(head)).to_bytes(4) + head + bytes(200)


# what people's folders hold: name -> (content, whether it is taken)
PICTURES = {
    "a.jpg": encoded("JPEG", quality=95),
    "b.jfif": encoded("JPEG", quality=95),
    "c.JPE": encoded("JPEG", quality=95),
    "d.tif": encoded("TIFF"),
    "e.gif": encoded("GIF"),
    "g.jpg_large": encoded("JPEG", quality=95),
    "no suffix": encoded("PNG"),
    "i.HEIC": encoded("JPEG", quality=95),  # exported, and never renamed
    "j.png": encoded("WEBP", quality=95),
    "k.tiff": encoded("TIFF", compression="tiff_lzw"),
    "l.dat": encoded("BMP"),
    "m.png~": encoded("PNG"),
} | ({"f.avif": encoded("AVIF", quality=95)} if AVIF else {})
LEFT_OUT = {
    "clip.mp4": (ftyp(b"isom", b"mp41"), "is a video"),
    "clip.jpg": (ftyp(b"qt  "), "is a video"),
    "clip.mkv": (b"\x1aE\xdf\xa3" + bytes(99), "is a video"),
    "clip.avi": (b"RIFF\x10\0\0\0AVI LIST", "is a video"),
    "clip.mov": (b"", "is a video"),
    "IMG_1.jpeg": (ftyp(b"heic", b"mif1"), "is a HEIC photo"),
    "IMG_2.heif": (ftyp(b"mif1", b"heic"), "is a HEIC photo"),
    "DSC_1.NEF": (encoded("TIFF"), "is a camera's raw file"),
    "DSC_2.dng": (encoded("TIFF"), "is a camera's raw file"),
    "DSC_3.cr3": (ftyp(b"crx "), "is a camera's raw file"),
    "new.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n", "is not an image of a kind that can be read"),
    "layers.psd": (b"8BPS\0\1", "is not an image of a kind that can be read"),
    "grey.pgm": (b"P5 1 1 255 a", "is not an image of a kind that can be read"),
}
NO_PICTURES = {
    "readme.txt": b"BMI of 12 people",
    "data.bin": bytes(64),
    "paper.pdf": b"%PDF-1.7",
    "a.json": b"{}",
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for name, content in {**PICTURES, **NO_PICTURES, **{n: c for n, (c, _) in LEFT_OUT.items()}}.items():
        (root / name).write_bytes(content)
    return root


def test_every_picture_is_found_whatever_it_is_called(folder):
    files = files_below(folder)
    assert files.images == sorted(PICTURES)
    assert sorted(files.others) == sorted(NO_PICTURES)
    reasons = dict(files.rejected)
    assert set(reasons) == set(LEFT_OUT)
    for name, (_, reason) in LEFT_OUT.items():
        assert reasons[name].startswith(reason), name


def test_every_kind_becomes_the_same_image_in_a_store(folder, tmp_path):
    write_table(folder / "poses.csv", sorted(PICTURES))
    store = prepare(folder, tmp_path / "store.h5", preset("quick"), workers=1)
    assert sorted(store.names) == sorted(PICTURES)
    by_name = {str(name): store.read(np.array([number]))[0] for number, name in enumerate(store.names)}
    for name, image in by_name.items():
        difference = abs(image.astype(int) - by_name["no suffix"].astype(int)).mean()
        assert difference < 6, (name, difference)
    assert {str(name) for name, _ in store.rejected} == set(LEFT_OUT)
    assert set(dict(list_source(folder).rejected)) == set(LEFT_OUT)


class Somebody:
    "An estimator that sees the same person in every picture."

    name = "somebody"

    def people(self, pixels):
        return [np.concatenate([POSE, np.ones((18, 1))], 1)]


def test_estimating_takes_them_and_lists_the_others(folder, tmp_path):
    counts, rejected = estimate_folder(folder, tmp_path / "table.csv", estimator=Somebody(), workers=1)
    assert counts["poses"] == counts["images"] == len(PICTURES)
    assert counts["unusable"] == len(LEFT_OUT) == len(rejected)
    assert all(dict(rejected)[name].startswith(reason) for name, (_, reason) in LEFT_OUT.items())
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/1.mp4").write_bytes(ftyp(b"isom"))
    with pytest.raises(UserError, match="holds no image that can be read .*1.mp4 is a video"):
        estimate_folder(tmp_path / "clips", tmp_path / "no.csv", estimator=Somebody())


@pytest.mark.parametrize("kind, suffix", [*zip(KINDS, ["jpg", "png", "webp", "bmp", "gif", "tif", "avif"])])
def test_scoring_takes_every_kind(kind, suffix, tmp_path):
    for side, of_kind, ending in (("theirs", kind, suffix), ("truth", "PNG", "png")):
        (tmp_path / side).mkdir()
        for number in range(3):
            (tmp_path / side / f"{number}.{ending}").write_bytes(encoded(of_kind, picture(number)))
    scores = score_folders(tmp_path / "theirs", tmp_path / "truth", ["skimage"])
    assert len(scores.names) == 3
    assert scores.interval("SSIM skimage").mean > 0.8
    assert (kind in ("PNG", "BMP", "TIFF")) <= (scores.interval("SSIM skimage").mean == pytest.approx(1))


def test_of_several_pictures_in_a_file_the_first_is_taken(tmp_path):
    first, second = picture(1), picture(2)
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        path = tmp_path / f"pages.{kind.lower()}"
        path.write_bytes(encoded(kind, first, save_all=True, append_images=[second], **options))
        assert abs(np.asarray(read_image(path)).astype(int) - np.asarray(first)).mean() < 2, kind


def test_odd_colours_of_tiff(tmp_path):
    path = tmp_path / "a.tif"
    for mode, colour, seen in [
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("LA", (90, 255), (90,) * 3),
        ("RGBA", (255, 0, 0, 0), (255,) * 3),
        ("1", 1, (255,) * 3),
        ("I;16", 40_000, (156,) * 3),
    ]:
        Image.new(mode, (4, 4), colour).save(path)
        assert read_image(path).getpixel((0, 0)) == seen, mode
    for mode, sentence in (("F", "holds floating-point numbers"), ("LAB", "holds colours in the space LAB")):
        Image.new(mode, (4, 4)).save(path)
        with pytest.raises(UserError, match=sentence):
            read_image(path)


# EXIF


def exif(*entries, tail=b"", next_block=0):
    "A block of EXIF, little-endian: (tag, type, count, 4 bytes of value or a longer value) in each entry."
    start, body, rest = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            value, rest = struct.pack("<I", start + len(rest)), rest + value
        body += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(entries))
        + body
        + struct.pack("<I", next_block)
        + rest
        + tail
    )


TURNED = (0x0112, 3, 1, b"\x06\0")  # the camera was held upright
NAN, INFINITE = struct.pack("<d", float("nan")), struct.pack("<d", float("inf"))
ODD = {
    "a fraction of -1/0": exif(TURNED, (0x9204, 10, 1, struct.pack("<ii", -1, 0))),
    "an unsigned fraction of 2^32 - 1": exif(
        TURNED, (0x829A, 5, 1, struct.pack("<II", 2**32 - 1, 2**32 - 1))
    ),
    "a number of 8 bytes": exif(TURNED, (0xA002, 16, 1, struct.pack("<Q", 2**40))),
    "NaN": exif(TURNED, (0x9204, 12, 1, NAN)),
    "infinity": exif(TURNED, (0x9204, 12, 1, INFINITE)),
    "a float for a whole number": exif(TURNED, (0xA002, 11, 1, struct.pack("<f", 0.5))),
    "text where numbers belong": exif(TURNED, (0x829A, 2, 5, b"fast\0")),
    "bytes where text belongs": exif(TURNED, (0x010F, 7, 6, b"\xff\xfe\0\1\2\3")),
    "a block that points to itself": exif(TURNED, (0x8769, 4, 1, struct.pack("<I", 8))),
    "a block beyond the end": exif(TURNED, (0x8825, 4, 1, struct.pack("<I", 60_000))),
    "more values than there are bytes": exif(TURNED, (0x9286, 7, 2**31, struct.pack("<I", 20))),
    "an unknown type": exif(TURNED, (0x9999, 99, 1, b"\1")),
    "no value at all": exif(TURNED, (0x010F, 2, 0, b"")),
    "a second block that is the first": exif(TURNED, next_block=8),
    "negative 8 bytes": exif(TURNED, (0xA003, 17, 1, struct.pack("<q", -1))),
}
BROKEN = {
    "half a header": b"II*\0",
    "a header only": b"II*\0\x08\0\0\0",
    "neither Intel nor Motorola": b"XX*\0\x08\0\0\0\0\0",
    "an orientation of 0": exif((0x0112, 3, 1, b"\0\0")),
    "an orientation of 9": exif((0x0112, 3, 1, b"\x09\0")),
    "an orientation of 200,000": exif((0x0112, 4, 1, struct.pack("<I", 200_000))),
    "zeros": bytes(40),
}


def with_exif(kind, block, size=(48, 64)):
    "A picture with this block, as cameras write it."
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(kind, picture(3, size), exif=b"Exif\0\0" + block, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", *AVIF])
@pytest.mark.parametrize("what", [*ODD, *BROKEN])
def test_odd_metadata_costs_no_picture(what, kind, tmp_path):
    block = ODD.get(what) or BROKEN[what]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the writer
            content = with_exif(kind, block)
    except Exception:  # what cannot be written into this format in the first place
        pytest.skip(f"{kind} cannot hold it")
    path = tmp_path / "photo"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is said of it either
        found, seen = read_image(path), read_photo(path).image
    upright = picture(3, (48, 64))
    if what in ODD and kind != "AVIF":
        upright = upright.transpose(Image.Transpose.ROTATE_270)
    for image in (found, seen):
        if kind != "AVIF":
            assert image.size == upright.size
            assert abs(np.asarray(image).astype(int) - np.asarray(upright)).mean() < 8
        assert sorted(image.size) == [48, 64]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_any_damage_to_metadata_costs_no_picture(kind, tmp_path):
    "300 blocks with bytes changed at random: always a picture, one way up or the other."
    draw, whole = random.Random(5), ODD["a number of 8 bytes"] + ODD["NaN"]
    for number in range(100):
        block = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            block[draw.randrange(len(block))] = draw.choice((0, 1, 2, 5, 127, 255, draw.randrange(256)))
        path = tmp_path / "photo"
        path.write_bytes(with_exif(kind, bytes(block[: draw.randint(1, len(block))])))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert sorted(read_image(path).size) == [48, 64], (number, block)
            assert sorted(read_photo(path).image.size) == [48, 64], (number, block)


def changed(draw, block):
    "A block with bytes changed at random, and now and then cut."
    block = bytearray(block)
    for _ in range(draw.randint(0, 4)):
        block[draw.randrange(len(block))] = draw.choice((0, 1, 2, 127, 255, draw.randrange(256)))
    return bytes(block[: draw.randint(1, len(block))] if draw.random() < 0.3 else block)


def test_any_damage_to_the_notes_of_a_jpeg_costs_no_picture(tmp_path):
    "Tables of further pictures (of every newer phone), colour profiles, Photoshop's and XMP: 300 mixtures."
    more = exif((0xB000, 7, 4, b"0100"), (0xB001, 4, 1, b"\x02\0\0\0"), (0xB002, 7, 32, bytes(32)))
    profile = b"ICC_PROFILE\0\1\1" + bytes(128)
    photoshop = b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation='1'/></x:xmpmeta>"
    notes = [(0xE1, b"Exif\0\0" + ODD["NaN"]), (0xE1, xmp), (0xE2, b"MPF\0" + more), (0xE2, profile)]
    notes += [(0xED, photoshop), (0xEE, b"Adobe\0\x64\0\0\0\0\1"), (0xFE, b"a comment")]
    draw, whole = random.Random(8), encoded("JPEG", picture(3, (48, 64)), quality=95)
    path = tmp_path / "photo.jpg"
    for number in range(300):
        chosen = [(marker, changed(draw, body)) for marker, body in draw.sample(notes, draw.randint(1, 7))]
        segments = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in chosen]
        path.write_bytes(whole[:2] + b"".join(segments) + whole[2:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert sorted(read_image(path).size) == [48, 64], (number, chosen)


def test_any_damage_to_the_notes_of_a_png_costs_no_picture(tmp_path):
    notes = [(b"eXIf", ODD["NaN"]), (b"pHYs", bytes(9)), (b"tEXt", b"a\0bc"), (b"cHRM", bytes(32))]
    notes += [(b"zTXt", b"a\0\0" + zlib.compress(bytes(99))), (b"iCCP", b"p\0\0" + zlib.compress(bytes(99)))]
    notes += [
        (b"gAMA", bytes(4)),
        (b"sRGB", b"\0"),
        (b"acTL", b"\0\0\0\1\0\0\0\0"),
        (b"iTXt", b"a\0\1\0en\0k\0x"),
    ]
    draw, whole = random.Random(9), encoded("PNG", picture(3, (48, 64)))
    path = tmp_path / "photo.png"
    for number in range(300):
        chosen = [(name, changed(draw, body)) for name, body in draw.sample(notes, draw.randint(1, 6))]
        sums = [0 if draw.random() < 0.1 else zlib.crc32(name + body) for name, body in chosen]
        chunks = [
            struct.pack(">I", len(b)) + name + b + struct.pack(">I", c) for (name, b), c in zip(chosen, sums)
        ]
        path.write_bytes(whole[:33] + b"".join(chunks) + whole[33:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(read_image(path))
        upright = np.asarray(picture(3, (48, 64)))
        # whichever way up: the EXIF may have been changed, too
        turned = [np.rot90(side, turns) for side in (upright, upright[:, ::-1]) for turns in range(4)]
        assert any(np.array_equal(found, one) for one in turned), number


def test_one_odd_photo_among_nine_costs_nothing(tmp_path):
    names = [f"p{person}/v{view}.jpg" for person in range(3) for view in range(3)]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(encoded("JPEG", picture(number), quality=95))
    write_table(tmp_path / "photos/poses.csv", names)
    plain = prepare(tmp_path / "photos", tmp_path / "plain.h5", preset("quick"), workers=1)
    turned = picture(4).transpose(Image.Transpose.ROTATE_90)
    odd = encoded("JPEG", turned, quality=95, exif=b"Exif\0\0" + ODD["a fraction of -1/0"])
    (tmp_path / "photos/p1/v1.jpg").write_bytes(odd)
    store = prepare(tmp_path / "photos", tmp_path / "store.h5", preset("quick"), workers=1)
    assert list(store.names) == list(plain.names) and len(store.rejected) == 0
    number = list(store.names).index("p1/v1.jpg")
    assert abs(store.read(np.array([number]))[0].astype(int) - plain.read(np.array([number]))[0]).mean() < 6


# Damage


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_a_sentence_or_a_picture(kind, tmp_path):
    "150 files of each kind, cut or with bytes changed at random."
    draw, whole = random.Random(3), encoded(kind, picture(0, (40, 30)))
    path, read = tmp_path / "photo", 0
    for number in range(150):
        content = bytearray(whole)
        for _ in range(draw.randint(0, 8)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        cut = len(content) if number % 2 else draw.randrange(len(content))
        path.write_bytes(bytes(content[:cut]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert read_image(path).mode == "RGB"
                read += 1
            except UserError as error:
                assert str(path) in str(error) and str(error).endswith(".")
    assert read < 150


@pytest.mark.parametrize(
    "raised", [struct.error("argument out of range"), KeyError(3), TypeError("no"), IndexError()]
)
def test_any_error_of_a_decoder_costs_one_file(raised, tmp_path, monkeypatch):
    names = [f"p{person}/v{view}.png" for person in range(3) for view in range(3)]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / "photos" / name)
    picture(99, (65, 129)).save(tmp_path / "photos/p0/v0.png")
    write_table(tmp_path / "photos/poses.csv", names)
    load = Image.Image.load

    def fails(image):
        if image.size == (65, 129):
            raise raised
        return load(image)

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fails)
    with pytest.raises(UserError, match="v0.png is damaged or cut short.*--skip-damaged"):
        prepare(tmp_path / "photos", tmp_path / "store.h5", preset("quick"), workers=1)
    monkeypatch.undo()


def test_damage_costs_one_file_with_skip_damaged(tmp_path):
    names = [f"p{person}/v{view}.gif" for person in range(3) for view in range(3)]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / "photos" / name)
    whole = (tmp_path / "photos/p0/v0.gif").read_bytes()
    (tmp_path / "photos/p0/v0.gif").write_bytes(whole[: len(whole) // 3])
    write_table(tmp_path / "photos/poses.csv", names)
    store = prepare(tmp_path / "photos", tmp_path / "store.h5", preset("quick"), workers=1, skip_damaged=True)
    assert len(store.names) == 8 and [name for name, _ in store.rejected] == ["p0/v0.gif"]


def test_a_file_that_may_not_be_read_is_no_damaged_file(tmp_path, monkeypatch):
    names = [f"p{person}/v{view}.png" for person in range(3) for view in range(3)]
    for number, name in enumerate(names):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / "photos" / name)
    write_table(tmp_path / "photos/poses.csv", names)
    for owner in (os, builtins):  # whichever way a reader takes

        def guarded(path, *arguments, usual=owner.open, **named):
            if str(path).endswith("p0/v0.png"):
                raise PermissionError(13, "Permission denied", str(path))
            return usual(path, *arguments, **named)

        monkeypatch.setattr(owner, "open", guarded)
    with pytest.raises(UserError, match=r"p0/v0.png may not be read.*change its permissions"):
        prepare(tmp_path / "photos", tmp_path / "store.h5", preset("quick"), workers=1)
    store = prepare(tmp_path / "photos", tmp_path / "store.h5", preset("quick"), workers=1, skip_damaged=True)
    ((name, reason),) = (tuple(row) for row in store.rejected)
    assert name == "p0/v0.png" and "may not be read" in reason and "damaged" not in reason
