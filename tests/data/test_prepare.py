"Preparing data: kills, damaged images, full disks, two processes, foreign files; dense pairs the report's way."

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
import trees
from PIL import Image

from posegen.core import UserError, preset
from posegen.data import prepare as preparing
from posegen.data import sources
from posegen.data.dense import write_dense
from posegen.data.examples import Example
from posegen.data.pairs import PairDataset
from posegen.data.prepare import prepare, report_lines
from posegen.data.sources import plan_listing
from posegen.data.store import open_store
from posegen.data.writing import write_store
from posegen.photos import estimators
from posegen.photos.keypoints import read_keypoint_csv, write_keypoint_csv
from posegen.pose import MASK_LIMBS, flip_keypoints, pose_maps, pose_mask
from posegen.system.blocks import blocks_folder

CONFIG = preset("quick")  # 64 pixels
SHARED = Path(os.environ.get("POSEGEN_SHARED", Path(__file__).parents[3] / "shared" / "data"))


def content(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left_beside(out):
    "What lies beside a store besides the store and the sources."
    return sorted(path.name for path in out.parent.iterdir() if path.name.startswith("."))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    "Images in DeepFashion's own layout; 114 of 150 are kept."
    root = tmp_path_factory.mktemp("in-shop")
    trees.build_tree("in-shop", root, 150)
    return root


@pytest.fixture(scope="module")
def undisturbed(tree, tmp_path_factory):
    "A store of them, made in one go by one process."
    out = tmp_path_factory.mktemp("undisturbed") / "store.h5"
    prepare(tree, out, CONFIG, workers=1)
    return out


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(sources, "IMAGES_PER_BLOCK", 16)
    monkeypatch.setattr(sources, "PAIRS_PER_BLOCK", 16)


# Interruptions

PREPARE = """
import sys, posegen.data.prepare as preparing
from posegen.core import preset
from posegen.data import sources
sources.IMAGES_PER_BLOCK = sources.PAIRS_PER_BLOCK = 8
preparing.prepare(sys.argv[1], sys.argv[2], preset("quick"), workers=int(sys.argv[3]))
"""


def start(tree, out, workers):
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, tree, out, str(workers)], stdout=subprocess.PIPE, text=True
    )


def until(condition, process):
    "Wait for a condition; False if the process ended before."
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    return True


def test_killed_three_times_and_started_again_the_store_is_the_same(tree, undisturbed, tmp_path):
    out = tmp_path / "store.h5"
    parts = tmp_path / ".store.h5.parts"
    begun = [
        lambda: len(list(parts.glob("*.npz"))) >= random.Random(1).randint(1, 5),
        lambda: len(list(parts.glob("*.npz"))) >= random.Random(2).randint(6, 13),
        lambda: any(path.stat().st_size for path in tmp_path.glob(".*.part.store.h5")),
    ]
    kept = 0
    for workers, condition in zip((2, 1, 1), begun):
        process = start(tree, out, workers)
        if until(condition, process):
            process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists() or content(out) == content(undisturbed)
        assert len(list(parts.glob("*.npz"))) >= kept, "finished blocks were lost"
        kept = len(list(parts.glob("*.npz")))
    assert kept > 5
    process = start(tree, out, 1)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "were done before" in said
    assert content(out) == content(undisturbed)
    assert content(out.with_suffix(".rejected.csv")) == content(undisturbed.with_suffix(".rejected.csv"))
    assert left_beside(out) == []


def test_an_ended_worker_is_one_sentence_and_the_work_goes_on(tree, undisturbed, tmp_path, small_blocks):
    out = tmp_path / "store.h5"
    with pytest.raises(UserError, match="worker process was ended from outside"):
        with blocks_folder(out) as folder:
            blocks = plan_listing(preparing.list_source(tree), 64).blocks
            preparing.finished_blocks(folder, blocks[:2], "images", workers=1)
            suicide = sources.Block(os.kill, (os.getpid(), 0), 0, ("a process that ends", 0))
            object.__setattr__(suicide, "function", end_this_process)
            object.__setattr__(suicide, "arguments", ())
            preparing.finished_blocks(folder, [*blocks[:2], suicide, suicide], "images", workers=2)
    assert len(list((tmp_path / ".store.h5.parts").glob("*.npz"))) == 2
    prepare(tree, out, CONFIG, workers=1)
    assert content(out) == content(undisturbed) and left_beside(out) == []


