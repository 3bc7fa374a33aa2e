"""Stores and dense files that are broken or mean harm, made from the table of what they should be.

Each part is taken away, given another type, another shape, an impossible size, a value that is no value, or a place
elsewhere. Each such file gets one sentence, and nothing is read that is not in it.
"""

import errno
import fcntl
import io
import json
import os
import shutil

import h5py
import numpy as np
import pytest
from bounded import within_bounds

from posegen.core import UserError, preset
from posegen.data.dense import PARTS, dense_image, find_dense, fingerprints, read_dense, write_dense
from posegen.data.examples import Example
from posegen.data.prepare import prepare
from posegen.data.store import COLUMNS, open_store
from posegen.data.writing import write_store
from posegen.photos.estimators import Journal
from posegen.system.blocks import read_block
from posegen.training.log import read_losses

SECRET = b"what only its owner may read " * 4000


def refused(action, pattern=None):
    "Assert that an action is refused in one sentence, which never tells what lies in another file."
    with within_bounds(), pytest.raises(UserError, match=pattern) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 500 and sentence.endswith("."), sentence
    assert "only its owner" not in sentence
    return sentence


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "A store of six noisy images, a file that it must not read, and another store."
    folder = tmp_path_factory.mktemp("stores")
    generator = np.random.default_rng(0)

    def examples():
        for person, split in enumerate(("train", "train", "test")):
            for view in range(2):
                points = np.concatenate([generator.uniform(0, 32, (18, 2)), np.ones((18, 1))], 1)
                pixels = generator.integers(0, 255, (32, 32, 3), np.uint8)
                mask = np.ones((32, 32), np.uint8)
                name = f"{person}/{view}.png"
                yield Example(pixels, points.astype(np.float32), name, split, person, person, mask)

    write_store(folder / "store.h5", examples(), 32, "noise", rejected=[("a.png", "too dark")])
    shutil.copy(folder / "store.h5", folder / "other.h5")
    (folder / "secret").write_bytes(SECRET)
    return folder


@pytest.fixture
def spoiled(whole, tmp_path):
    "A copy of the store, changed by a function of the open file; and the way to its folder."
    for name in ("store.h5", "other.h5", "secret"):
        shutil.copy(whole / name, tmp_path / name)

    def spoil(change):
        with h5py.File(tmp_path / "store.h5", "r+") as file:
            change(file)
        return tmp_path / "store.h5"

    return spoil


def replace(file, name, **how):
    del file[name]
    return file.create_dataset(name, **how)


def beside(file, name):
    return os.path.join(os.path.dirname(file.filename), name)


