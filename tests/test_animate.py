"`posegen animate`: what is refused, in one sentence and with nothing left behind; stopped and taken up again."

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from photographed import write_photo
from PIL import Image

from posegen.core import UserError
from posegen.people import render_people
from posegen.photos.keypoints import write_keypoint_csv, write_openpose_json
from posegen.system.locks import lock_folder
from posegen.transfer import PoseTransfer
from posegen.transfer.animating import make_scene
from posegen.transfer.motions import motion
from posegen.transfer.sequences import video_frames
from posegen.warping.moving import part_masks
from posegen.warping.parts import part_transforms


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_photo(folder, 256)
    Image.new("RGB", (300, 300), (190, 200, 210)).save(folder / "wall.png")
    walls = [Image.new("RGB", (200, 200), (190, 200, shade)) for shade in (10, 90, 170)]
    walls[0].save(folder / "walls.gif", save_all=True, append_images=walls[1:])
    walls[0].save(folder / "one.gif")
    content = (folder / "walls.gif").read_bytes()
    (folder / "damaged.gif").write_bytes(content[:20])
    (folder / "none.gif").write_bytes(b"no picture at all")
    for name in ("empty", "one", "still", "legs", "two"):
        (folder / name).mkdir()
    (folder / "empty" / "notes.md").write_text("nothing")
    walk = np.floor(motion("walk", 4))
    write_openpose_json(folder / "one" / "0.json", walk[0])
    for number in range(3):
        write_openpose_json(folder / "still" / f"{number}.json", walk[1])
        write_openpose_json(folder / "legs" / f"{number}.json", walk[1] * (np.arange(18)[:, None] > 7))
    write_keypoint_csv(folder / "two" / "both.csv", {"a.jpg": walk[0], "b.jpg": walk[1]})
    write_keypoint_csv(folder / "one.csv", {"a.jpg": walk[0]})
    write_keypoint_csv(folder / "walk.csv", {f"{number}.jpg": pose for number, pose in enumerate(walk)})
    (folder / "empty.mov").write_bytes(b"")
    (folder / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    return folder


def words(files, out, poses="walk", *more, photo="me.png"):
    given = ("--keypoints", files / "me.json") if photo == "me.png" else ()
    poses = poses.replace("FILES", str(files))
    return ("animate", files / photo, *given, "--poses", poses, "--out", out, "--size", "64", *more)


REFUSED = [
    ("a.gif", "wakl", "", 'did you mean "walk"'),
    ("a.gif", "FILES/empty", "", "holds no keypoint file"),
    ("a.gif", "FILES/one", "", "holds 1 pose;"),
    ("a.gif", "FILES/one.csv", "", "holds 1 pose;"),
    ("a.gif", "FILES/two", "", "holds 2 poses where one was expected"),
    ("a.gif", "FILES/legs", "", "the neck must be seen"),
    ("a.gif", "FILES/one.gif", "", "holds 1 frame"),
    ("a.gif", "FILES/damaged.gif", "", "damaged"),
    ("a.gif", "FILES/none.gif", "", "none.gif"),
    ("a.gif", "FILES/film.mp4", "", "save it as a GIF"),
    ("a.gif", "FILES/empty.mov", "", "save it as a GIF"),
    ("a.gif", "FILES/no.mp4", "", "There is no video"),
    ("a.gif", "FILES/no.gif", "", "There is no image"),
    ("a.gif", "FILES/no.csv", "", "There is no keypoint file"),
    ("a.gif", "FILES/empty/notes.md", "", "neither keypoints"),
    ("a.jpg", "walk", "", "ends in .jpg"),
    ("a.avi", "walk", "", "would be a video of another kind"),
    ("no/a.gif", "walk", "", "There is no folder"),
    ("a.gif", "walk", "--fps 0", "0 frames a second"),
    ("a.gif", "walk", "--fps=-1", "-1 frames a second"),
    ("a.gif", "walk", "--fps 1000", "1,000 frames a second"),
    ("a.gif", "walk", "--fps ten", "is not a whole number"),
    ("a.gif", "walk", "--frames 0", "0 frames are asked for"),
    ("a.gif", "walk", "--frames 1", "1 frames are asked for"),
    ("a.gif", "walk", "--frames=-3", "-3 frames are asked for"),
    ("a.gif", "walk", "--frames 1000000000", "1,000,000,000 frames are asked for"),
    ("a.gif", "walk", "--frames 1000 --size 2048", "too many for a GIF"),
    ("a.gif", "walk", "--size 5", "whole pixels a side"),
    ("a.gif", "walk", "--size 5000", "whole pixels a side"),
    ("a.gif", "walk", "--background wall", "is no background"),
    ("a.gif", "walk", "--model embedded", "cop"),
]


def check_refused(outcome, sentence, folder):
    told = outcome.error
    assert outcome.status == 2 and sentence in told and told.count("\n") == 1, told + outcome.out
    assert "Traceback" not in told and not list(folder.iterdir())


@pytest.mark.parametrize(("out", "poses", "more", "sentence"), REFUSED)
def test_what_cannot_be_had_is_refused(files, tmp_path, posegen, out, poses, more, sentence):
    check_refused(posegen(*words(files, tmp_path / out, poses, *more.split())), sentence, tmp_path)


@pytest.mark.parametrize(("photo", "sentence"), [("no.png", "There is no image"), ("one/0.json", "0.json")])
def test_a_photo_that_is_none(files, tmp_path, posegen, photo, sentence):
    check_refused(posegen(*words(files, tmp_path / "a.gif", photo=photo)), sentence, tmp_path)


def test_a_photo_and_a_moving_picture_without_anybody(files, tmp_path, posegen):
    pytest.importorskip("ai_edge_litert", reason="without an estimator nobody looks for people")
    check_refused(
        posegen(*words(files, tmp_path / "a.gif", photo="wall.png")), "No person was found", tmp_path
    )
    outcome = posegen(*words(files, tmp_path / "a.gif", "FILES/walls.gif"))
    check_refused(outcome, "shows a person in 0 of its 3 frames", tmp_path)


def test_a_folder_with_other_things_stays_as_it_is(files, tmp_path, posegen):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    outcome = posegen(*words(files, tmp_path / "mine"))
    assert outcome.status == 2 and "holds other things" in outcome.error
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "diary.txt"]