def end_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def test_blocks_of_another_source_or_size_are_not_used(tree, undisturbed, tmp_path, small_blocks, capsys):
    out = tmp_path / "store.h5"
    with pytest.raises(KeyboardInterrupt), blocks_folder(out) as folder:
        blocks = plan_listing(preparing.list_source(tree), 32).blocks
        preparing.finished_blocks(folder, blocks, "images", workers=1)
        raise KeyboardInterrupt
    assert len(list((tmp_path / ".store.h5.parts").glob("*.npz"))) == len(blocks)
    capsys.readouterr()
    prepare(tree, out, CONFIG, workers=1)
    assert "were done before" not in capsys.readouterr().out
    assert content(out) == content(undisturbed)


def test_two_processes_for_one_store(tree, undisturbed, tmp_path):
    out = tmp_path / "store.h5"
    with pytest.raises(KeyboardInterrupt), blocks_folder(out):
        with pytest.raises(UserError, match="Another process is preparing .*store.h5 just now"):
            prepare(tree, out, CONFIG, workers=1)
        raise KeyboardInterrupt
    assert left_beside(out) == []


def test_workers_make_no_difference(tree, undisturbed, tmp_path, small_blocks):
    prepare(tree, tmp_path / "store.h5", CONFIG, workers=2)
    assert content(tmp_path / "store.h5") == content(undisturbed)


