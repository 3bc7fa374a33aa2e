"The judge of poses: faults of each kind, people who must pass, and what transfer, estimate and prepare do with them."

import json
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from posegen.core import UserError
from posegen.photos.blazepose import LANDMARKS, Landmarks
from posegen.photos.estimators import MediaPipeEstimator, estimate_folder
from posegen.photos.inputs import find_person, read_given, read_photo
from posegen.photos.keypoints import read_keypoint_csv, write_openpose_json
from posegen.photos.squares import Region
from posegen.photos.trust import (
    DOUBTFUL,
    FINE,
    REFUSED,
    Judged,
    Verdict,
    judge,
    judged_people,
    odd_proportions,
)
from posegen.pose import KEYPOINTS, keypoint

needs_litert = pytest.mark.skipif(
    not find_spec("ai_edge_litert"), reason='LiteRT is not here: pip install "posegen[estimator]"'
)
STANDING = {
    "nose": (50, 20),
    "neck": (50, 40),
    "right_shoulder": (34, 41),
    "left_shoulder": (66, 41),
    "right_elbow": (29, 65),
    "left_elbow": (71, 65),
    "right_wrist": (28, 88),
    "left_wrist": (72, 88),
    "right_hip": (41, 92),
    "left_hip": (59, 92),
    "right_knee": (41, 133),
    "left_knee": (59, 133),
    "right_ankle": (41, 173),
    "left_ankle": (59, 173),
    "right_eye": (46, 16),
    "left_eye": (54, 16),
    "right_ear": (41, 18),
    "left_ear": (59, 18),
}
SIZE = (200, 100)


def standing():
    return np.array([[*STANDING[name], 1] for name in KEYPOINTS], np.float32)


def narrowed(share, *names):
    "The person standing with some keypoints drawn towards the middle."
    pose = standing()
    for name in names:
        pose[keypoint(name), 0] = 50 + share * (pose[keypoint(name), 0] - 50)
    return pose


def only(*names):
    pose = standing()
    pose[[name not in names for name in KEYPOINTS]] = 0
    return pose


def in_face(share):
    "A body of this size hangs below the chin of a face that keeps its own."
    pose = standing()
    body = [keypoint(name) for name in KEYPOINTS if not name.endswith(("eye", "ear", "nose"))]
    pose[body, :2] = [50, 30] + share * (pose[body, :2] - [50, 40])
    return pose


def turned(pose, degrees):
    angle = np.deg2rad(degrees)
    pose[:, :2] = pose[:, :2] @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return pose


SHOULDERS = ("right_shoulder", "left_shoulder", "right_elbow", "left_elbow", "right_wrist", "left_wrist")
TRUNK = ("right_shoulder", "left_shoulder", "right_hip", "left_hip")


@pytest.mark.parametrize(
    "pose, grade",
    [
        (standing(), FINE),
        (turned(standing(), 90), FINE),
        (turned(standing(), 33), FINE),
        (standing() * [0.1, 0.1, 1], FINE),  # a small one
        (standing() * [20, 20, 1], FINE),
        (narrowed(0.3, *KEYPOINTS), FINE),  # a profile
        (narrowed(0.8, *SHOULDERS), FINE),
        (only(*TRUNK, "neck"), FINE),
        (only("nose", "left_eye", "right_eye", "left_ear", "right_ear"), FINE),
        (only("nose"), FINE),
        (only(), FINE),
        (narrowed(0.05, *KEYPOINTS), REFUSED),  # one vertical line
        (narrowed(0.0, *KEYPOINTS), REFUSED),
        (turned(narrowed(0.05, *KEYPOINTS), 45), REFUSED),
        (standing() * [1, 0.01, 1], REFUSED),  # one that lies
        (narrowed(0.33, *SHOULDERS), DOUBTFUL),
        (narrowed(0.2, *SHOULDERS), REFUSED),
        (in_face(0.3), REFUSED),
        (in_face(0.1), REFUSED),
        (in_face(1.0), FINE),
        (standing() * 0 + [7, 7, 1], REFUSED),  # all in one place
    ],
)
def test_proportions(pose, grade):
    assert odd_proportions(pose).grade == grade
    assert bool(odd_proportions(pose).reason) == (grade != FINE)
    assert judge(pose, seen(), SIZE) == odd_proportions(pose)
    assert judge(pose).grade == (FINE if grade == FINE else DOUBTFUL), (
        "of another estimator nothing is refused"
    )


