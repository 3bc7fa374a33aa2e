"The size and the background of a transfer: what is refused, in one sentence, and what comes out."

import numpy as np
import pytest
from photographed import write_photo
from PIL import Image

from posegen.photos.keypoints import write_openpose_json


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    person = write_photo(folder, 400)
    write_openpose_json(folder / "pose.json", person.keypoints[1])
    return folder


def words(files, out, *more):
    return (
        "transfer", files / "me.png", "--keypoints", files / "me.json",
        "--pose", files / "pose.json", "--out", out, *more,
    )  # fmt: skip


REFUSED = [
    ("new.png", "--size 0", "whole pixels a side"),
    ("new.png", "--size=-64", "whole pixels a side"),
    ("new.png", "--size 5", "whole pixels a side"),
    ("new.png", "--size 31", "whole pixels a side"),
    ("new.png", "--size 2049", "whole pixels a side"),
    ("new.png", "--size 100000", "whole pixels a side"),
    ("new.png", "--size large", "large"),
    ("new.png", "--size 12.5", "12.5"),
    ("new.png", "--size 1e3", "1e3"),
    ("new.png", "--background wall", "is no background"),
    ("new.png", "--background transparant", "is no background"),
    ("new.png", "--background #12", "is no background"),
    ("new.png", "--background=", "is no background"),
    ("new.png", "--size 512 --model embedded", "copy nothing from the photo"),
    ("new.png", "--background plain --model embedded", "copy nothing from the photo"),
    ("new.jpg", "--background transparent", "does not end in .png"),
]


@pytest.mark.parametrize(("name", "more", "sentence"), REFUSED)
def test_what_cannot_be_had_is_refused(files, tmp_path, posegen, name, more, sentence):
    outcome = posegen(*words(files, tmp_path / name, *more.split()))
    told = outcome.error + outcome.out
    assert outcome.status == 2 and sentence in told and "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_the_photo_s_own_size_by_default(files, tmp_path, posegen):
    assert posegen(*words(files, tmp_path / "new.png")).status == 0
    picture = Image.open(tmp_path / "new.png")
    assert picture.mode == "RGB" and 300 < picture.width == picture.height <= 400 + 40


def test_backgrounds(files, tmp_path, posegen):
    pictures = {}
    for name in ("keep", "transparent", "#00ff00"):
        outcome = posegen(*words(files, tmp_path / "new.png", "--size", "160", "--background", name))
        assert outcome.status == 0, outcome.error
        pictures[name] = np.asarray(Image.open(tmp_path / "new.png"))
    assert {name: one.shape for name, one in pictures.items()} == {
        "keep": (160, 160, 3), "transparent": (160, 160, 4), "#00ff00": (160, 160, 3),
    }  # fmt: skip
    alpha = pictures["transparent"][..., 3]
    assert (pictures["#00ff00"][alpha == 0] == [0, 255, 0]).all()
    inside = alpha > 250
    assert 0.02 < inside.mean() < 0.4
    apart = np.abs(pictures["keep"].astype(int) - pictures["transparent"][..., :3])[inside]
    assert apart.max() <= 6  # the same person before any background
