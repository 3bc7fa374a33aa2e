"One's own photo in another pose: every kind of photo, every mistake, large files, and real people."

import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from posegen.core import DEFAULT_WEIGHTS, UserError, preset
from posegen.metrics.agreement import colour_overlap
from posegen.networks import Stage1Generator, Stage2Generator
from posegen.people import render_people
from posegen.photos.framing import Framing
from posegen.photos.inputs import read_photo
from posegen.photos.keypoints import write_openpose_json
from posegen.pose import pose_mask
from posegen.training.generators import run_generator
from posegen.training.pretrained import PRETRAINED, find_weights, pretrained_names
from posegen.training.weights import save_weights
from posegen.transfer import PoseTransfer, transfer_file


class Known:
    "An estimator that finds these people in every picture."

    def __init__(self, *people):
        self.poses = list(people)

    def people(self, image):
        return [pose.copy() for pose in self.poses]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    "A folder with untrained weights of the test preset (32 pixels)."
    folder, config = tmp_path_factory.mktemp("weights"), preset("test")
    torch.manual_seed(0)
    save_weights(Stage1Generator(config), folder, "stage1", config, source="embedded people")
    save_weights(Stage2Generator(config), folder, "stage2", config, source="embedded people")
    return folder


@pytest.fixture
def files(tmp_path, one_person):
    "A photo, its pose, and another pose, as files in a folder."
    images, keypoints = one_person
    Image.fromarray(images[0]).save(tmp_path / "me.png")
    Image.fromarray(images[2]).save(tmp_path / "other.png")
    for name, pose in (("me", keypoints[0]), ("pose", keypoints[5])):
        write_table(tmp_path / f"{name}.csv", {name: pose})
    return tmp_path


def write_table(path, poses):
    from posegen.photos.keypoints import write_keypoint_csv

    write_keypoint_csv(path, poses)
    return path


def scenery(width, height):
    "A smooth picture whose four corners differ, uint8 (height, width, 3)."
    y, x = np.mgrid[: 1 : height * 1j, : 1 : width * 1j]
    return (np.stack([x, y, (x + 1 - y) / 2], -1) * 220 + 20).astype(np.uint8)


# every format and orientation