def virtual(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource("other.h5", name, shape)
    file.create_virtual_dataset(name, layout)


def external_bytes(file, name):
    shape, dtype = file[name].shape, np.uint8 if file[name].dtype == object else file[name].dtype
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    replace(file, name, shape=shape, dtype=dtype, external=[(beside(file, "secret"), 0, size)])


def linked_softly(file, name):
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere")


def linked_away(file, name):
    del file[name]
    file[name] = h5py.ExternalLink("other.h5", "/" + name)


def linked_to_a_pipe(file, name):
    os.mkfifo(beside(file, "pipe"))
    del file[name]
    file[name] = h5py.ExternalLink("pipe", "/" + name)


def grouped(file, name):
    file.move(name, "inside")
    file.create_group(name)
    file.move("inside", f"{name}/{name.split('/')[-1]}")


def huge(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    sides = (10**7, *([10**6] * max(len(shape) - 1, 0)))
    replace(file, name, shape=sides, dtype=dtype, chunks=(1,) * len(sides), compression="gzip")


def only_declared(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    kind = np.float64 if dtype.kind == "O" else dtype
    replace(file, name, shape=(10**9, *shape[1:]), dtype=kind)


def right_size_but_nothing_in_it(file, name):
    shape, dtype = file[name].shape, file[name].dtype
    replace(file, name, shape=shape, dtype=dtype, chunks=shape, compression="gzip")


def one_more(file, name):
    value = file[name][:]
    replace(file, name, data=np.concatenate([value, value[:1]]), dtype=file[name].dtype)


def flat(file, name):
    value = file[name][:]
    replace(file, name, data=value.reshape(1, 1, -1, 1, 1), dtype=file[name].dtype)


def scalar(file, name):
    replace(file, name, data=3.0)


def null(file, name):
    replace(file, name, data=h5py.Empty("f"))


def compound(file, name):
    replace(file, name, data=np.zeros(file[name].shape, [("a", "f4"), ("b", "i8")]))


def complex_numbers(file, name):
    replace(file, name, data=np.zeros(file[name].shape, complex))


def references(file, name):
    shape = file[name].shape
    new = replace(file, name, shape=shape, dtype=h5py.ref_dtype)
    new[...] = file.ref


def times(file, name):
    replace(file, name, data=np.zeros(file[name].shape, "V8"))


def other_type(file, name):
    shape, text = file[name].shape, file[name].dtype == object
    if text:
        replace(file, name, data=np.zeros(shape))
    else:
        replace(file, name, data=np.full(shape, "7", object), dtype=h5py.string_dtype())


def fixed_text(file, name):
    replace(file, name, data=np.full(file[name].shape, b"7"))


def other_byte_order(file, name):
    dtype = np.dtype(">f4") if file[name].dtype == object else np.dtype(">f8")
    replace(file, name, data=np.ones(file[name].shape, dtype))


def nested_lists(file, name):
    replace(file, name, shape=file[name].shape, dtype=h5py.vlen_dtype(np.int32))


def absent(file, name):
    del file[name]


WAYS = (
    virtual,
    external_bytes,
    linked_softly,
    linked_away,
    linked_to_a_pipe,
    grouped,
    huge,
    only_declared,
    right_size_but_nothing_in_it,
    one_more,
    flat,
    scalar,
    null,
    compound,
    complex_numbers,
    references,
    times,
    other_type,
    fixed_text,
    other_byte_order,
    nested_lists,
    absent,
)
REACHING = (virtual, external_bytes, linked_softly, linked_away, linked_to_a_pipe)


def harmless(way, name):
    "What is no fault: the masks may be missing, and any number of pairs and of rejected images is right."
    return (way is absent and name == "silhouettes") or (way is one_more and name in ("pairs", "rejected"))


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_part_that_is_not_as_it_should_be(spoiled, name, way):
    path = spoiled(lambda file: way(file, name))
    if harmless(way, name):
        assert len(open_store(path)) == 6
        return
    sentence = refused(lambda: open_store(path), 'store.h5.*"' if way is one_more else f'store.h5.*"{name}"')
    assert ("reaches out of itself" in sentence) == (way in REACHING), sentence


VALUES = {
    "keypoints: nan": ("keypoints", np.nan),
    "keypoints: infinite": ("keypoints", np.inf),
    "keypoints: far": ("keypoints", 1e30),
    "split": ("split", 2),
    "split below": ("split", -1),
    "pairs beyond": ("pairs", 6),
    "pairs below": ("pairs", -1),
    "pairs huge": ("pairs", 2**31 - 1),
    "names alike": ("names", "a"),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_is_none(spoiled, case):
    name, value = VALUES[case]

    def change(file):
        file[name][...] = value

    refused(lambda: open_store(spoiled(change)), "store.h5 is damaged")


@pytest.mark.parametrize(
    "pairs", [np.zeros((0, 3)), [[0, 5, 0]], [[0, 1, 7]]], ids=["none", "across", "flip"]
)
def test_pairs_that_cannot_be_learned_from(spoiled, pairs):
    path = spoiled(lambda file: replace(file, "pairs", data=np.array(pairs, np.int32)))
    refused(lambda: open_store(path), "pair")


ATTRIBUTES = ("schema", "size", "source", "licence", "counts", "parameters")
STRANGE = {
    "list": [1, 2, 3],
    "null": h5py.Empty("f"),
    "array": np.zeros((2, 2)),
    "bytes": np.bytes_(b"32"),
    "raw": np.void(b"\x01\x02"),
    "fraction": 1.5,
    "complex": 1j,
    "compound": np.zeros((), [("a", "i4")]),
    "yes": np.bool_(True),
    "absent": None,
}


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("kind", STRANGE)
def test_an_attribute_that_is_not_as_it_should_be(spoiled, name, kind):
    def change(file):
        del file.attrs[name]
        if kind != "absent":
            file.attrs[name] = STRANGE[kind]

    refused(lambda: open_store(spoiled(change)), "not a store of this version|is damaged")


@pytest.mark.parametrize("name", ("counts", "parameters"))
@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[1]", "null", '"text"', "3", "[" * 100_000, '{"a":' * 100_000, "1" * 5000, "\udcff"],
    ids=range(10),
)
def test_facts_that_are_no_facts(spoiled, name, text):
    def change(file):
        file.attrs[name] = (
            text.encode(errors="surrogateescape").decode("latin-1") if "\udcff" in text else text
        )

    refused(lambda: open_store(spoiled(change)), "is damaged")


@pytest.mark.parametrize("size", [0, -1, 31, 33, 10**9, 2**62])
def test_a_size_that_cannot_be(spoiled, size):
    refused(lambda: open_store(spoiled(lambda file: file.attrs.__setitem__("size", size))), "is damaged")


def test_counts_are_whole_numbers(spoiled):
    for counts in ({"a": 1.5}, {"a": "many"}, {"a": [1]}, {"a": None}, {"a": True}):
        path = spoiled(lambda file: file.attrs.__setitem__("counts", json.dumps(counts)))
        refused(lambda: open_store(path), "counts")


def test_a_link_that_nothing_needs_is_refused_too(spoiled):
    path = spoiled(lambda file: file.__setitem__("more", h5py.ExternalLink("/etc/hostname", "/")))
    refused(lambda: open_store(path), "reaches out of itself .*/etc/hostname")


def test_many_names_that_are_one_long_text(spoiled):
    "A thousand names of a megabyte each, which take one megabyte in the file, are not read."

    def change(file):
        replace(file, "names", data=np.array(["a" * 2**20] + ["b"] * 5, object), dtype=h5py.string_dtype())

    path = spoiled(change)
    with h5py.File(path) as file:
        place = file["names"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + 96] = content[place : place + 16] * 6
    path.write_bytes(content)
    refused(lambda: open_store(path), "more than the file holds")


def test_images_packed_too_well(spoiled):
    "A part of an image that unpacks to a thousand times its size is not unpacked."
    import zlib

    def change(file):
        file["images"].id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(10**8), 9))

    refused(lambda: open_store(spoiled(change)), "packed in parts")


def test_a_foreign_filter_is_not_loaded(spoiled):
    def change(file):
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((6,))
        made.set_filter(32004, h5py.h5z.FLAG_OPTIONAL, (1,))
        del file["split"]
        space = h5py.h5s.create_simple((6,))
        h5py.h5d.create(file.id, b"split", h5py.h5t.NATIVE_INT8, space, made)

    refused(lambda: open_store(spoiled(change)), "foreign filter|does not hold")


# Files that cannot be opened


def test_places_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    refused(lambda: open_store(tmp_path / "pipe.h5"), "is a pipe, but a file is needed")
    refused(lambda: open_store("/dev/zero"), "is a device")
    refused(lambda: open_store(tmp_path), "is a folder")
    with pytest.raises(UserError, match="There is no store"):
        open_store(tmp_path / "none.h5")


def test_only_a_wrong_signature_means_no_hdf5(spoiled):
    path = spoiled(lambda file: None)
    content = path.read_bytes()
    for spoilt, what in (
        (b"", "is not an HDF5 file: prepare it again"),
        (b"\x89HDF", "is not an HDF5 file"),
        (b"PK\x03\x04" + content[4:], "is not an HDF5 file"),
        (content[:-1], "is cut short: copy it again"),
        (content[:100], "is cut short: copy it again"),
        (content[:8] + b"\xff" * 40 + content[48:], "is damaged"),
        (content[:96] + bytes(500) + content[596:], "store"),
    ):
        path.write_bytes(spoilt)
        refused(lambda: open_store(path), what)


def test_a_locked_store(spoiled):
    path = spoiled(lambda file: None)
    with open(path, "rb+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        sentence = refused(lambda: open_store(path), "is locked by another program")
        assert "prepare" not in sentence
        refused(lambda: prepare("embedded", path, preset("test")), "is locked by another program")
    assert len(open_store(path)) == 6


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(spoiled, monkeypatch, code):
    path, real = spoiled(lambda file: None), h5py.File

    def without_locks(name, mode, locking=None, **options):
        if locking is not False:
            raise OSError(code, f"[Errno {code}] Unable to open file (unable to lock file, errno = {code})")
        return real(name, mode, locking=locking, **options)

    monkeypatch.setattr(h5py, "File", without_locks)
    assert len(open_store(path)) == 6


def test_a_forbidden_store(spoiled, monkeypatch):
    path, real = spoiled(lambda file: None), os.open

    def forbidden(name, *arguments, **options):
        if str(name) == str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return real(name, *arguments, **options)

    monkeypatch.setattr(os, "open", forbidden)
    assert "prepare" not in refused(lambda: open_store(path), "may not be read")


# Dense files of the report


@pytest.fixture
def dense(whole, tmp_path):
    "A dense file of two pairs, changed by a function of the open file."
    write_dense(open_store(whole / "store.h5"), tmp_path, "train", limit=2)
    shutil.copy(tmp_path / "pairs.h5", tmp_path / "other.h5")
    (tmp_path / "secret").write_bytes(SECRET)

    def spoil(change):
        with h5py.File(tmp_path / "pairs.h5", "r+") as file:
            change(file)
        return tmp_path / "pairs.h5"

    return spoil


def read_all(path):
    "All that preparing does with a dense file."
    (found,) = find_dense(path)
    fingerprints(found.path, range(found.pairs))
    with h5py.File(path) as file:
        for pair in range(found.pairs):
            for side in (0, 1):
                dense_image(file, pair, side, "x")


PLACES = [f"Data_{pair}/{part}_{side}" for pair, part, side in ((0, "image_raw", 0), (1, "image_raw", 1))]
PLACES += [f"Data_1/{part}_1" for part in list(PARTS)[1:]]
DENSE_WAYS = [way for way in WAYS if way not in (fixed_text, right_size_but_nothing_in_it)]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("way", DENSE_WAYS, ids=lambda way: way.__name__)
def test_a_part_of_a_dense_file_that_is_not_as_it_should_be(dense, name, way):
    sentence = refused(lambda: read_all(dense(lambda file: way(file, name))), "pairs.h5")
    assert ("reaches out of itself" in sentence) == (way in REACHING), sentence


@pytest.mark.parametrize("way", (linked_softly, linked_away, linked_to_a_pipe), ids=lambda way: way.__name__)
def test_a_pair_of_a_dense_file_that_lies_elsewhere(dense, way):
    path = dense(lambda file: way(file, "Data_1"))
    refused(lambda: read_all(path), "reaches out of itself")
    refused(lambda: read_dense(path.parent, 1), "reaches out of itself")


def test_whole_files_are_read(whole, dense, tmp_path):
    assert len(open_store(whole / "store.h5")) == 6
    read_all(dense(lambda file: None))
    assert read_dense(tmp_path, 1)["image_raw_0"].shape == (32, 32, 3)


# What stopped runs leave beside their results


JUNK_LINES = {
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "a list": b"[1]",
    "a number": b"7",
    "null": b"null",
    "nested": b"[" * 100_000,
    "nested dictionaries": b'{"a":' * 100_000,
    "a long number": b'{"step": ' + b"9" * 9999 + b"}",
    "empty": b"{}",
    "text for a number": b'{"step": "1", "name": 3, "pose": 4}',
}


@pytest.mark.parametrize("kind", JUNK_LINES)
def test_losses_that_are_none(tmp_path, kind):
    (tmp_path / "losses.jsonl").write_bytes(b'{"step": 1, "loss": 0.5}\n' + JUNK_LINES[kind] + b"\n")
    refused(lambda: read_losses(tmp_path), "losses.jsonl is damaged")


def test_losses_that_are_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "losses.jsonl")
    refused(lambda: read_losses(tmp_path), "is a pipe")


@pytest.mark.parametrize("kind", JUNK_LINES)
def test_a_line_of_a_journal_that_is_none(tmp_path, kind):
    "It counts as not written: what stands before it is kept, and the run goes on."
    run, path = {"folder": "a"}, tmp_path / ".a.csv.part"
    journal = Journal(path, run)
    journal.add(dict(name="1.jpg", pose=None))
    journal.close(finished=False)
    whole = path.read_bytes()
    path.write_bytes(whole + JUNK_LINES[kind] + b"\n" + b'{"name": "2.jpg"}\n')
    with within_bounds():
        again = Journal(path, run)
    assert list(again.outcomes) == ["1.jpg"] and path.read_bytes() == whole
    path.write_bytes(JUNK_LINES[kind] + b"\n")
    with within_bounds():
        Journal(path, run, kept=True).close(finished=False)
    assert path.read_bytes() == whole.splitlines(keepends=True)[0]


def test_a_finished_block_that_is_damaged(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.arange(1000))
    whole, path = buffer.getvalue(), tmp_path / "images-00000-abc.npz"
    objects = io.BytesIO()
    np.savez(objects, images=np.array([{}], object))
    for content in (
        b"",
        b"PK",
        b"\x80\x04N.",
        whole[:100],
        whole[:-30],
        whole[:60] + b"\xff" * 40 + whole[100:],
    ):
        path.write_bytes(content)
        refused(lambda: read_block(path), "images-00000-abc.npz is damaged: delete it")
    path.write_bytes(objects.getvalue())
    refused(lambda: read_block(path), "is damaged")
    path.write_bytes(whole)
    assert (read_block(path)["images"] == np.arange(1000)).all()