def test_the_photo_is_not_written_over(files, tmp_path, posegen):
    Image.open(files / "me.png").save(tmp_path / "me.gif")
    before = (tmp_path / "me.gif").read_bytes()
    outcome = posegen("animate", tmp_path / "me.gif", "--poses", "walk", "--out", tmp_path / "me.gif")
    assert outcome.status == 2 and "would overwrite" in outcome.error
    assert (tmp_path / "me.gif").read_bytes() == before


@pytest.mark.parametrize(
    ("ending", "poses", "frames"),
    [(".gif", "FILES/walk.csv", 4), (".webp", "wave", 5), ("", "FILES/still", 3)],
)
def test_what_comes_out(files, tmp_path, posegen, ending, poses, frames):
    out = tmp_path / f"new{ending}"
    more = ["--frames", frames] if poses == "wave" else []
    outcome = posegen(*words(files, out, poses, "--fps", 12, *more))
    assert outcome.status == 0 and f"{frames} frames of 64 pixels" in outcome.out, outcome.error
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if ending:
        with Image.open(out) as moving:
            assert moving.n_frames == frames and moving.size == (64, 64) and moving.info["loop"] == 0
    else:  # poses that stand still: equal to the byte
        assert sorted(path.name for path in out.iterdir()) == ["0001.png", "0002.png", "0003.png"]
        assert len({path.read_bytes() for path in out.iterdir()}) == 1


def test_transparent(files, tmp_path, posegen):
    assert (
        posegen(
            *words(files, tmp_path / "a.gif", "walk", "--frames", 3, "--background", "transparent")
        ).status
        == 0
    )
    with Image.open(tmp_path / "a.gif") as moving:
        for number in range(3):
            moving.seek(number)
            alpha = np.asarray(moving.convert("RGBA"))[..., 3]
            assert alpha[0, 0] == 0 and (alpha > 0).any()