def saved(path, mode="RGB", **options):
    picture = Image.fromarray(scenery(60, 40))
    if mode == "P":
        picture = picture.quantize(128)
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    "name, mode, tolerance",
    [
        ("a.jpg", "RGB", 12),
        ("a.jpeg", "CMYK", 14),
        ("a.jpg", "L", None),
        ("a.png", "RGB", 0),
        ("a.png", "RGBA", 0),
        ("a.png", "P", 24),
        ("a.png", "L", None),
        ("a.png", "LA", None),
        ("a.png", "1", None),
        ("a.png", "I;16", None),
        ("a.webp", "RGB", 24),
        ("a.bmp", "RGB", 0),
        ("A.JPG", "RGB", 12),
    ],
)
def test_formats(tmp_path, name, mode, tolerance):
    path = saved(tmp_path / name, mode)
    photo = read_photo(path)
    pixels = np.asarray(photo.image).astype(int)
    assert photo.image.mode == "RGB" and pixels.shape == (40, 60, 3) and photo.scale == 1
    if tolerance is not None:
        assert np.abs(pixels - scenery(60, 40)).max() <= tolerance
    elif mode != "1":
        grey = np.asarray(Image.fromarray(scenery(60, 40)).convert("L")).astype(int)
        assert np.abs(pixels - grey[..., None]).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_rotation_of_the_camera(tmp_path, orientation, name):
    picture, exif = Image.fromarray(scenery(60, 40)), Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / name, exif=exif)
    picture.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(picture)).astype(int)
    found = np.asarray(read_photo(tmp_path / name).image).astype(int)
    assert found.shape == upright.shape and np.abs(found - upright).max() <= 24


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.full((4, 6, 4), (200, 0, 0, 255), np.uint8)
    pixels[:, :3, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = np.asarray(read_photo(tmp_path / "a.png").image)
    assert (found[:, :3] == 255).all() and (found[:, 3:] == (200, 0, 0)).all()
    palette = Image.new("P", (4, 6), 1)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.save(tmp_path / "p.png", transparency=1)
    assert (np.asarray(read_photo(tmp_path / "p.png").image) == 255).all()


def test_arrays_and_pillow_images():
    pixels = scenery(20, 30)
    for photo in (pixels, Image.fromarray(pixels), np.dstack([pixels, np.full((30, 20), 255, np.uint8)])):
        assert np.array_equal(np.asarray(read_photo(photo).image), pixels)
    assert np.asarray(read_photo(pixels[..., 0]).image).shape == (30, 20, 3)
    assert np.asarray(read_photo(pixels[..., :1]).image).shape == (30, 20, 3)


def test_a_photo_of_one_pixel_and_a_very_long_one():
    assert read_photo(np.zeros((1, 1, 3), np.uint8)).image.size == (1, 1)
    long = read_photo(np.zeros((3, 9001, 3), np.uint8))
    assert long.image.size == (1801, 1) and abs(long.scale - 0.2) < 1e-3


# large files


def test_50_megapixels_in_bounded_memory(tmp_path):
    picture = Image.fromarray(scenery(816, 612)).resize((8160, 6120))
    picture.save(tmp_path / "a.jpg", quality=85)
    picture.putalpha(200)
    picture.save(tmp_path / "a.png", compress_level=1)
    del picture
    code = """
import resource, sys
from posegen.photos.inputs import read_photo
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = memory()
photo = read_photo(sys.argv[1])
print(*photo.image.size, photo.scale, memory() - before)
"""
    # the decoded pixels (4 bytes each for RGBA: 200 MB) and little else; a JPEG is decoded at a quarter
    for name, size, most in (("a.jpg", (2040, 1530), 120), ("a.png", (1632, 1224), 300)):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=True
        )
        width, height, scale, megabytes = map(float, done.stdout.split())
        assert (width, height) == size and abs(scale - width / 8160) < 1e-3
        assert megabytes < most, f"{name} took {megabytes:.0f} MB"


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    rows, width = 30000, 30000
    header = struct.pack(">IIBBBBB", width, rows, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes(rows * (1 + width // 8)), 9)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    (tmp_path / "bomb.png").write_bytes(data)
    assert len(data) < 200_000
    with pytest.raises(UserError, match="bomb.png claims to .*pixels.*scale it down"):
        read_photo(tmp_path / "bomb.png")


# what a user can get wrong


def refused(pattern, *arguments, **named):
    "A transfer is refused with one sentence, and nothing is written."
    folder = Path(arguments[0]).parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError) as caught:
        transfer_file(*arguments, **named)
    assert "\n" not in str(caught.value) and re.search(pattern, str(caught.value)), str(caught.value)
    assert sorted(folder.rglob("*")) == before


def broken(folder, kind):
    "A file of the kind in the folder, none of which is a photo."
    good = saved(folder / "good.jpg")
    path = folder / {"heic": "IMG_0001.HEIC", "eps": "drawing.eps", "folder": "album"}.get(
        kind, f"{kind}.jpg"
    )
    if kind == "folder":
        path.mkdir()
    elif kind == "heic":
        path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(100))
    elif kind == "eps":
        Image.fromarray(scenery(8, 8)).save(path)
    elif kind == "text":
        path.write_text("this is no image")
    elif kind == "empty":
        path.touch()
    elif kind == "cut":
        path.write_bytes(good.read_bytes()[:600])
    elif kind == "float":
        Image.fromarray(np.zeros((4, 4), np.float32)).save(path, "TIFF")
    return path


@pytest.mark.parametrize(
    "kind, pattern",
    [
        ("missing", r"There is no image .*missing\.jpg\.$"),
        ("folder", "album is a folder; name one image"),
        ("heic", "is a HEIC photo, which cannot be read here: save or export it as JPEG"),
        ("eps", "not an image of a kind that can be read"),
        ("text", "text.jpg is not an image of a kind that can be read"),
        ("empty", "empty.jpg is empty: copy or download it again"),
        ("cut", "cut.jpg is damaged or cut short"),
        ("float", "holds floating-point numbers"),
    ],
)
def test_photos_that_are_none(files, weights, kind, pattern, monkeypatch):
    bad = broken(files, kind)
    refused(pattern, bad, files / "pose.csv", files / "out.png", weights, keypoints=files / "me.csv")
    refused(pattern, files / "me.png", bad, files / "out.png", weights, keypoints=files / "me.csv")


@pytest.mark.parametrize(
    "array, pattern",
    [
        (np.zeros((4, 4, 3)), r"float64 \(4, 4, 3\); give uint8"),
        (np.zeros((4, 4, 2), np.uint8), "give uint8"),
        (np.zeros((4,), np.uint8), "give uint8"),
        (np.zeros((0, 4, 3), np.uint8), "without any pixel"),
    ],
)
def test_arrays_that_are_no_photo(array, pattern):
    with pytest.raises(UserError, match=pattern):
        read_photo(array)


def test_pillow_images_that_are_no_photo():
    with pytest.raises(UserError, match="floating-point"):
        read_photo(Image.fromarray(np.zeros((4, 4), np.float32)))


def test_poses_that_are_none(files, weights, one_person):
    pose = one_person[1][5]
    write_table(files / "two.csv", {"a": pose, "b": pose})
    write_table(files / "nobody.csv", {"a": pose * 0})
    (files / "none.csv").write_text("name:keypoints_y:keypoints_x\n")
    (files / "other.csv").write_text("x,y\n1,2\n")
    (files / "bad.json").write_text("{")
    (files / "nobody.json").write_text('{"people": []}')
    for name, pattern in (
        ("two.csv", "two.csv holds 2 poses; name one of them, for example .*two.csv#a"),
        ("two.csv#c", 'two.csv has no row "c"; '),
        ("none.csv", "none.csv holds no pose"),
        ("nobody.csv", 'the row "a" holds no keypoint'),
        ("other.csv", 'begins with "x,y"'),
        ("gone.csv", "There is no keypoint file .*gone.csv"),
        ("gone.json", "There is no keypoint file .*gone.json"),
        ("bad.json", "bad.json is not OpenPose JSON"),
        ("nobody.json", "nobody.json holds no person"),
    ):
        refused(
            pattern, files / "me.png", files / name, files / "out.png", weights, keypoints=files / "me.csv"
        )
        refused(
            pattern, files / "me.png", files / "pose.csv", files / "out.png", weights, keypoints=files / name
        )
    model = PoseTransfer.from_pretrained(weights)
    for array in (pose.astype(str), pose[:17], np.full((18, 3), np.nan)):
        with pytest.raises(UserError):
            model.transfer(files / "me.png", array, keypoints=pose)


@pytest.mark.parametrize(
    "missing, pattern",
    [
        ([1], "shows the head, shoulders, arms, hips and legs of a person, but the neck must be seen"),
        ([8, 11], "but a hip must be seen to scale the pose"),
        (range(8, 14), "shows the head, shoulders and arms of a person, but a hip must be seen"),
        (range(14), "shows the head of a person, but the neck and a hip must be seen"),
        (range(18), "No person was found"),
    ],
)
def test_half_a_person(weights, one_person, missing, pattern):
    images, keypoints = one_person
    half = keypoints[0].copy()
    half[list(missing)] = 0
    with pytest.raises(UserError, match=pattern) as caught:
        PoseTransfer.from_pretrained(weights, estimator=Known(half)).transfer(images[0], keypoints[5])
    assert "the photo" in str(caught.value)
    with pytest.raises(UserError, match=pattern.replace("No person was found", "no keypoint")):
        PoseTransfer.from_pretrained(weights).transfer(images[0], half, keypoints=keypoints[0])


def test_one_hip_and_no_head_are_enough(weights, one_person):
    images, keypoints = one_person
    half = keypoints[0].copy()
    half[[0, 8, 14, 15, 16, 17]] = 0
    model = PoseTransfer.from_pretrained(weights, estimator=Known(half))
    whole = model.transfer(images[0], keypoints[5], keypoints=keypoints[0])
    found = model.transfer(images[0], keypoints[5])
    both = (found.condition_keypoints[:, 2] > 0) & (whole.condition_keypoints[:, 2] > 0)
    assert (
        both.sum() > 8 and np.abs(found.condition_keypoints - whole.condition_keypoints)[both, :2].max() <= 2
    )


def test_nobody_and_several_people(weights, one_person):
    images, keypoints = one_person
    small = keypoints[0].copy()
    small[:, :2] *= 0.4
    with pytest.raises(
        UserError, match="No person was found in the photo; use a photo in which one is seen well"
    ):
        PoseTransfer.from_pretrained(weights, estimator=Known()).transfer(images[0], keypoints[5])
    model = PoseTransfer.from_pretrained(weights, estimator=Known(keypoints[0], small))
    result = model.transfer(images[0], keypoints[5])
    assert result.messages[0] == "the photo shows 2 people; the largest was taken."
    alone = PoseTransfer.from_pretrained(weights, estimator=Known(keypoints[0])).transfer(
        images[0], keypoints[5]
    )
    assert np.array_equal(result.image, alone.image)
    with pytest.raises(UserError, match="the photo holds 2 people, but one was expected"):
        model.transfer(images[0], keypoints[5], person="only")
    with pytest.raises(UserError, match='no choice of person "tallest"'):
        model.transfer(images[0], keypoints[5], person="tallest")


def test_without_an_estimator(files, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)  # as if it were not installed
    words = files / "me.png", files / "pose.csv", files / "out.png", weights
    refused(r'pip install "posegen\[estimator\]"', *words)
    transfer_file(*words, keypoints=files / "me.csv")


def test_where_the_result_goes(files, weights):
    def refuse(pattern, out, pose=files / "pose.csv"):
        refused(pattern, files / "me.png", pose, out, weights, keypoints=files / "me.csv", overlay=True)

    refuse(
        r"out.jpg does not end in .png, the only format that is written; name it out.png", files / "out.jpg"
    )
    refuse("does not end in .png", files / "out")
    refuse("There is no folder .*new to write out.png into; make it first", files / "new" / "out.png")
    refuse("me.png would overwrite .*me.png, which is read", files / "me.png")
    (files / "taken.png").mkdir()
    refuse("taken.png is a folder; name a file", files / "taken.png")
    refuse("me.png is given as the photo and as the pose", files / "out.png", files / "me.png")
    Image.fromarray(scenery(9, 9)).save(files / "a_overlay.png")
    refused(
        "a_overlay.png would overwrite",
        files / "me.png",
        files / "a_overlay.png",
        files / "a.png",
        weights,
        overlay=True,
    )
    (files / "link.png").symlink_to("me.png")
    refuse("given as the photo and as the pose", files / "out.png", files / "link.png")
    if Path("/proc/self").is_dir():
        with pytest.raises(UserError, match="cannot be (written|written to)"):
            transfer_file(
                files / "me.png",
                files / "pose.csv",
                "/proc/self/out.png",
                weights,
                keypoints=files / "me.csv",
            )


def test_a_result_is_whole_or_not_there(files, weights, monkeypatch):
    (files / "out.png").write_text("the one before")

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="no room on the disk"):
        transfer_file(
            files / "me.png", files / "pose.csv", files / "out.png", weights, keypoints=files / "me.csv"
        )
    assert (files / "out.png").read_text() == "the one before" and not list(files.glob(".*"))