def seen(body=0.9, face=0.9, apart=0.005, visible=()):
    "Landmarks with these peaks; all are visible, or only some."
    points = np.stack([np.linspace(20, 80, 33), np.linspace(10, 190, 33)], 1)
    visibility = np.array([float(not visible or name in visible) for name in LANDMARKS])
    warmth = np.where(np.arange(33) < 11, face, body)
    return Landmarks(points, visibility, 1.0, Region(50, 100, 200), points[:2], warmth, np.full(33, apart))


@pytest.mark.parametrize(
    "person, grade",
    [
        (seen(), FINE),
        (seen(face=0.6, body=0.85), FINE),  # from behind
        (seen(body=0.44, face=0.40), REFUSED),  # a garment
        (seen(body=0.5, face=0.46), REFUSED),  # legs
        (seen(body=0.62, face=0.6), DOUBTFUL),
        (seen(apart=0.1), REFUSED),
        (seen(apart=0.03), DOUBTFUL),
        (seen(body=0.4, face=0.9), DOUBTFUL),
        (seen(face=0.3, visible=("left_shoulder", "left_hip")), FINE),  # no face in the picture
        (seen(body=0.3, visible=("nose", "left_eye")), FINE),  # a face alone
        (
            Landmarks(np.zeros((33, 2)), np.ones(33), 1.0, Region(0, 0, 1), np.zeros((2, 2))),
            FINE,
        ),  # not measured
    ],
)
def test_what_the_network_says(person, grade):
    verdict = judge(standing(), person, SIZE)
    assert verdict.grade == grade and bool(verdict.reason) == (grade != FINE)


def test_a_sure_network_does_not_save_a_line():
    assert judge(narrowed(0.0, *KEYPOINTS), seen(), SIZE).grade == REFUSED


class Says:
    "An estimator with a verdict of its own on one person."

    def __init__(self, grade):
        self.grade = grade

    def people(self, image):
        return [standing()]

    def judged(self, image):
        return [Judged(standing(), Verdict(self.grade, "" if self.grade == FINE else "a reason"))]


PHOTO = Image.new("RGB", (100, 200), "white")


def test_find_person_refuses_flags_or_is_silent():
    photo = read_photo(PHOTO, "me.jpg")
    assert find_person(photo, Says(FINE))[1] == []
    ((remark,),) = (find_person(photo, Says(DOUBTFUL))[1],)
    assert "me.jpg is doubtful, for a reason" in remark
    with pytest.raises(
        UserError, match="me.jpg is not to be trusted, for a reason; give its keypoints as a file"
    ):
        find_person(photo, Says(REFUSED))


@pytest.mark.parametrize(
    "grade, poses, refused, doubtful", [(FINE, 2, 0, 0), (DOUBTFUL, 2, 0, 2), (REFUSED, 0, 2, 0)]
)
def test_estimate_counts_and_says(tmp_path, capsys, grade, poses, refused, doubtful):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        PHOTO.save(tmp_path / "photos" / name)
    table = tmp_path / "poses.csv"
    counts, rejected = estimate_folder(tmp_path / "photos", table, estimator=Says(grade), workers=1)
    assert (counts["images"], counts["poses"]) == (2, poses)
    assert (counts["refused"], counts["doubtful"], counts["nobody"]) == (refused, doubtful, 0)
    assert [reason for _, reason in rejected] == ["not to be trusted: a reason"] * refused
    assert sum((pose[:, 2] > 0).any() for pose in read_keypoint_csv(table).values()) == poses
    said = "warning: 2 poses are doubtful, for a reason: look at a.png, b.png." in capsys.readouterr().out
    assert said == bool(doubtful)


