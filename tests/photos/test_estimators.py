"The pose estimator: against MediaPipe and OpenPose, over folders, stopped and started, with bad images."

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from posegen.core import UserError
from posegen.data.store import export_keypoints
from posegen.metrics.agreement import correct_keypoints, torso_lengths
from posegen.photos import estimators
from posegen.photos.blazepose import LANDMARKS, body_region
from posegen.photos.candidates import read_openpose_candidates
from posegen.photos.estimators import MediaPipeEstimator, estimate_folder
from posegen.photos.images import read_image
from posegen.photos.keypoints import choose_person, person_size, read_keypoint_csv, read_openpose_json

SHARED = Path(os.environ.get("POSEGEN_SHARED", Path(__file__).parents[3] / "shared" / "data"))
needs_litert = pytest.mark.skipif(
    not find_spec("ai_edge_litert"), reason='LiteRT is not here: pip install "posegen[estimator]"'
)
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real data sets are not here; name their folder with POSEGEN_SHARED"
)


@pytest.fixture(scope="module")
def estimator():
    return MediaPipeEstimator()


class Corners:
    "An estimator that finds one person in a bright picture: the whole picture."

    def people(self, image):
        pose = np.zeros((18, 3), np.float32)
        pose[0], pose[10] = (0, 0, 0.75), (image.shape[1] - 1, image.shape[0] - 1, 0.5)
        return [pose] if image.mean() > 100 else []


class SlowCorners(Corners):
    def people(self, image):
        time.sleep(0.015)
        return super().people(image)


# what mediapipe 0.10.14 itself says about scikit-image's astronaut (static_image_mode, model_complexity 1)
MEDIAPIPE = {
    "nose": (222.7, 128.0),
    "left_eye_inner": (240.9, 111.3),
    "left_eye": (248.9, 112.5),
    "left_eye_outer": (256.4, 113.7),
    "right_eye_inner": (214.5, 105.7),
    "right_eye": (205.0, 103.3),
    "right_eye_outer": (196.6, 101.5),
    "left_ear": (268.0, 122.8),
    "right_ear": (190.4, 107.4),
    "left_mouth": (233.8, 153.9),
    "right_mouth": (205.8, 147.7),
    "left_shoulder": (306.2, 256.6),
    "right_shoulder": (112.7, 240.0),
}


@needs_litert
def test_one_look_gives_what_mediapipe_gives(estimator):
    from skimage.data import astronaut

    image = astronaut()
    (detection,) = estimator.networks.detect(image)
    person = estimator.networks.landmarks(image, body_region(*detection.points[:2]))
    for name, place in MEDIAPIPE.items():
        number = LANDMARKS.index(name)
        # the network's pixels are 5 pixels of the photo
        assert np.hypot(*(person.points[number] - place)) < 3, name
        assert person.visibility[number] > 0.99


def in_frame(pose, image):
    "A pose in pixels of `image` in the 256 x 256 frame: padded to a square, scaled."
    height, width = image.shape[:2]
    side = max(height, width)
    moved = (pose + np.array([(side - width) / 2, (side - height) / 2, 0])) * [256 / side, 256 / side, 1]
    return np.where(pose[:, 2:] > 0, moved, 0)


def real_set(kind):
    "[(image, OpenPose's pose in the 256 frame)]"
    folder = SHARED / "deepfashion_images"
    if kind == "candidates":
        stems = [path.with_suffix("") for path in sorted((folder / "openpose18_cocosnet").glob("*.jpg"))]
        rows = [
            (f"{stem}.jpg", read_openpose_candidates(f"{stem}_candidate.txt", f"{stem}_subset.txt"))
            for stem in stems
        ]
    else:
        table = read_keypoint_csv(folder / "matched_openpose18.csv")
        rows = [(folder / name, pose) for name, pose in table.items()]
    return [(np.asarray(read_image(path)), pose) for path, pose in rows]


