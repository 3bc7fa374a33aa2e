"What systems and programs keep in a user's folder is passed over everywhere, and said."

import shutil

import numpy as np
import pytest
from PIL import Image
from test_market1501 import write_table

from posegen.core import UserError, preset
from posegen.data.prepare import prepare
from posegen.metrics.folders import score_folders
from posegen.photos.estimators import estimate_folder
from posegen.photos.folders import files_below, is_systems_own
from posegen.photos.layouts import list_source
from posegen.report.scores import scores_table

# where each keeps its small or deleted copies of the photo v0.jpg
SYSTEMS = {
    "Synology": "{folder}/@eaDir/v0.jpg/SYNOPHOTO_THUMB_M.jpg",
    "Synology, deleted": "#recycle/{folder}/v0.jpg",
    "Synology, yesterday": "#snapshot/2024/{folder}/v0.jpg",
    "QNAP": "{folder}/.@__thumb/s800v0.jpg",
    "QNAP, deleted": "@Recycle/v0.jpg",
    "NetApp": "~snapshot/daily/{folder}/v0.jpg",
    "Linux": "lost+found/v0.jpg",
    "GNOME": "{folder}/.thumbnails/normal/0a1b.png",
    "Linux, deleted": ".Trash-1000/files/v0.jpg",
    "macOS archive": "__MACOSX/{folder}/._v0.jpg",
    "Windows, deleted": "$RECYCLE.BIN/S-1-5-21/v0.jpg",
    "Windows": "System Volume Information/v0.jpg",
    "a gallery": "{folder}/Thumbs/v0.jpg",
    "Lightroom": "My Previews.lrdata/v0.jpg",
    "Jupyter": "{folder}/.ipynb_checkpoints/v0-checkpoint.jpg",
    "AppleDouble": "{folder}/._v0.jpg",
}


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 255, (16, 8, 3), np.uint8)
    Image.fromarray(colours).resize((64, 128)).save(path)


@pytest.fixture
def photos(tmp_path):
    "Two people, three photographs each."
    root = tmp_path / "photos"
    names = [f"p{person}/v{view}.jpg" for person in (0, 1) for view in range(3)]
    for number, name in enumerate(names):
        save(root / name, number)
    write_table(root / "poses.csv", names)
    return root


def pollute(root, place):
    for folder in ("p0", "p1"):
        name = place.format(folder=folder)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if not (root / name).exists():
            shutil.copy(root / "p0/v0.jpg", root / name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_systems_folder_is_passed_over_and_said(system, photos):
    clean = list_source(photos)
    pollute(photos, SYSTEMS[system])
    listing = list_source(photos)
    assert [entry.name for entry in listing.entries] == [entry.name for entry in clean.entries]
    assert listing.counts == clean.counts and listing.rejected == clean.rejected
    place = next(part for part in SYSTEMS[system].split("/") if is_systems_own(part))
    assert any(
        "passed over" in warning and f"{place}/ (" in warning.replace("v0.jpg (", "v0.jpg/ (")
        for warning in listing.warnings
    )
    assert not any("passed over" in warning for warning in clean.warnings)


def test_all_of_them_at_once_change_no_store(photos, tmp_path, capsys):
    prepare(photos, tmp_path / "clean.h5", preset("quick"), workers=1)
    for place in SYSTEMS.values():
        pollute(photos, place)
    store = prepare(photos, tmp_path / "store.h5", preset("quick"), workers=1)
    assert sorted(store.names) == sorted(f"p{person}/v{view}.jpg" for person in (0, 1) for view in range(3))
    assert "warning: 22 hidden folders or files" in capsys.readouterr().out


class Nobody:
    "An estimator that finds no one, and counts the images that it was asked about."

    name = "nobody"

    def __init__(self):
        self.asked = 0

    def people(self, pixels):
        self.asked += 1
        return []


def test_estimating_looks_at_no_thumbnail(photos, tmp_path, capsys):
    for place in SYSTEMS.values():
        pollute(photos, place)
    estimator = Nobody()
    counts, rejected = estimate_folder(photos, tmp_path / "table.csv", estimator=estimator)
    assert estimator.asked == counts["images"] == len(rejected) == 6
    assert "warning: 22 hidden folders or files" in capsys.readouterr().out


def test_scoring_compares_no_thumbnail(photos, tmp_path):
    truth = tmp_path / "truth"
    shutil.copytree(photos, truth)
    for place in SYSTEMS.values():
        pollute(photos, place)
    scores = score_folders(photos, truth, ["skimage"])
    assert len(scores.names) == 6
    assert any("passed over below" in remark and "@eaDir/ (2)" in remark for remark in scores.remarks)
    assert "@eaDir" in scores_table(scores).markdown()
    assert score_folders(truth, truth, ["skimage"]).remarks == []


def test_a_folder_of_thumbnails_alone_is_explained(tmp_path):
    save(tmp_path / "photos/@eaDir/v0.jpg/SYNOPHOTO_THUMB_M.jpg", 0)
    with pytest.raises(UserError, match="holds no image that can be used.*were passed over below.*@eaDir/"):
        list_source(tmp_path / "photos")
    # named by the user, it is the user's
    assert files_below(tmp_path / "photos/@eaDir").images == []
    save(tmp_path / "photos/@eaDir/small.jpg", 0)
    assert files_below(tmp_path / "photos/@eaDir").images == ["small.jpg"]


@pytest.mark.parametrize(
    "person", ["@anna", "#1", "$", "thumbs up", "recycle", "tmp", "snapshot", "~bob", "found"]
)
def test_people_may_have_odd_names(person, photos):
    (photos / "p0").rename(photos / person)
    text = (photos / "poses.csv").read_text()
    (photos / "poses.csv").write_text(text.replace("p0/", f"{person}/"))
    listing = list_source(photos)
    assert {entry.identity for entry in listing.entries} == {person, "p1"}
