"Real keypoint tables and a real video, where they are present; none of it is part of the project."

import os
import re
from pathlib import Path

import numpy as np
import pytest

from posegen.data.store import open_store
from posegen.photos.candidates import read_openpose_candidates
from posegen.photos.keypoints import read_keypoint_csv

SHARED = Path(os.environ.get("POSEGEN_SHARED", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real data sets are not here; name their folder with POSEGEN_SHARED"
)


@pytest.mark.parametrize(
    "table, rows", [("fasion-resize-annotation-test.csv", 4038), ("fasion-annotation-test.csv", 4061)]
)
def test_published_keypoint_tables(table, rows):
    poses = np.stack(list(read_keypoint_csv(SHARED / "deepfashion_keypoints" / table).values()))
    assert poses.shape == (rows, 18, 3)
    present = poses[..., 2] > 0
    assert 0.5 < present.mean() < 1 and (poses[~present] == 0).all()
    neck, hips = poses[:, 1], poses[:, [8, 11]]
    both = (neck[:, 2] > 0) & (hips[..., 2] > 0).all(1)
    assert (neck[both, 1] < hips[both, :, 1].mean(1)).mean() > 0.99, (
        "x and y are confused: necks lie below hips"
    )


def image_key(name):
    "One spelling for a name of DeepFashion: tables have it with and without slashes, underscores and the h in fashion."
    return re.sub(r"\.jpg$|^fash?ion|[^a-z0-9]", "", name.lower())


def test_the_two_published_tables_agree_on_the_images_they_share():
    folder = SHARED / "deepfashion_keypoints"
    patn = read_keypoint_csv(folder / "fasion-resize-annotation-test.csv", x_offset=40)
    square = read_keypoint_csv(folder / "fasion-annotation-test.csv")
    patn, square = ({image_key(name): pose for name, pose in table.items()} for table in (patn, square))
    assert (len(patn), len(square)) == (4038, 4061), "two names have become one"
    shared = sorted(patn.keys() & square.keys())
    a, b = (np.stack([table[name] for name in shared]) for table in (patn, square))
    both = (a[..., 2] > 0) & (b[..., 2] > 0)
    distance = np.hypot(*(a - b)[both].T[:2])
    found = (len(shared), int(both.any(1).sum()), int(both.sum()), float(np.median(distance)))
    # shared images, those with keypoints in both tables, keypoints in both, median difference in pixels
    assert found == (351, 279, 3891, 0.0)
    assert (distance <= 2).mean() > 0.98 and distance.max() < 60  # a few keypoints lie on another limb
    assert int(((a[..., 2] > 0) != (b[..., 2] > 0)).sum()) == 35  # present in one table only


def candidate_poses():
    folder = SHARED / "deepfashion_images" / "openpose18_cocosnet"
    pairs = {
        name: [folder / f"{name}_{part}.txt" for part in ("candidate", "subset")]
        for name in sorted(path.stem for path in folder.glob("*.jpg"))
    }
    return {name: read_openpose_candidates(*pair, person="only") for name, pair in pairs.items()}


def test_real_openpose_candidates():
    poses = np.stack(list(candidate_poses().values()))
    assert poses.shape == (8, 18, 3) and poses.dtype == np.float32
    present = poses[..., 2] > 0
    assert sorted(present.sum(1)) == [12, 12, 13, 14, 15, 16, 16, 18]
    assert present[:, [1, 2, 8, 11]].all(), "each of these people has a neck, a right shoulder and two hips"
    assert (poses[~present] == 0).all() and (poses[..., :2] < 256).all() and (poses[..., 2] < 1.05).all()
    assert (poses[:, 1, 1] < poses[:, [8, 11], 1].mean(1)).all(), "necks above hips"


def test_matched_keypoints_of_real_images():
    table = read_keypoint_csv(SHARED / "deepfashion_images" / "matched_openpose18.csv")
    assert len(table) == 13
    assert all((SHARED / "deepfashion_images" / name).is_file() for name in table)
    # one image is in both sets: two publications of OpenPose's output
    name = "WOMEN-Dresses-id_00006245-03_2_side"
    a, b = table[f"openpose18_cocosnet/{name}.jpg"], candidate_poses()[name]
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    assert both.sum() >= 14 and np.median(abs(a - b)[both, :2]) <= 1


def test_a_video_becomes_a_store_split_by_frames(posegen, tmp_path):
    outcome = posegen("prepare", SHARED / "fashion_video", tmp_path / "video.h5", "--preset", "quick")
    assert outcome.status == 0, outcome.error
    store = open_store(tmp_path / "video.h5")
    assert len(store) == 106 and store.size == 64 and store.label == "overfitting check"
    assert np.bincount(store.split).tolist() == [85, 21]