# weights


def test_weights_that_are_none(files, weights, tmp_path):
    def refuse(pattern, model):
        refused(
            pattern,
            files / "me.png",
            files / "pose.csv",
            files / "out.png",
            model,
            keypoints=files / "me.csv",
        )

    names = ", ".join(pretrained_names())
    refuse(
        f"nobody is neither a folder nor a known name; .* names that come with the package: {names}", "nobody"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    refuse("empty holds no weights", empty)
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    for name in ("stage2.safetensors", "stage2.json"):
        (lonely / name).write_bytes((weights / name).read_bytes())
    refuse("lonely holds only a stage 2", lonely)
    for name in ("stage1.safetensors", "stage1.json"):
        (lonely / name).write_bytes((weights / name).read_bytes())
    PoseTransfer.from_pretrained(lonely)
    for damaged, left in (
        ("stage2.safetensors", 500),
        ("stage1.safetensors", 0),
        ("stage2.json", 40),
        ("stage1.json", 0),
    ):
        whole = (lonely / damaged).read_bytes()
        (lonely / damaged).write_bytes(whole[:left])
        refuse(f"{damaged[:6]}.*damaged", lonely)
        (lonely / damaged).write_bytes(whole)
    (lonely / "stage1.json").unlink()
    refuse("no stage1 weights in .*lonely", lonely)


def test_stages_of_different_sizes(weights, tmp_path):
    config = preset("test", size=64)
    save_weights(Stage2Generator(config), tmp_path, "stage2", config)
    with pytest.raises(UserError, match="trained at 64 pixels, stage 1 in .* at 32; take two of one run"):
        PoseTransfer.from_pretrained(weights, stage2=tmp_path)


def test_a_folder_of_runs(weights, tmp_path):
    def put(name, *files):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_bytes((weights / file).read_bytes())

    put("stage1", "stage1.safetensors", "stage1.json")
    assert find_weights(tmp_path) == (tmp_path / "stage1", None, None)
    model = PoseTransfer.from_pretrained(tmp_path)
    assert model.stage2 is None
    for name in ("stage2-pair", "stage2-wgan_triplet"):
        put(name, "stage2.safetensors", "stage2.json")
        assert find_weights(tmp_path)[1] == tmp_path / name
    assert PoseTransfer.from_pretrained(tmp_path, stage2=tmp_path / "stage2-pair").stage2 is not None


def test_the_weights_in_the_package():
    assert {"embedded", "embedded128", DEFAULT_WEIGHTS} <= set(pretrained_names())
    for name in pretrained_names():
        model = PoseTransfer.from_pretrained(name)
        assert (model.stage2 is None) == (name == DEFAULT_WEIGHTS)  # an adversary did not help it
        assert next(model.stage1.parameters()).dtype == torch.float32
        assert sum(path.stat().st_size for path in (PRETRAINED / name).iterdir()) < 4e6


def test_somebody_in_a_photo_keeps_her_clothes():
    person = next(iter(render_people(1, views=6, size=128, seed=0, first_person=431, progress=False)))
    (photo, target), (own, wanted) = person.images[[0, 3]], person.keypoints[[0, 3]]
    inside = pose_mask(torch.from_numpy(np.stack([wanted])), 128).numpy()[:, 0] > 0
    shared = {}
    for name in ("embedded128", DEFAULT_WEIGHTS):
        model = PoseTransfer.from_pretrained(name)
        made = run_generator(model.stage1, None, photo[None], own[None], wanted[None])
        shared[name] = colour_overlap(made, target[None], inside)[0]
    assert shared[DEFAULT_WEIGHTS] > shared["embedded128"] + 0.1, shared


def test_the_framing_is_that_of_the_training_images(weights, photos, posegen, tmp_path):
    run = tmp_path / "run"
    (run / "stage1").mkdir(parents=True)
    (run / "prepare").mkdir()
    for name in ("stage1.safetensors", "stage1.json"):
        (run / "stage1" / name).write_bytes((weights / name).read_bytes())
    assert PoseTransfer.from_pretrained(run).framing == Framing()
    assert posegen("prepare", photos, run / "prepare" / "store.h5", "--preset", "test").status == 0
    framing = PoseTransfer.from_pretrained(run).framing
    assert framing != Framing() and abs(framing.full - Framing().full) < 0.15


# the whole way


def test_from_file_to_file(files, weights, one_person):
    words = files / "me.png", files / "pose.csv#pose", files / "out.png", weights
    said = transfer_file(*words, overlay=True, keypoints=files / "me.csv")
    assert said == f"written: {files / 'out.png'} and {files / 'out_overlay.png'} (32 pixels a side)"
    result = PoseTransfer.from_pretrained(weights).transfer(
        one_person[0][0], one_person[1][5], keypoints=one_person[1][0]
    )
    assert np.array_equal(np.asarray(Image.open(files / "out.png")), result.image)
    overlay = Image.open(files / "out_overlay.png")
    assert overlay.width > 4 * overlay.height / 2 > 200


def test_an_upright_and_a_turned_photo_give_the_same(tmp_path, weights, one_person):
    images, keypoints = one_person
    large = Image.fromarray(images[0]).resize((3840, 3840), Image.Resampling.BICUBIC)  # read at half its size
    pose = keypoints[0].copy()
    pose[:, :2] = (pose[:, :2] + 0.5) * 80
    large.save(tmp_path / "upright.png", compress_level=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    large.rotate(90).save(tmp_path / "turned.png", exif=exif, compress_level=1)
    model = PoseTransfer.from_pretrained(weights)
    results = [
        model.transfer(tmp_path / name, keypoints[5], keypoints=pose)
        for name in ("upright.png", "turned.png")
    ]
    assert np.array_equal(results[0].condition, results[1].condition) and np.array_equal(
        results[0].image, results[1].image
    )
    small = model.transfer(images[0], keypoints[5], keypoints=keypoints[0])
    assert np.abs(small.condition_keypoints - results[0].condition_keypoints).max() <= 1
    assert np.abs(small.condition.astype(int) - results[0].condition).mean() < 8


# real people

SHARED = Path(os.environ.get("POSEGEN_SHARED", Path(__file__).parents[2] / "shared" / "data"))
needs_photos = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real images are not here; name their folder with POSEGEN_SHARED"
)


@pytest.fixture(scope="module")
def estimator():
    "MediaPipe's, if it is installed."
    from posegen.photos.estimators import MediaPipeEstimator

    try:
        return MediaPipeEstimator()
    except UserError as error:
        pytest.skip(str(error))


def estimated(estimator, picture):
    "The pose in a small picture, looked at with four times its side; all missing if nobody is found."
    large = Image.fromarray(picture).resize((4 * picture.shape[1],) * 2, Image.Resampling.BICUBIC)
    found = estimator.people(np.asarray(large))
    if not found:
        return np.zeros((18, 3))
    return found[0] * (0.25, 0.25, 1) - (0.375, 0.375, 0)


def correct(found, wanted):
    "Which of the wanted joints of the body were found within 0.2 torsos."
    torso = np.hypot(*(wanted[1] - wanted[[8, 11]][wanted[[8, 11], 2] > 0].mean(0))[:2])
    near = np.hypot(*(found - wanted)[:, :2].T) < 0.2 * torso
    return (near & (found[:, 2] > 0))[:14][wanted[:14, 2] > 0]


@needs_photos
def test_real_people_take_the_pose(estimator):
    photos = sorted((SHARED / "deepfashion_images").rglob("*.[jp][pn]g"))
    others = photos + sorted((SHARED / "fashion_video" / "frames256").glob("*.jpg"))[4::9]
    draw = np.random.default_rng(0)
    model = PoseTransfer.from_pretrained("embedded", estimator=estimator)
    before, after, possible = [], [], []
    for photo, other in zip(draw.permutation(photos)[:16], draw.permutation(others)):
        result = model.transfer(photo, other)
        wanted = result.target_keypoints
        before.append(correct(estimated(estimator, result.condition), wanted))
        after.append(correct(estimated(estimator, result.image), wanted))
        possible.append(correct(estimated(estimator, result.pose_picture), wanted))
    before, after, possible = (np.concatenate(found).mean() for found in (before, after, possible))
    # joints in place in the photo itself, in the result, and in a photo of the pose
    assert possible > 0.75 and after > before + 0.1, (before, after, possible)


@needs_photos
def test_every_real_photo_can_be_used(estimator, one_person):
    photos = sorted((SHARED / "deepfashion_images").rglob("*.[jp][pn]g"))
    photos += sorted((SHARED / "fashion_video" / "frames256").glob("*.jpg"))[::20]
    model = PoseTransfer.from_pretrained("embedded", estimator=estimator)
    for photo in photos:
        result = model.transfer(photo, one_person[1][0])
        assert result.image.std() > 5 and result.condition_keypoints[1, 2] > 0
        torso = np.hypot(*(result.condition_keypoints[1] - result.condition_keypoints[[8, 11]].max(0))[:2])
        assert model.size / 8 < torso < model.size, photo
    assert len(photos) == 26 + 8 + 6


def test_keypoints_of_the_photo_in_another_frame(files, weights, posegen, one_person):
    "Found at 256 pixels for a photo of 48: with the rule the picture is the one of the keypoints in its own pixels."
    own = one_person[1][0]
    larger = own.copy()
    larger[:, :2] = (own[:, :2] + 0.5) * (256 / 48) - 0.5
    write_openpose_json(files / "larger.json", larger)
    write_openpose_json(files / "own.json", own)
    words = ("transfer", files / "me.png", "--pose", files / "pose.csv", "--model", weights, "--out")
    pictures = {}
    for name, more in (
        ("own", ("own.json",)),
        ("square", ("larger.json", "--frame", "256")),
        ("size", ("larger.json", "--frame", "256x256")),
    ):
        keypoints, *frame = more
        outcome = posegen(*words, files / f"{name}.png", "--keypoints", files / keypoints, *frame)
        assert outcome.status == 0, outcome.error
        pictures[name] = np.asarray(Image.open(files / f"{name}.png")).astype(int)
    assert np.abs(pictures["own"] - pictures["square"]).max() <= 2
    assert np.abs(pictures["own"] - pictures["size"]).max() < 60  # half a pixel of the photo apart
    unknown = posegen(*words, files / "a.png", "--keypoints", files / "own.json", "--frame", "half")
    assert unknown.status == 2 and 'The rule frame is "half"' in unknown.error
    alone = posegen(*words, files / "a.png", "--frame", "256")
    assert alone.status == 2 and "name them with --keypoints" in alone.error