@needs_litert
@needs_shared
@pytest.mark.parametrize("kind, images", [("candidates", 8), ("matched", 13)])
def test_agreement_with_openpose(estimator, kind, images):
    rows = real_set(kind)
    assert len(rows) == images
    wanted = np.stack([pose for _, pose in rows])
    wanted[..., 2] = wanted[..., 2] > 0  # whatever OpenPose saw counts, however unsure it was
    poses = [choose_person(estimator.people(image), "largest", "image") for image, _ in rows]
    found = np.stack([in_frame(pose, image) for pose, (image, _) in zip(poses, rows)])
    asked = wanted[..., 2] > 0
    returned = asked & (found[..., 2] > 0)
    assert returned.sum() / asked.sum() >= 0.9
    assert np.median(np.hypot(*(found - wanted)[returned][:, :2].T)) <= 3.5
    correct = correct_keypoints(found, wanted, 0.2 * torso_lengths(wanted))
    assert np.average(correct, weights=asked.sum(1)) >= 0.9


@needs_litert
@needs_shared
def test_every_frame_of_the_real_video_has_one_person(estimator):
    frames = sorted((SHARED / "fashion_video" / "frames256").glob("*.jpg"))[::10]
    assert [len(estimator.people(np.asarray(read_image(frame)))) for frame in frames] == [1] * 11


@needs_litert
def test_rendered_people_and_their_mirror_images(estimator):
    from posegen.people import render_people
    from posegen.pose import flip_keypoints

    person = next(iter(render_people(1, views=6, size=128, seed=8, progress=False)))
    truth = person.keypoints * (person.keypoints[..., 2:] == 1)

    def poses(images):
        return np.stack([choose_person(estimator.people(image), "only", "view") for image in images])

    found = poses(person.images)
    correct = correct_keypoints(found, truth, 0.2 * torso_lengths(person.keypoints))
    assert correct.mean() > 0.9
    mirrored = flip_keypoints(poses(person.images[:, :, ::-1]), 128)
    both = (mirrored[..., 2] > 0) & (found[..., 2] > 0)
    assert np.median(np.hypot(*(mirrored - found)[both][:, :2].T)) < 1


@needs_litert
def test_several_people_come_largest_first(estimator):
    from skimage.data import astronaut

    large, small = astronaut(), np.full((512, 450, 3), 128, np.uint8)
    small[20:470] = np.asarray(Image.fromarray(large).resize((450, 450)))
    poses = estimator.people(np.concatenate([small, large], 1))
    assert len(poses) == 2 and person_size(poses[0]) > person_size(poses[1])
    assert poses[0][0, 0] > 450 > poses[1][0, 0], "the large one is on the right"
    with pytest.raises(UserError, match="holds 2 people"):
        choose_person(poses, "only", "the picture")


@needs_litert
@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (600, 2), (64, 64)])
def test_images_of_any_shape_without_a_person(estimator, shape):
    assert estimator.people(np.full((*shape, 3), 200, np.uint8)) == []


