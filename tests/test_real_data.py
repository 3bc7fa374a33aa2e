"Real keypoint tables and a real video, where they are present; none of it is part of the project."
import os
from pathlib import Path

import numpy as np
import pytest

from posegen.data import open_store
from posegen.estimators import read_keypoint_csv

SHARED = Path(os.environ.get("POSEGEN_SHARED", Path(__file__).parents[2] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real data at {SHARED}; name it with POSEGEN_SHARED")


@pytest.mark.parametrize("table, rows", [("fasion-resize-annotation-test.csv", 4038), ("fasion-annotation-test.csv", 4061)])
def test_published_keypoint_tables(table, rows):
    poses = np.stack(list(read_keypoint_csv(SHARED / "deepfashion_keypoints" / table).values()))
    assert poses.shape == (rows, 18, 3)
    present = poses[..., 2] > 0
    assert 0.5 < present.mean() < 1 and (poses[~present] == 0).all()
    neck, hips = poses[:, 1], poses[:, [8, 11]]
    both = (neck[:, 2] > 0) & (hips[..., 2] > 0).all(1)
    assert (neck[both, 1] < hips[both, :, 1].mean(1)).mean() > 0.99, "x and y are confused: necks lie below hips"


def test_a_video_becomes_a_store_split_by_frames(posegen, tmp_path):
    outcome = posegen("prepare", SHARED / "fashion_video", tmp_path / "video.h5", "--preset", "quick")
    assert outcome.status == 0, outcome.error
    store = open_store(tmp_path / "video.h5")
    assert len(store) == 106 and store.size == 64 and store.label == "overfitting check"
    assert np.bincount(store.split).tolist() == [85, 21]