def test_killed_and_started_again(files, tmp_path):
    whole, cut = tmp_path / "whole.gif", tmp_path / "cut.gif"
    run = [sys.executable, "-c", "import sys; from posegen.cli import main; sys.exit(main())"]
    more = ("--frames", "30")
    subprocess.run([*run, *map(str, words(files, whole, "wave", *more))], check=True, capture_output=True)
    process = subprocess.Popen([*run, *map(str, words(files, cut, "wave", *more))], stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob(".cut.gif.*.frames/0002.png")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not cut.exists()
    (work,) = tmp_path.glob(".cut.gif.*.frames")
    assert 3 <= len(list(work.glob("*.png"))) < 30
    subprocess.run([*run, *map(str, words(files, cut, "wave", *more))], check=True, capture_output=True)
    assert cut.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["cut.gif", "whole.gif"]


@pytest.mark.parametrize("work", [True, False], ids=["before its frames went", "after it"])
def test_a_folder_that_was_finished_before_the_kill(files, tmp_path, posegen, monkeypatch, work):
    "The same call has nothing left to do; one whose frames are others writes nothing over them."
    out, more = tmp_path / "new", ("walk", "--frames", "5")
    with monkeypatch.context() as kill:
        if work:
            kill.setattr("posegen.transfer.animating.shutil.rmtree", lambda *_, **__: None)
        assert posegen(*words(files, out, *more)).status == 0
    assert len(list(tmp_path.iterdir())) == 1 + work
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    outcome = posegen(*words(files, out, *more))
    assert outcome.status == 0, outcome.error
    for other in (("walk", "--frames", "4"), ("wave", "--frames", "5"), (*more, "--background", "plain")):
        outcome = posegen(*words(files, out, *other))
        assert outcome.status == 2 and "holds other things" in outcome.error
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["new"], "frames of before are left"


def spoil_frame(path, kind):
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "of another size":
        Image.new("RGB", (65, 64)).save(path)
    elif kind == "with alpha":
        Image.new("RGBA", (64, 64)).save(path)
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("kind", ["cut", "of another size", "with alpha", "empty"])
def test_frames_of_before_that_are_damaged_are_drawn_again(files, tmp_path, posegen, monkeypatch, kind):
    more = ("walk", "--frames", "5")
    assert posegen(*words(files, tmp_path / "whole.gif", *more)).status == 0
    with monkeypatch.context() as kill:
        kill.setattr("posegen.transfer.animating.shutil.rmtree", lambda *_, **__: None)
        assert posegen(*words(files, tmp_path / "a.gif", *more)).status == 0
    (tmp_path / "a.gif").unlink()
    (frames,) = tmp_path.glob(".a.gif.*.frames")
    spoil_frame(frames / "0002.png", kind)
    outcome = posegen(*words(files, tmp_path / "a.gif", *more))
    assert outcome.status == 0, outcome.error
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "whole.gif").read_bytes()


def test_another_animation_of_the_same_name_waits(files, tmp_path, posegen):
    "Whatever it shows: one of the two would be lost, and both would say that theirs is there."
    with lock_folder(tmp_path, "somebody", name=".a.gif.lock"):
        outcome = posegen(*words(files, tmp_path / "a.gif", "wave", "--frames", "3"))
        assert outcome.status == 2 and "Another process makes" in outcome.error
        assert posegen(*words(files, tmp_path / "b.gif", "wave", "--frames", "3")).status == 0
    assert sorted(os.listdir(tmp_path)) == ["b.gif"]


def test_a_video_without_its_library(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    from posegen.transfer import animate_file

    for out, poses in (("a.mp4", "walk"), ("a.gif", str(files / "film.mp4"))):
        with pytest.raises(UserError, match=r"pip install \"posegen\[mp4\]\""):
            animate_file(files / "me.png", poses, tmp_path / out, keypoints=files / "me.json")
    assert not list(tmp_path.iterdir())


def test_a_video(files, tmp_path, posegen):
    library = pytest.importorskip("imageio_ffmpeg", reason="videos need the extra mp4")
    outcome = posegen(*words(files, tmp_path / "a.mp4", "walk", "--frames", "5", "--size", "65"))
    assert outcome.status == 0, outcome.error
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    frames = list(video_frames(tmp_path / "a.mp4"))
    assert len(frames) == 5 == library.count_frames_and_secs(str(tmp_path / "a.mp4"))[0]
    assert posegen(*words(files, tmp_path / "all", "walk", "--frames", "5", "--size", "65")).status == 0
    for number, frame in enumerate(frames, start=1):
        drawn = np.asarray(Image.open(tmp_path / "all" / f"{number:04}.png"), float)
        assert frame.size == (66, 66) and np.abs(np.asarray(frame)[:65, :65] - drawn).mean() < 8


def test_a_video_is_not_transparent(files, tmp_path, posegen):
    pytest.importorskip("imageio_ffmpeg", reason="videos need the extra mp4")
    outcome = posegen(*words(files, tmp_path / "a.mp4", "walk", "--background", "transparent"))
    check_refused(outcome, "not transparent", tmp_path)


@pytest.mark.parametrize("background", ["keep", "plain"])
@pytest.mark.parametrize("moving", ["walk", "turn"])
def test_the_wall_holds_still(background, moving):
    person = next(iter(render_people(1, views=1, size=128, seed=3, progress=False)))
    scene, _ = make_scene(
        PoseTransfer.from_pretrained(),
        person.images[0],
        motion(moving, 5),
        96,
        background,
        keypoints=person.keypoints[0],
    )
    frames = np.concatenate([scene.frames([number]) for number in range(5)]).astype(int)
    limbs = [
        part_masks(part_transforms(*[torch.tensor(pose)[None]] * 2, 96), everything=True)
        for pose in scene.poses
    ]
    near = F.max_pool2d(torch.cat(limbs).amax((0, 1))[None, None], 25, 1, 12)[0, 0].numpy()
    assert (near < 0.1).mean() > 0.2 and np.ptp(frames, axis=0)[near < 0.1].max() == 0
