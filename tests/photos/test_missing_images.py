"Tables and lists that name images which are not there: warned of with the count, or refused."

import numpy as np
import pytest
import trees
from test_market1501 import market, patn, subfolders, test_pairs

from posegen.core import UserError
from posegen.photos.layouts import Rules, list_source


def some_images(root, number):
    "A few images of each folder, so that every person keeps some."
    return sorted(path for path in root.rglob("*") if path.suffix in (".jpg", ".png"))[:number]


def warned(listing):
    return {warning.partition(" have no image")[0] for warning in listing.warnings if "no image" in warning}


@pytest.mark.parametrize("layout", trees.LAYOUTS)
def test_images_that_went_missing_are_warned_of_in_every_layout(layout, tmp_path):
    trees.build_tree(layout, tmp_path, 60)
    whole = list_source(tmp_path)
    assert (
        not warned(whole) and list_source(tmp_path, rules=Rules(missing="refuse")).warnings == whole.warnings
    )
    gone = {path.name for path in some_images(tmp_path, 5)}
    for path in list(tmp_path.rglob("*")):
        if path.name in gone and path.is_file():
            path.unlink()
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    listing = list_source(tmp_path)
    count = len(some_images_of(whole, left))
    told = next(one for one in warned(listing) if "keypoint files" in one)
    assert int(told.split()[0]) >= count > 0
    assert {entry.name for entry in listing.entries} <= left
    with pytest.raises(
        UserError, match=f"{told.split()[0]} names in the keypoint files have no image .*missing=warn"
    ):
        list_source(tmp_path, rules=Rules.from_words(["missing=refuse"]))


def some_images_of(listing, left):
    return [entry.name for entry in listing.entries if entry.name not in left]


@pytest.mark.parametrize("form", [patn, subfolders])
def test_part_of_market1501_is_prepared(form, tmp_path):
    form(tmp_path)
    for gone in (market("0001", 2), market("0002", 1)):
        next(tmp_path.rglob(gone)).unlink()
    listing = list_source(tmp_path)
    # 0001's view 2 is one of the listed pairs; 0002's view 1 is in no list
    assert warned(listing) == {"2 names in the keypoint files", "1 names in the lists of pairs"}
    pairs = {tuple(name.rpartition("/")[2] for name in pair) for pair in listing.pairs}
    assert set(test_pairs()) - pairs == {(market("0001", 1), market("0001", 2))}
    with pytest.raises(UserError, match="missing=warn"):
        list_source(tmp_path, rules=Rules(missing="refuse"))


def people(root, *rows):
    for person in ("anna", "bob"):
        for view in (1, 2):
            trees.save(root / person / f"{view}.jpg", np.zeros((40, 40, 3), np.uint8))
    poses = np.concatenate([trees.STANDING * 40 / 256, np.ones((18, 1))], 1).astype(np.float32)
    names = [f"{person}/{view}.jpg" for person in ("anna", "bob") for view in (1, 2)]
    trees.write_table(root / "keypoints.csv", [trees.csv_row(name, poses) for name in [*names, *rows]])


@pytest.mark.parametrize("row", ["carl/1.jpg", "../../etc/passwd", "anna/1.png.jpg", "ANNA/9.JPG"])
def test_a_row_of_no_image_costs_nothing_else(row, tmp_path):
    people(tmp_path, row)
    listing = list_source(tmp_path)
    assert len(listing.entries) == 4
    assert (
        f'1 names in the keypoint files have no image in the folder, for example "{row}".' in listing.warnings
    )


@pytest.mark.parametrize("row", ["1.jpg", "2", "1.JPG"])
def test_a_row_that_could_mean_two_images_is_refused(row, tmp_path):
    people(tmp_path, row)
    with pytest.raises(UserError, match=f'names the image "{row}", but several in different folders'):
        list_source(tmp_path)


def test_a_table_of_other_images_is_no_warning_but_the_end(tmp_path):
    people(tmp_path)
    table = tmp_path / "keypoints.csv"
    table.write_text(table.read_text().replace("anna/", "anne/").replace("bob/", "rob/"))
    with pytest.raises(
        UserError, match=r'no row in the table, and .*keypoints.csv names others, such as "anne/1.jpg"'
    ):
        list_source(tmp_path)