def test_without_litert_all_but_the_networks_works():
    program = """if True:
        import sys
        sys.modules["ai_edge_litert"] = None          # as if it were not installed
        from posegen.core import UserError
        from posegen.photos.estimators import MediaPipeEstimator
        from posegen.photos.keypoints import read_keypoint_csv, choose_person
        try:
            MediaPipeEstimator()
        except UserError as error:
            print(error)
        del sys.modules["ai_edge_litert"]
        from importlib.util import find_spec
        if find_spec("ai_edge_litert"):
            MediaPipeEstimator()
        sys.stderr.write("end")
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "posegen[estimator]"' in done.stdout
    assert done.stderr == "end", "LiteRT's own lines are held back"


# ---- folders


@pytest.fixture
def folder(tmp_path):
    "60 small pictures, every fifth dark, in folders with a space and an umlaut."
    folder = tmp_path / "photos"
    for number in range(60):
        path = folder / ("größe 1" if number % 2 else "b") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + number, 30), "black" if number % 5 == 0 else "white").save(path)
    return folder


def test_counts_rows_and_reasons(folder, tmp_path):
    counts, rejected = estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    assert counts == dict(
        images=60,
        poses=48,
        nobody=12,
        several=0,
        refused=0,
        doubtful=0,
        unreadable=0,
        unnameable=0,
        unusable=0,
    )
    assert len(rejected) == 12 and {reason for _, reason in rejected} == {"nobody found"}
    poses = read_keypoint_csv(tmp_path / "a.csv")
    assert list(poses) == sorted(poses) and len(poses) == 60
    assert (poses["größe 1/01.png"][10] == (20, 29, 1)).all() and not poses["b/10.png"].any()


def test_two_processes_give_the_same_bytes_as_one(folder, tmp_path):
    one = estimate_folder(folder, tmp_path / "one.csv", estimator=Corners(), workers=1)
    two = estimate_folder(folder, tmp_path / "two.csv", estimator=Corners(), workers=2)
    assert one == two and (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_killed_at_ten_random_moments_and_started_again(folder, tmp_path):
    """The moments are told by the journal, not by a clock: each life gets a few images further, then it is killed.

    The pauses make the moment within an image a random one, however fast or busy the machine is."""
    estimate_folder(folder, tmp_path / "undisturbed.csv", estimator=Corners(), workers=1)
    table = tmp_path / "killed" / "a.csv"
    journal = table.with_name(".a.csv.part")
    forks, moments = multiprocessing.get_context("fork"), random.Random(0)

    def lines():
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    done = [0]
    for _ in range(10):
        run = forks.Process(target=estimate_folder, args=(folder, table, "largest", SlowCorners(), 1))
        run.start()
        further = done[-1] + moments.randrange(1, 5)
        while lines() < further and run.is_alive():
            time.sleep(0.0002)
        time.sleep(0.005 * moments.random())
        run.kill()
        run.join()
        assert run.exitcode == -9 and not table.exists()
        done.append(lines())
        if done[-1] > 50:  # a long pause of this process: the rest would be over before the next blow
            break
    assert done == sorted(done) and done[-1] > 10, "each run went on where the one before was killed"
    estimate_folder(folder, table, estimator=SlowCorners(), workers=1)
    assert table.read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()
    assert [path.name for path in table.parent.iterdir()] == ["a.csv"]


def test_an_image_that_changed_since_is_looked_at_again(folder, tmp_path):
    class Stops(Corners):
        left = 30

        def people(self, image):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().people(image)

    with pytest.raises(KeyboardInterrupt):
        estimate_folder(folder, tmp_path / "a.csv", estimator=Stops(), workers=1)
    Image.new("RGB", (99, 99), "white").save(folder / "b" / "00.png")
    stops = Stops()
    stops.left = 31  # the other half and the one that changed
    counts, _ = estimate_folder(folder, tmp_path / "a.csv", estimator=stops, workers=1)
    assert counts["poses"] == 49 and read_keypoint_csv(tmp_path / "a.csv")["b/00.png"][10, 0] == 98


def bad_folder(root):
    "Images with which something is wrong, and what the reason must say."
    root.mkdir()
    white = Image.new("RGB", (40, 30), "white")
    white.save(root.parent / "outside.png")
    white.save(root / "whole.jpg")
    whole = (root / "whole.jpg").read_bytes()
    (root / "whole.jpg").unlink()
    files = {
        "cut.jpg": (whole[: len(whole) // 2], "damaged or cut short"),
        "empty.png": (b"", "is empty: copy or download it again"),
        "text.jpg": (b"hello", "not an image of a kind"),
        "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        "gif.png": (b"GIF89a" + bytes(20), "damaged"),
        "zeros.webp": (bytes(1000), "holds nothing but zeros: copy or download it again"),
    }
    for name, (content, _) in files.items():
        (root / name).write_bytes(content)
    Image.new("1", (30_000, 2)).save(root / "long.png")
    (root / "link.png").symlink_to(root.parent / "outside.png")
    (root / "dead.png").symlink_to(root / "nowhere.png")
    expected = {name: reason for name, (_, reason) in files.items()}
    expected |= {"long.png": "30,000", "link.png": "out of the folder", "dead.png": "leads nowhere"}
    for name in ("a:b.png", "line\nbreak.png", " space.png", os.fsdecode(b"\xff.png")):
        white.save(root / name)
        expected[name] = "rename"
    (root / "folder.png").mkdir()  # not a file: passed over, but what is in it counts
    Image.new("LA", (20, 20), (255, 0)).save(root / "folder.png" / "good.png")
    return expected


def test_each_bad_image_has_its_sentence_and_stops_nothing(tmp_path):
    expected = bad_folder(tmp_path / "photos")
    photos = tmp_path / "photos"
    counts, rejected = estimate_folder(photos, tmp_path / "a.csv", estimator=Corners(), workers=1)
    # a name that is no text is told in ASCII
    reasons = {name: reason for name, reason in rejected if "udcff" not in name}
    del expected[os.fsdecode(b"\xff.png")]
    for name, part in expected.items():
        assert part in reasons[name], (name, reasons[name])
        assert str(tmp_path) not in reasons[name] and "\n" not in reasons[name]
    assert set(reasons) == set(expected) and len(rejected) == len(reasons) + 1
    assert counts == dict(
        images=9, poses=1, nobody=0, several=0, refused=0, doubtful=0, unreadable=6, unnameable=2, unusable=5
    )
    assert list(read_keypoint_csv(tmp_path / "a.csv")) == sorted(
        [name for name in reasons if reasons[name].startswith("unreadable")] + ["folder.png/good.png"]
    )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("nowhere", "a.csv"), "There is no folder"),
        (("empty", "a.csv"), "holds no image"),
        (("photos", "a.csv", "first"), "largest, only"),
        (("photos", "full"), "exists already"),
        (("photos", "photos/b/10.png/a.csv"), "is a file, where a folder is needed"),
    ],
)
def test_bad_runs_are_refused_before_they_start(folder, tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    source, table, *rest = arguments
    with pytest.raises(UserError, match=sentence):
        estimate_folder(tmp_path / source, tmp_path / table, *rest, estimator=Corners())


def test_a_table_that_is_not_of_a_stopped_run_is_left_alone(folder, tmp_path):
    (tmp_path / "a.csv").write_text("my own work")
    with pytest.raises(UserError, match="a.csv exists already; choose another name or remove it"):
        estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    assert (tmp_path / "a.csv").read_text() == "my own work" and not (tmp_path / ".a.csv.part").exists()


def test_another_runs_journal_is_left_alone(folder, tmp_path):
    journal = tmp_path / ".a.csv.part"
    journal.write_text('{"folder": "elsewhere"}\n{"name": "b/10.png"}\n')
    with pytest.raises(UserError, match="repeat that run, or delete the file"):
        estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    assert journal.read_text().count("\n") == 2
    journal.write_bytes(b"\0" * 500)  # what a power cut can leave behind
    counts, _ = estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    assert counts["poses"] == 48 and not journal.exists()


POSE = [[1.0, 2.0, 1.0]] * 18
HOSTILE = {
    "text for a pose": dict(pose="here"),
    "a pose of 17 points": dict(pose=POSE[1:]),
    "an empty pose": dict(pose=[]),
    "a ragged pose": dict(pose=[[1, 2], [3]]),
    "a pose of NaN": dict(pose=[[float("nan")] * 3] * 18),
    "a pose that is too far": dict(pose=[[1e300] * 3] * 18),
    "a pose of 400 digits": dict(pose=[[10**400, 0, 1]] * 18),
    "people in words": dict(pose=POSE, people="two"),
    "a list for a reason": dict(reason=["none"]),
    "neither pose nor reason": dict(reason=None),
    "doubt that is a number": dict(pose=POSE, doubt=3),
    "a grade that is a list": dict(pose=POSE, grade=[]),
    "no stamp": dict(pose=POSE, stamp=None),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_no_journal_of_ours_says_is_looked_at_again(folder, tmp_path, monkeypatch, kind):
    "The table is the one of a run that nobody disturbed."
    estimate_folder(folder, tmp_path / "whole.csv", estimator=Corners(), workers=1)
    with monkeypatch.context() as stopped, pytest.raises(InterruptedError):
        stopped.setattr(estimators, "write_keypoints", lambda *_: exec("raise InterruptedError"))
        estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    journal = tmp_path / ".a.csv.part"
    head, *lines = journal.read_text().splitlines()
    entry = {**json.loads(lines[3]), "people": 1, "pose": None, "reason": "nobody found", **HOSTILE[kind]}
    journal.write_text("\n".join([head, *lines, json.dumps(entry), '{"name": "\\u0000"}', ""]))
    counts, _ = estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    assert counts["poses"] == 48 and not journal.exists()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_pipe_for_a_journal_is_refused(folder, tmp_path):
    os.mkfifo(tmp_path / ".a.csv.part")
    with pytest.raises(UserError, match="a.csv.part is a pipe"):
        estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)


def estimate_with_little_room(folder, table, sentences):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, resource.RLIM_INFINITY))
    try:
        estimate_folder(folder, table, estimator=Corners(), workers=1)
    except UserError as error:
        sentences.put(str(error))


def test_a_full_disk_keeps_what_is_done(folder, tmp_path):
    forks = multiprocessing.get_context("fork")
    sentences = forks.Queue()
    run = forks.Process(target=estimate_with_little_room, args=(folder, tmp_path / "a.csv", sentences))
    run.start()
    sentence = sentences.get(timeout=60)
    run.join()
    assert "make room" in sentence and "what is done is kept" in sentence
    assert (tmp_path / ".a.csv.part").stat().st_size == 8000 and not (tmp_path / "a.csv").exists()
    counts, _ = estimate_folder(folder, tmp_path / "a.csv", estimator=Corners(), workers=1)
    assert counts["poses"] == 48 and not (tmp_path / ".a.csv.part").exists()


def test_a_stores_keypoints_survive_both_formats(tmp_path):
    class Store:
        names = np.array(["a.jpg", "b/c d.png"])
        keypoints = np.zeros((2, 18, 3), np.float32)
        path = "store.h5"

    Store.keypoints[0, :3] = (1, 2, 0.5), (3.25, 4, 1), (0, 0, 0.1)
    assert export_keypoints(Store, tmp_path / "a.csv") == 2
    poses = read_keypoint_csv(tmp_path / "a.csv")
    assert (poses["a.jpg"][:, :2] == Store.keypoints[0, :, :2]).all() and not poses["b/c d.png"].any()
    export_keypoints(Store, tmp_path / "json")
    assert (read_openpose_json(tmp_path / "json" / "a_keypoints.json") == Store.keypoints[0]).all()
    assert (tmp_path / "json" / "b" / "c d_keypoints.json").is_file()


def contents(out):
    return {path: path.read_bytes() for path in [out, *out.rglob("*")] if path.is_file()}


@pytest.mark.parametrize("name", ["found", "found.csv", "found.json", "FOUND.JSON"])
@pytest.mark.parametrize("journal", [True, False], ids=["before the journal went", "after it"])
def test_killed_at_the_very_end(folder, tmp_path, monkeypatch, capsys, journal, name):
    "The same call says that it is done, or does what was left, and leaves what was written and no journal."
    out = tmp_path / name
    with monkeypatch.context() as killed:
        if journal:
            killed.setattr(estimators.Journal, "close", lambda self, finished: self.file.close())
        estimate_folder(folder, out, estimator=Corners(), workers=1)
    before = contents(out)
    assert before and (tmp_path / f".{name}.part").exists() == journal
    counts, _ = estimate_folder(folder, out, estimator=Corners(), workers=1)
    assert (counts["images"], counts["poses"]) == (60, 48)
    assert ("already" in capsys.readouterr().out) == (not journal or name == "found")
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "photos"])


@pytest.mark.parametrize("name", ["found", "found.csv", "found.json"])
@pytest.mark.parametrize("colour", ["white", "black"])
def test_what_was_found_in_other_images_is_refused(folder, tmp_path, name, colour):
    out, new = tmp_path / name, folder / "b" / "new.png"
    estimate_folder(folder, out, estimator=Corners(), workers=1)
    before = contents(out)
    Image.new("RGB", (30, 30), colour).save(new)
    for times in (None, (1e9, 1e9)):  # also an old photo that was added since
        os.utime(new, times)
        if (name, colour, times) == (
            "found.json",
            "black",
            (1e9, 1e9),
        ):  # nobody is in it: the results are whole
            assert estimate_folder(folder, out, estimator=Corners(), workers=1)[0]["images"] == 61
            continue
        with pytest.raises(UserError, match="exists already"):
            estimate_folder(folder, out, estimator=Corners(), workers=1)
    assert contents(out) == before


@pytest.mark.parametrize("change", ["another's", "another's order", "two people", "cut", "no results"])
def test_results_of_somebody_else_are_left_alone(folder, tmp_path, change):
    out = tmp_path / "found.json"
    estimate_folder(folder, out, estimator=Corners(), workers=1)
    entries = json.loads(out.read_text())
    out.write_text(
        {
            "another's": json.dumps([{**one, "neck": None} for one in entries]),
            "another's order": json.dumps(entries, indent=1),
            "two people": json.dumps([*entries, entries[0]]),
            "cut": out.read_text()[:-20],
            "no results": "{}",
        }[change]
    )
    before = contents(out)
    with pytest.raises(UserError, match="exists already"):
        estimate_folder(folder, out, estimator=Corners(), workers=1)
    assert contents(out) == before