def test_rendered_people_are_kept_too(tmp_path, monkeypatch):
    config = preset("test", train_people=2, test_people=1, views=2)
    once = tmp_path / "once.h5"
    prepare("embedded", once, config, workers=1)
    monkeypatch.setattr(sources, "PEOPLE_PER_BLOCK", 1)
    twice = tmp_path / "twice.h5"
    with monkeypatch.context() as stopped:
        stopped.setattr(preparing, "_write", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare("embedded", twice, config, workers=1)
    monkeypatch.setattr(sources, "render_person", None)  # not needed any more
    prepare("embedded", twice, config, workers=1)
    assert content(once) == content(twice) and left_beside(once) == []
    assert open_store(twice).silhouettes.shape == (6, 32, 32)


# Layouts


@pytest.mark.parametrize("layout", trees.LAYOUTS)
def test_each_layout_becomes_a_store(layout, tmp_path):
    drawn = trees.build_tree(layout, tmp_path / "source", 60)
    store = prepare(tmp_path / "source", tmp_path / "store.h5", CONFIG, workers=1)
    copies = sum(one.split == "train" for one in drawn) * (layout == "pg2")
    assert len(store) + len(store.rejected) == 60
    assert store.counts["images found"] == 60 + copies and store.counts["stored images"] == len(store)
    assert (store.split[store.pairs[:, 0]] == store.split[store.pairs[:, 1]]).all()
    assert (store.outfit[store.pairs[:, 0]] == store.outfit[store.pairs[:, 1]]).all()
    told = "\n".join(report_lines(store))
    assert ("(the report: 127,022)" in told) == (layout not in ("people", "folder"))
    table = (tmp_path / "store.rejected.csv").read_text().splitlines()
    assert len(table) == 1 + len(store.rejected) and table[0] == "name,reason"


def test_nothing_left_out_leaves_no_old_table(tmp_path, one_person):
    images, keypoints = one_person
    poses = {f"{n}.png": pose for n, pose in enumerate(keypoints)}
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, image in zip(poses, images):
        Image.fromarray(image).save(folder / name)
    write_keypoint_csv(folder / "table.csv", poses)
    (tmp_path / "store.rejected.csv").write_text("of an earlier store")
    store = prepare(folder, tmp_path / "store.h5", CONFIG, rules=preparing.Rules(require="any"), workers=1)
    assert store.rejected == [] and not (tmp_path / "store.rejected.csv").exists()


OWN = preparing.Rules(frame="own")


class Painted:
    "An estimator that finds nobody, one or two people, as the red of the first pixel says."

    name, looks = "Painted", 0

    def people(self, image):
        Painted.looks += 1
        pose = np.full((18, 3), 0.5, np.float32)
        pose[:, :2] = 10 + np.arange(36).reshape(18, 2)
        return [pose] * round(image[0, 0, 0] / 100)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    "Two people of three photographs, one to train and one to test; an estimator for them, in this process."
    monkeypatch.setattr(estimators, "MediaPipeEstimator", Painted)
    for number in range(6):
        name = ("train/ann", "test/bob")[number // 3]
        paint(tmp_path / "photos" / name / f"{number}.png", 100, number)
    return tmp_path / "photos"


def paint(path, red, blue=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (red, 0, 10 * blue)).save(path)


def test_what_is_no_image_does_not_stop_the_estimate(photos, tmp_path):
    (photos / "train/ann/x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    paint(tmp_path / "elsewhere.png", 100)
    (photos / "train/ann/link.png").symlink_to(tmp_path / "elsewhere.png")
    paint(photos / "train/ann/nobody.png", 0)
    paint(photos / "train/ann/nobody too.png", 0, 1)
    paint(photos / "train/ann/two.png", 200)
    (photos / "train/ann/text.png").write_text("no picture")
    store = prepare(photos, tmp_path / "store.h5", CONFIG, "estimate", workers=1)
    assert len(store) == 6 and (store.keypoints[..., 2] == 0.5).all(), "the confidences are kept"
    assert store.parameters["estimator"] == "Painted" and store.parameters["person"] == "only"
    reasons = dict(store.rejected)
    assert "HEIC" in reasons["train/ann/x.heic"] and "out of the folder" in reasons["train/ann/link.png"]
    assert reasons["train/ann/two.png"] == "2 people"
    assert reasons["train/ann/text.png"] == "unreadable: is not an image of a kind that can be read"
    assert "left out, nobody found: 2" in report_lines(store)


def test_an_estimate_follows_the_photos_and_the_choice_of_person(photos, tmp_path):
    out = tmp_path / "own-resize-.h5"
    paint(photos / "test/bob/5.png", 200)

    def looks(**rules):
        Painted.looks = 0
        names = prepare(photos, out, CONFIG, "estimate", preparing.Rules(**rules), workers=1).names
        return Painted.looks, len(names)

    assert looks() == (6, 5)
    before = content(out)
    assert looks() == (0, 5) and content(out) == before
    paint(photos / "train/ann/1.png", 0, 77)
    assert looks() == (1, 4)
    assert looks(person="largest") == (6, 5)
    out.with_suffix(".keypoints.jsonl").unlink()
    with pytest.raises(UserError, match="keypoints.csv exists already; choose another name or remove it"):
        looks()


def test_names_that_no_store_should_have(photos, tmp_path):
    with pytest.raises(UserError, match="photo.jpg does not end in .h5; name the store photo.jpg.h5"):
        prepare(photos, tmp_path / "photo.jpg", CONFIG, "estimate", workers=1)
    (tmp_path / "mine.h5").write_text("my own work")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["mine"] = 1
    for name in ("mine.h5", "other.h5"):
        before = content(tmp_path / name)
        with pytest.raises(UserError, match=f"{name} exists and is no store; choose another name"):
            prepare(photos, tmp_path / name, CONFIG, "estimate", workers=1)
        assert content(tmp_path / name) == before
    with pytest.raises(UserError, match="0.png is neither a folder nor a store; give the folder of your"):
        prepare(photos / "train/ann/0.png", tmp_path / "store.h5", CONFIG)
    assert left_beside(tmp_path / "store.h5") == []


def test_one_picture_to_train_and_to_test_is_refused(photos, tmp_path):
    shutil.copyfile(photos / "train/ann/1.png", photos / "test/bob/copy.png")
    with pytest.raises(UserError, match="copy.png and .*1.png are the same picture, one to train"):
        prepare(photos, tmp_path / "store.h5", CONFIG, "estimate", workers=1)
    assert not (tmp_path / "store.h5").exists() and left_beside(tmp_path / "store.h5") == []


def test_too_few_images_for_a_pair_are_found_out_before_they_are_read(photos, tmp_path, monkeypatch):
    for number in (3, 4):
        paint(photos / f"test/bob/{number}.png", 0)
    with monkeypatch.context() as unread:
        unread.setattr(preparing, "finished_blocks", None)
        with pytest.raises(UserError, match="gives no test pair: .*found 1 images there"):
            prepare(photos, tmp_path / "store.h5", CONFIG, "estimate", workers=1)
    assert left_beside(tmp_path / "store.h5") == []
    assert (tmp_path / "store.rejected.csv").read_text().count("nobody found") == 2


def test_a_pose_that_loses_required_keypoints_at_the_border_is_left_out(photos, tmp_path):
    poses = {path.relative_to(photos).as_posix(): np.full((18, 3), 20.0) for path in photos.rglob("*.png")}
    poses["train/ann/1.png"][8, :2] = 90, 20  # the right hip
    write_keypoint_csv(tmp_path / "table.csv", poses)
    store = prepare(photos, tmp_path / "store.h5", CONFIG, tmp_path / "table.csv", OWN, workers=1)
    assert store.rejected == [("train/ann/1.png", "incomplete: no right_hip inside the image")]
    for number in (0, 2):
        poses[f"train/ann/{number}.png"][8, :2] = 90, 20
    write_keypoint_csv(tmp_path / "table.csv", poses)
    with pytest.raises(UserError, match="gives no train pair"):
        prepare(photos, tmp_path / "store.h5", CONFIG, tmp_path / "table.csv", OWN, workers=1)
    assert left_beside(tmp_path / "store.h5") == [], "the finished blocks lead nowhere"


# Damaged images


def damage(tree, tmp_path):
    "A copy of the tree with two damaged images that would be kept, the later one an empty file."
    for path in tree.rglob("*"):
        target = tmp_path / "source" / path.relative_to(tree)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    entries = preparing.list_source(tree).entries
    for entry, keep in ((entries[70], 900), (entries[90], 0)):
        path = tmp_path / "source" / entry.name
        beginning = path.read_bytes()[:keep]
        path.unlink()
        path.write_bytes(beginning)
    return tmp_path / "source", entries[70].name, entries[90].name


def test_a_damaged_image_stops_or_is_left_out(tree, undisturbed, tmp_path, small_blocks, capsys):
    source, cut, empty = damage(tree, tmp_path)
    out = tmp_path / "store.h5"
    for workers in (1, 2):
        with pytest.raises(
            UserError, match=f"{re.escape(cut)} is damaged or cut short.*run again with --skip-damaged"
        ):
            prepare(source, out, CONFIG, workers=workers)
    assert not out.exists() and len(list((tmp_path / ".store.h5.parts").glob("*.npz"))) >= 4
    capsys.readouterr()
    store = prepare(source, out, CONFIG, skip_damaged=True, workers=1)
    assert "were done before" in capsys.readouterr().out
    assert dict(store.rejected)[cut].startswith("is damaged or cut short")
    assert dict(store.rejected)[empty] == "is empty: copy or download it again"
    assert store.counts["left out while reading"] == 2 and not {cut, empty} & set(store.names)
    assert str(tmp_path) not in "".join(reason for _, reason in store.rejected)
    whole = open_store(undisturbed)
    spoiled = np.isin(whole.names[whole.pairs[:, :2]], [cut, empty]).any(1)
    named = [
        [(s.names[a], s.names[b], flip) for a, b, flip in pairs]
        for s, pairs in ((whole, whole.pairs[~spoiled]), (store, store.pairs))
    ]
    assert named[0] == named[1], "exactly their pairs are missing"


# Places that cannot be written


def test_places_that_cannot_be_written(tree, tmp_path):
    def attempt(out):
        prepare(tree, out, CONFIG, workers=1)

    with pytest.raises(UserError, match="is a folder; name a file in it, for example"):
        attempt(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file, where a folder is needed: choose another place"):
        attempt(tmp_path / "file" / "store.h5")
    with pytest.raises(UserError, match="Nothing can be written beside /proc/none/store.h5"):
        attempt(Path("/proc/none/store.h5"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_too_little_room_is_found_out_before_the_work(tree, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")(100_000)
    monkeypatch.setattr(preparing.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(
        UserError, match=r"no room on the disk to write .*store.h5: 114 images of 64 pixels take about"
    ):
        prepare(tree, tmp_path / "store.h5", CONFIG, workers=1)
    assert list(tmp_path.iterdir()) == []


# Dense files


@pytest.fixture(scope="module")
def written_densely(undisturbed, tmp_path_factory):
    store, folder = open_store(undisturbed), tmp_path_factory.mktemp("dense")
    write_dense(store, folder / "train", "train", limit=40)
    write_dense(store, folder / "test", "test", limit=10)
    return folder


@pytest.fixture
def dense(written_densely, tmp_path):
    "The first pairs of the store in the report's layout."
    return shutil.copytree(written_densely, tmp_path / "dense")


def test_dense_files_become_a_store(dense, undisturbed, tmp_path, small_blocks):
    source, store = open_store(undisturbed), prepare(dense, tmp_path / "store.h5", CONFIG, workers=1)
    rows = [PairDataset(source, split).rows[:n] for split, n in (("train", 40), ("test", 10))]
    expected, found = source.pairs[np.concatenate(rows)], store.pairs
    assert (found[:, 2] == expected[:, 2]).all() and found[:, 2].any()
    for column in (0, 1):
        assert (store.images[found[:, column]] == source.images[expected[:, column]]).all()
        assert (store.keypoints[found[:, column]] == source.keypoints[expected[:, column]]).all()
    assert store.counts["images whose pose maps are not those of their keypoints"] == 0
    assert store.counts["images whose mask is not that of their keypoints"] == 0
    assert store.counts["mirror images among them, not stored"] > 0
    assert len(store) == len(np.unique(expected[:, :2]))


def test_one_dense_file_is_split_by_outfits(dense, tmp_path):
    store = prepare(dense / "train", tmp_path / "store.h5", CONFIG, workers=1)
    assert set(store.outfit[store.split == 0]).isdisjoint(store.outfit[store.split == 1])
    assert store.counts["train pairs"] + store.counts["test pairs"] == 40
    by_path = prepare(dense / "train" / "pairs.h5", tmp_path / "by_path.h5", CONFIG, workers=1)
    assert content(by_path.path) == content(store.path)


def spoil(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def replace(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


def replace_all_pairs(path):
    (path.parent / "total_pairs.txt").unlink()
    with h5py.File(path, "w") as file:
        file.create_group("Data_of_another_kind")


def rings_for_discs(file):
    for name in list(file):
        for side in (0, 1):
            file[f"{name}/pose_r8_{side}"][20:60:2, :, :] = 1


BAD_DENSE = [
    (
        lambda d: spoil(d / "train/pairs.h5", lambda f: f.__delitem__("Data_3/pose_r8_1")),
        r'has no "Data_3/pose_r8_1"',
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", lambda f: f.__delitem__("Data_7")),
        r'says "cnt:40", but .* holds 39 pairs',
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", lambda f: f.move("Data_39", "Data_99")),
        r'has no "Data_39/image_raw_0"',
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", replace("Data_2/pose_mask_r8_0", np.zeros((64, 64, 2)))),
        r'"Data_2/pose_mask_r8_0" is float64 \(64, 64, 2\), but a square of 1 channels',
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", replace("Data_2/image_raw_0", np.zeros((64, 32, 3)))),
        r'"Data_2/image_raw_0" is float64 \(64, 32, 3\)',
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", replace("Data_0/image_raw_0", np.full((64, 64, 3), -0.5))),
        "no whole numbers from 0 to 255",
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", replace("Data_0/image_raw_0", np.full((64, 64, 3), np.nan))),
        "no whole numbers from 0 to 255",
    ),
    (
        lambda d: spoil(d / "train/pairs.h5", replace("Data_0/image_raw_0", np.zeros((32, 32, 3)))),
        "pairs.h5 holds images of 32 pixels, .* 64 were asked for",
    ),
    (
        lambda d: [spoil(d / part / "pairs.h5", rings_for_discs) for part in ("train", "test")],
        "No pose map in these dense files consists of discs",
    ),
    (lambda d: (d / "train/total_pairs.txt").write_text("cnt:41"), r'says "cnt:41", but .* holds 40 pairs'),
    (
        lambda d: (d / "train/pairs.h5").write_bytes((d / "train/pairs.h5").read_bytes()[:-5000]),
        "is cut short",
    ),
    (
        lambda d: [replace_all_pairs(d / part / "pairs.h5") for part in ("train", "test")],
        "has no .Data_0/image_raw_0",
    ),
    (lambda d: os.link(d / "train/pairs.h5", d / "train/more.h5"), "holds several dense files"),
    (
        lambda d: [
            (d / "test" / name).write_bytes((d / "train" / name).read_bytes())
            for name in ("pairs.h5", "total_pairs.txt")
        ],
        r"images lie in .*train/pairs.h5 and in .*test/pairs.h5",
    ),
]


@pytest.mark.parametrize("spoiling, sentence", BAD_DENSE)
def test_a_bad_dense_file(dense, tmp_path, spoiling, sentence):
    spoiling(dense)
    with pytest.raises(UserError, match=sentence):
        prepare(dense, tmp_path / "store.h5", CONFIG, workers=1)
    assert not (tmp_path / "store.h5").exists()


def test_the_source_is_not_written_over(dense):
    before = content(dense / "train" / "pairs.h5")
    with pytest.raises(UserError, match="is the source itself"):
        prepare(dense / "train", dense / "train" / "pairs.h5", CONFIG, workers=1)
    assert content(dense / "train" / "pairs.h5") == before


# Files that are no stores

BAD_STORES = [
    (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "is cut short"),
    (lambda path: path.write_bytes(b""), "is not an HDF5 file"),
    (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000)), "is not an HDF5 file"),
    (
        lambda path: spoil(path, lambda f: f.attrs.__setitem__("schema", 99)),
        "not a store of this version .schema 99",
    ),
    (lambda path: spoil(path, lambda f: f.__delitem__("images")), "is damaged"),
    (
        lambda path: spoil(path, replace("pairs", np.full((4, 3), 1000, np.int32))),
        "pairs name images that are not there",
    ),
    (
        lambda path: spoil(path, replace("split", np.zeros((3,), np.int8))),
        r'damaged .*"keypoints" has the shape',
    ),
    (lambda path: spoil(path, replace("names", np.zeros(114))), "is damaged"),
    (lambda path: spoil(path, lambda f: f.attrs.__setitem__("counts", "no JSON")), "is damaged"),
]


@pytest.mark.parametrize("spoiling, sentence", BAD_STORES)
def test_a_bad_store(undisturbed, posegen, tmp_path, spoiling, sentence):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(undisturbed.read_bytes())
    spoiling(bad)
    with pytest.raises(UserError, match=sentence):
        prepare(bad, tmp_path / "store.h5", CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.h5"]
    outcome = posegen("info", bad)
    assert outcome.status == 2 and outcome.error.count("\n") == 1, outcome.error


# Maps and masks the report's way: discs and limbs one by one, as PG2 draws them; of posegen.pose only the limbs


def disc_offsets(radius):
    reach = int(radius)
    return np.array(
        [
            (dx, dy)
            for dx in range(-reach, reach + 1)
            for dy in range(-reach, reach + 1)
            if dx * dx + dy * dy <= radius * radius
        ]
    )


def stamp(picture, x, y, offsets):
    columns, rows = (offsets + [int(x), int(y)]).T
    inside = (columns >= 0) & (columns < len(picture)) & (rows >= 0) & (rows < len(picture))
    picture[rows[inside], columns[inside]] = 1


def over_a_square(picture, side, extreme, outside):
    "The extreme of the square of this side around each pixel."
    padded = np.pad(picture, side // 2, constant_values=outside)
    size = len(picture)
    return extreme.reduce([padded[y : y + size, x : x + size] for y in range(side) for x in range(side)])


def report_maps(keypoints, size):
    maps, offsets = np.zeros((18, size, size), np.uint8), disc_offsets(8 * size / 256)
    for channel, (x, y, confidence) in zip(maps, keypoints.astype(float)):
        if confidence > 0:
            stamp(channel, x, y, offsets)
    return maps


def report_mask(keypoints, size):
    mask, radius = np.zeros((size, size), np.uint8), 8 * size / 256
    offsets, keypoints = disc_offsets(radius), keypoints.astype(float)
    for a, b in MASK_LIMBS:
        (x0, y0, present), (x1, y1, both) = keypoints[a], keypoints[b]
        if present > 0 and both > 0:
            n = int(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 / radius)
            between = [(x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n) for i in range(1, n)]
            for x, y in [(x0, y0), (x1, y1), *between]:
                stamp(mask, x, y, offsets)
    side = 5 if size == 256 else 3
    return over_a_square(over_a_square(mask, side, np.maximum, 0), side, np.minimum, 1)


def assert_rebuilt_as_the_report_made_them(poses, size, path):
    "All training pairs of a store of these poses (n, 18, 3), drawn from the store and the report's way."
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[:, : size // 2] = 9
    write_store(
        path,
        (
            Example(pixels, pose, f"{n}", "test" if n < 2 else "train", n // 2, n // 2)
            for n, pose in enumerate(poses)
        ),
        size,
        "poses",
    )
    dataset = PairDataset(open_store(path), "train")
    seen = set()
    for first in range(0, len(dataset), 2):
        rows = range(first, min(first + 2, len(dataset)))
        batch = dataset.batch(rows)
        maps, masks = (draw(batch["target_keypoints"], size).numpy() for draw in (pose_maps, pose_mask))
        for (_, target, flip), drawn, mask in zip(dataset.store.pairs[dataset.rows[rows]], maps, masks):
            pose = flip_keypoints(poses[target], size) if flip else poses[target]
            assert ((drawn > 0) == report_maps(pose, size)).all() and (
                mask[0] == report_mask(pose, size)
            ).all()
            seen.add((int(target), int(flip)))
    return len(seen)


@pytest.mark.parametrize("size", [256, 64])
def test_pairs_are_rebuilt_bit_by_bit_from_drawn_poses(size, tmp_path):
    rng = np.random.default_rng(0)
    poses = np.concatenate([rng.uniform(-5, size + 5, (40, 18, 2)), rng.random((40, 18, 1)) > 0.2], 2)
    poses = (poses * (poses[..., 2:] > 0)).astype(np.float32)
    assert assert_rebuilt_as_the_report_made_them(poses, size, tmp_path / "store.h5") == 76


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real data sets are not here; name their folder with POSEGEN_SHARED"
)
def test_pairs_are_rebuilt_bit_by_bit_from_real_poses(tmp_path):
    folder = SHARED / "deepfashion_keypoints"
    tables = [
        read_keypoint_csv(folder / "fasion-resize-annotation-test.csv", x_offset=40),
        read_keypoint_csv(folder / "fasion-annotation-test.csv"),
    ]
    poses = np.stack([pose for table in tables for pose in table.values() if pose[:, 2].any()])
    chosen = poses[np.random.default_rng(0).permutation(len(poses))[:1002]]
    # two of them are for testing; each of the others once as it is and once mirrored
    assert assert_rebuilt_as_the_report_made_them(chosen, 256, tmp_path / "store.h5") == 2000