@pytest.mark.parametrize("grade", [DOUBTFUL, REFUSED])
def test_prepare_counts_and_says(tmp_path, monkeypatch, grade):
    from posegen.data import prepare
    from posegen.photos import estimators

    monkeypatch.setattr(estimators, "MediaPipeEstimator", lambda: Says(grade))
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        PHOTO.save(tmp_path / "photos" / name)
    estimated = lambda: prepare._estimated(tmp_path / "photos", tmp_path / "s.h5", prepare.Rules(), 1)  # noqa: E731
    if grade == REFUSED:
        with pytest.raises(UserError, match=r"\(2 images\): not to be trusted: a reason"):
            estimated()
    else:
        listing = estimated()
        assert len(listing.entries) == 2
        assert "2 poses are doubtful, for a reason: look at a.png, b.png." in listing.warnings


def test_prepare_leaves_out_what_is_refused(tmp_path, monkeypatch):
    from posegen.data import prepare
    from posegen.photos import estimators

    class ByWidth(Says):
        def judged(self, image):
            return Says(FINE if image.shape[1] == 100 else REFUSED).judged(image)

    monkeypatch.setattr(estimators, "MediaPipeEstimator", lambda: ByWidth(FINE))
    (tmp_path / "photos").mkdir()
    PHOTO.save(tmp_path / "photos" / "a.png")
    Image.new("RGB", (120, 200)).save(tmp_path / "photos" / "b.png")
    listing = prepare._estimated(tmp_path / "photos", tmp_path / "s.h5", prepare.Rules(), 1)
    assert [entry.name for entry in listing.entries] == ["a.png"]
    assert listing.rejected == [("b.png", "not to be trusted: a reason")]


def test_a_pose_in_a_file_is_used_and_remarked_on(tmp_path):
    write_openpose_json(tmp_path / "line.json", narrowed(0.0, *KEYPOINTS))
    write_openpose_json(tmp_path / "good.json", standing())
    given = read_given(tmp_path / "line.json")
    assert (given.pose[:, 2] > 0).all() and given.remarks == [
        f"The pose in {tmp_path / 'line.json'} is used as it is, although its keypoints lie on one line."
    ]
    assert read_given(tmp_path / "good.json").remarks == []


@pytest.mark.parametrize("people", [[], [{"pose_keypoints_2d": []}], [{"pose_keypoints_2d": [0] * 54}]])
def test_a_file_without_people_is_told_from_an_image(tmp_path, people):
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}))
    with pytest.raises(UserError) as caught:
        read_given(path)
    assert "holds no person: nobody was found in its image" in str(caught.value)
    assert "leave the image out" not in str(caught.value)


@pytest.fixture(scope="module")
def rendered():
    from posegen.people import render_people

    return next(iter(render_people(1, views=8, size=256, seed=41, progress=False)))


@needs_litert
def test_rendered_people_are_passed_at_all_sizes(rendered):
    estimator = MediaPipeEstimator()
    for size in (64, 128, 256, 512):
        for image in rendered.images[:: 1 if size == 256 else 4]:
            image = np.asarray(Image.fromarray(image).resize((size, size)))
            (found,) = judged_people(estimator, image)
            assert found.verdict.grade == FINE, (size, found.verdict)
            assert (found.pose == estimator.people(image)[0]).all()


@needs_litert
@pytest.mark.parametrize("view", [0, 2])
def test_a_blurred_person_is_not_believed(rendered, view):
    from PIL import ImageFilter

    picture = np.asarray(Image.fromarray(rendered.images[view]).filter(ImageFilter.GaussianBlur(4)))
    (found,) = judged_people(MediaPipeEstimator(), picture)
    away = np.hypot(*(found.pose - rendered.keypoints[view])[:, :2].T)[found.pose[:, 2] > 0]
    assert away.max() > 100 and found.verdict.grade == REFUSED
