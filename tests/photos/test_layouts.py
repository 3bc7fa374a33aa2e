"Folders in every layout become the same listing; what is wrong with a folder is said in a sentence."

import json
import os
import pickle
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import trees
from PIL import Image
from test_real_data import SHARED

from posegen.core import UserError
from posegen.photos.folders import Files, ImagePoses
from posegen.photos.images import read_image, square_image
from posegen.photos.keypoints import write_openpose_json
from posegen.photos.layouts import Rules, list_source
from posegen.photos.names import DeepFashionName, NameIndex, name_key, parse_name, worn
from posegen.photos.splits import find_leaks, owners, read_pairs, split_images
from posegen.pose import KEYPOINTS

TORSO = [2, 5, 8, 11]  # both shoulders and both hips
DEEPFASHION = [layout for layout in trees.LAYOUTS if layout not in ("people", "folder")]


@pytest.fixture(params=trees.LAYOUTS)
def planted(request, tmp_path):
    "The name of a layout, a folder in it, and what was drawn there."
    return request.param, tmp_path, trees.build_tree(request.param, tmp_path, 60)


@pytest.fixture
def in_shop(tmp_path):
    trees.build_tree("in-shop", tmp_path, 30)
    return tmp_path


@pytest.fixture
def photos(tmp_path):
    "A folder of two people's photos with a table."
    trees.build_tree("people", tmp_path, 12)
    return tmp_path


# Layouts


def complete(those):
    return [one for one in those if one.pose[TORSO, 2].all()]


def test_every_layout_is_recognised(planted):
    layout, root, those = planted
    listing = list_source(root)
    assert listing.layout == layout.split()[0]
    assert len(listing.entries) == len(complete(those)) == listing.counts["complete"]
    empty = sum(not one.pose.any() for one in those)
    assert Counter(reason.partition(":")[0] for _, reason in listing.rejected) == {
        "no keypoint in its row": empty,
        "incomplete": len(those) - empty - len(complete(those)),
    }
    assert listing.counts["with keypoints"] == len(those) - empty
    assert listing.counts.get("mirrored copies, not needed", 0) == (
        sum(one.split == "train" for one in those) if layout == "pg2" else 0
    )
    assert all(entry.path.is_file() and entry.path == root / entry.name for entry in listing.entries)
    assert listing.counts["train images"] + listing.counts["test images"] == len(listing.entries)
    assert ("non-commercial" in listing.licence) == (layout in DEEPFASHION)
    assert len(json.dumps(listing.parameters)) > 100 and listing.parameters["tables"]


@pytest.mark.parametrize("layout", DEEPFASHION)
def test_deepfashion_layouts_give_one_and_the_same_listing(layout, tmp_path):
    those = trees.build_tree(layout, tmp_path, 60)
    listing = list_source(tmp_path)
    found = {name_key(entry.name): entry for entry in listing.entries}
    pairs = {(a.name.key, b.name.key) for a, b in trees.ordered_pairs(those)}
    for one in complete(those):
        entry = found[one.name.key]
        assert (entry.split, entry.identity, entry.outfit) == (one.split, one.name.item, one.name.outfit)
        pixels, moved = square_image(read_image(entry.path), entry.keypoints, 64, entry.frame)
        expected = square_image(Image.fromarray(trees.picture(one)), one.pose, 64)[1]
        assert (moved[:, :2] == expected[:, :2]).all(), (
            "the same keypoints in the same place, whatever the frame"
        )
        assert ((moved[:, 2] > 0) == (expected[:, 2] > 0)).all()
        assert pixels.shape == (64, 64, 3)
    assert listing.counts["train pairs before mirroring"] + listing.counts[
        "test pairs before mirroring"
    ] == len(pairs)
    if listing.pairs is not None:
        assert {(name_key(a), name_key(b)) for a, b in listing.pairs} == pairs and len(listing.pairs) == len(
            pairs
        )
    assert (listing.pairs is None) == (not layout.startswith("patn"))


def test_the_same_folder_gives_the_same_listing(planted):
    _, root, _ = planted
    first, again = list_source(root), list_source(root)
    assert [entry.name for entry in first.entries] == [entry.name for entry in again.entries]
    assert (first.counts, first.rejected, first.pairs) == (again.counts, again.rejected, again.pairs)
    assert first.parameters == again.parameters


def test_own_folders_are_split_by_people_or_by_frames(tmp_path):
    trees.build_tree("people", tmp_path / "people", 60)
    people = list_source(tmp_path / "people")
    train, test = (
        {entry.identity for entry in people.entries if entry.split == split} for split in ("train", "test")
    )
    assert train and test and not train & test and not people.warnings
    trees.build_tree("folder", tmp_path / "video", 20)
    video = list_source(tmp_path / "video", rules=Rules(require="any"))
    held_out = {entry.name for entry in video.entries if entry.split == "test"}
    assert held_out and held_out <= {f"frame_{n:05}.jpg" for n in (4, 9, 14, 19)}
    assert {entry.identity for entry in video.entries} == {"."} and "overfitting check" in video.warnings[0]
    assert len({entry.outfit for entry in video.entries}) == 2, (
        "no pair joins a training frame and a test frame"
    )


def test_rules_change_what_is_kept(in_shop):
    usual = list_source(in_shop)
    assert len(list_source(in_shop, rules=Rules(require="any")).entries) == usual.counts["with keypoints"]
    assert len(list_source(in_shop, rules=Rules(require="nose", least=18)).entries) < len(usual.entries)
    by_identity = list_source(in_shop, rules=Rules(split="identity"))
    assert by_identity.parameters["split"] == "identity" != usual.parameters["split"]
    assert by_identity.parameters["rules"]["split"] == "identity"


def test_listed_pairs_or_all(tmp_path):
    trees.build_tree("patn", tmp_path, 60)
    table = tmp_path / "fasion-resize-pairs-test.csv"
    rows = table.read_text().splitlines()
    table.write_text(
        "\n".join(rows[:3] + ["fashionMENDenimid9999999901_1front.jpg," + rows[1].split(",")[0]])
    )
    listing, every = list_source(tmp_path), list_source(tmp_path, rules=Rules(pairs="all"))
    assert listing.counts["test pairs before mirroring"] == 2 < every.counts["test pairs before mirroring"]
    assert listing.counts["pairs listed"] - listing.counts["listed pairs kept"] == 1 and every.pairs is None
    table.unlink()
    assert (
        list_source(tmp_path).counts["test pairs before mirroring"]
        == every.counts["test pairs before mirroring"]
    )


# Keypoints of every kind


@pytest.mark.parametrize("kind", ["json", "text"])
def test_openpose_files(tmp_path, kind):
    those = trees.build_tree("in-shop", tmp_path / "data", 12)
    for one in those:
        name = one.name
        stem = f"{name.gender}-{name.category}-id_{name.item}-{name.outfit_number}_{name.number}_{name.view}"
        if kind == "json":
            (tmp_path / "poses").mkdir(exist_ok=True)
            write_openpose_json(tmp_path / "poses" / f"{stem}_keypoints.json", one.pose)
        else:
            trees.write_openpose_text(tmp_path / "poses", stem, one.pose)
    listing = list_source(tmp_path / "data", keypoints=tmp_path / "poses")
    assert len(listing.entries) == len(complete(those)) and listing.entries[0].frame is None
    nobody = [one for one in those if not one.pose.any()]
    assert nobody and sum("holds no person" in reason for _, reason in listing.rejected) == len(nobody)


def test_several_people_are_left_out_or_the_best_taken(tmp_path):
    those = trees.build_tree("pg2", tmp_path, 12)
    trees.write_pickles(tmp_path / "PoseFiltered", {one.pg2: one.pose for one in those}, people=2)
    with pytest.raises(UserError, match="No image of .* is left; .*2 people in the image"):
        list_source(tmp_path)
    listing = list_source(tmp_path, rules=Rules(person="largest"))
    assert len(listing.entries) == len(complete(those))
    poses = {one.name.key: one.pose for one in those}
    assert all(
        (entry.keypoints[:, :2] == poses[name_key(entry.name)][:, :2]).all() for entry in listing.entries
    )


def test_one_broken_openpose_file_costs_one_image(photos, tmp_path_factory):
    poses = tmp_path_factory.mktemp("poses")
    for path in photos.rglob("*.png"):
        target = poses / path.relative_to(photos).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_openpose_json(f"{target}_keypoints.json", np.column_stack([trees.STANDING, np.ones(18)]))
    broken = sorted(poses.rglob("*.json"))[0]
    broken.write_text("{")
    listing = list_source(photos, keypoints=poses)
    assert len(listing.entries) == 11 == listing.counts["with one readable pose"]
    assert listing.rejected[0][1] == "keypoint file is not OpenPose JSON"
    sorted(poses.rglob("*.json"))[1].write_text("{")
    assert len({reason for _, reason in list_source(photos, keypoints=poses).rejected}) == 1, (
        "they can be counted"
    )


def test_large_images_take_a_table_in_the_256_pixel_frame(tmp_path):
    those = trees.build_tree("in-shop", tmp_path / "small", 12)
    for path in (tmp_path / "small" / "Img").rglob("*.jpg"):
        Image.open(path).resize((1024, 1024)).save(path)
    table = tmp_path / "small" / "fasion-annotation-all.csv"
    large = list_source(tmp_path / "small")
    assert {entry.frame for entry in large.entries} == {256} and len(large.entries) == len(complete(those))
    table.rename(table.with_name("keypoints.csv"))  # now nothing tells the frame
    with pytest.raises(
        UserError, match="All keypoints in .*keypoints.csv lie within .* measure 1024 .* --rule frame=256"
    ):
        list_source(tmp_path / "small")
    assert {entry.frame for entry in list_source(tmp_path / "small", rules=Rules(frame="256")).entries} == {
        256
    }
    assert {entry.frame for entry in list_source(tmp_path / "small", rules=Rules(frame="own")).entries} == {
        None
    }


def test_small_images_with_a_table_in_the_256_pixel_frame(photos):
    for path in photos.rglob("*.png"):
        Image.open(path).resize((128, 128)).save(path)
    with pytest.raises(
        UserError, match="csv lie beyond their images, .* measures 128: say .* --rule frame=256, frame=patn"
    ):
        list_source(photos)
    assert {entry.frame for entry in list_source(photos, rules=Rules(frame="256")).entries} == {256}


def own_photos(root, *names):
    "Photographs under these names, each with a standing person, and their table."
    for name in names:
        trees.save(root / name, np.zeros((256, 256, 3), np.uint8))
    standing = np.column_stack([trees.STANDING, np.ones(18)])
    trees.write_table(root / "keypoints.csv", [trees.csv_row(name, standing) for name in names])


def test_people_are_tested_who_make_a_pair(tmp_path):
    own_photos(tmp_path, *[f"{person}/{number}.png" for person, number in zip("aaabbbc", range(7))])
    listing = list_source(tmp_path)
    assert {entry.identity: entry.split for entry in listing.entries} == {
        "a": "train",
        "b": "test",
        "c": "train",
    }
    assert listing.counts["test pairs before mirroring"] == 6
    for path in list((tmp_path / "b").iterdir())[1:]:
        edit(tmp_path / "keypoints.csv", f"b/{path.name}", f"c/{path.name}")
        path.rename(tmp_path / "c" / path.name)
    assert {entry.identity for entry in list_source(tmp_path).entries if entry.split == "test"} == {"c"}


def test_one_person_who_makes_pairs_is_not_enough(tmp_path):
    own_photos(tmp_path, "a/1.png", "a/2.png", "b/3.png")
    with pytest.raises(
        UserError, match='only "a" has two usable images in one outfit, .* add images of a second one'
    ):
        list_source(tmp_path)


def test_a_folder_train_without_test_is_no_split(tmp_path):
    own_photos(tmp_path, *[f"{folder}/{number}.png" for number in range(2) for folder in ("train", "extra")])
    assert list_source(tmp_path).parameters["split"] == "identity"
    with pytest.raises(UserError, match="has no folders for split=folder"):
        list_source(tmp_path, rules=Rules(split="folder"))


def test_days_of_one_person_taken_for_people_are_warned_of(tmp_path):
    own_photos(tmp_path, *[f"anna/day{day}/{number}.png" for day in (1, 2) for number in range(2)])
    assert (
        list_source(tmp_path)
        .warnings[0]
        .startswith("The folders below anna/ are taken for people (day1, day2): if all")
    )


def test_one_name_like_deepfashions_among_own_photos(tmp_path):
    own_photos(
        tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/WOMEN-Denim-id_00000316-06_2_side.png"
    )
    listing = list_source(tmp_path)
    assert listing.layout == "people" and "non-commercial" not in listing.licence


def test_a_table_from_a_spreadsheet_and_names_in_capitals(photos):
    usual = list_source(photos)
    table = photos / "keypoints.csv"
    table.write_text(
        "".join(f'"{line}"\n' for line in table.read_text().replace(".png", ".PNG").splitlines()), "utf-8-sig"
    )
    assert [entry.name for entry in list_source(photos).entries] == [entry.name for entry in usual.entries]
    table.write_text(table.read_text("utf-8-sig"), "utf-16")
    with pytest.raises(UserError, match='is not text in UTF-8: .* save it as "CSV UTF-8"'):
        list_source(photos)


def test_the_second_resolution_is_set_aside(in_shop):
    usual = list_source(in_shop)
    for path in sorted((in_shop / "Img" / "img").rglob("*.jpg")):
        twin = in_shop / "Img" / "img_highres" / path.relative_to(in_shop / "Img" / "img")
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.symlink_to(path)
    listing = list_source(in_shop)
    assert listing.counts["copies in img_highres, not used"] == 30
    assert [entry.name for entry in listing.entries] == [entry.name for entry in usual.entries]


def test_tables_may_name_absent_images_of_deepfashion(in_shop):
    absent = sorted((in_shop / "Img").rglob("*.jpg"))[:2]
    for path in absent:
        path.unlink()
    warnings = list_source(in_shop).warnings
    assert any(warning.startswith("2 names in the keypoint files have no image") for warning in warnings)
    assert any(warning.startswith("2 names in the lists of the split have no image") for warning in warnings)


# Names


def test_names_with_spaces_and_accents_in_either_form(photos):
    before = list_source(photos)
    table = photos / "keypoints.csv"
    table.write_text(unicodedata.normalize("NFD", table.read_text()))
    assert table.read_text() != unicodedata.normalize("NFC", table.read_text())
    after = list_source(photos)
    assert [entry.name for entry in after.entries] == [entry.name for entry in before.entries]
    assert "Zoé" in after.entries[0].name and " " in after.entries[0].name


@pytest.mark.parametrize(
    "spelling",
    [
        "img/WOMEN/Tees_Tanks/id_00000316/06_2_side.jpg",
        "fashion/WOMEN/Tees_Tanks/id_00000316/06_2_side.jpg",
        "fashionWOMENTees_Tanksid0000031606_2side.jpg",
        "fasionWOMENTeesTanksid0000031606_2side.jpg",
        "a/b c/fasionWOMENTeesTanksid0000031606_2side.png",
        "WOMEN-Tees_Tanks-id_00000316-06_2_side",
        "WOMEN-Tees_Tanks-id_0000031606_2_side.JPG",
        "In-shop/Img/img_highres/WOMEN/Tees_Tanks/id_00000316/06_2_side.jpg",
    ],
)
def test_one_image_in_many_spellings(spelling):
    assert parse_name(spelling) == DeepFashionName("WOMEN", "Tees_Tanks", "00000316", "06", "2", "side")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a.jpg",
        "anna/1.jpg",
        "WOMEN/hats/1.jpg",
        "id_00000316.jpg",
        "fashionWOMENid0000031606_2side.jpg",
        "fashionWOMENDressesid0000031606_2side.jpg___fashionWOMENDressesid0000031606_3back_vis.jpg",
    ],
)
def test_other_names_are_not_taken_for_deepfashions(name):
    assert parse_name(name) is None


# What must not get in


def test_links_pipes_and_odd_names_stay_outside(photos, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    Image.new("RGB", (8, 8)).save(outside / "secret.png")
    usual = list_source(photos)
    inside = next(photos.rglob("*.png"))
    (photos / "out.png").symlink_to(outside / "secret.png")
    (photos / "relative.png").symlink_to(os.path.relpath(outside / "secret.png", photos))
    (photos / "lost.png").symlink_to("nowhere.png")
    (photos / "folder").symlink_to(outside)
    (photos / "other.csv").symlink_to(outside / "secret.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "line\nbreak.png").write_bytes(inside.read_bytes())
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff.png")).write_bytes(inside.read_bytes())
    (photos / "IMG_1.HEIC").write_bytes(b"heic")
    (photos / ".DS_Store").write_text("hidden")
    (photos / "._1.png").write_text("hidden")
    listing = list_source(photos)
    reasons = dict(listing.rejected)
    assert (
        reasons["out.png"]
        == reasons["relative.png"]
        == reasons["other.csv"]
        == "a link that leads out of the folder"
    )
    assert reasons["lost.png"] == "a link that leads nowhere"
    assert reasons["folder"] == "a link to a folder, which is not followed"
    assert reasons["pipe.png"] == "not a file"
    assert (
        reasons["line\nbreak.png"]
        == reasons["\\udcff.png"]
        == "its name holds characters that are no text: rename it"
    )
    assert reasons["IMG_1.HEIC"].startswith("is a HEIC photo")
    assert [entry.name for entry in listing.entries] == [entry.name for entry in usual.entries]
    assert not any("DS_Store" in name or "._1" in name for name in reasons)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_a_pickle_that_would_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trees.build_tree("pg2", tmp_path / "data", 12)
    for kind in ("all_peaks", "subsets"):
        (tmp_path / "data" / "PoseFiltered" / f"{kind}_dic_DeepFashion.p").write_bytes(
            pickle.dumps({"a.jpg": Bomb()})
        )
    with pytest.raises(UserError, match='is refused: it asks for "posix.system".* Nothing in it was run'):
        list_source(tmp_path / "data")
    assert not (tmp_path / "exploded").exists()


# Leaks


def test_a_planted_leak_is_refused(in_shop):
    partition = in_shop / "Eval" / "list_eval_partition.txt"
    text = partition.read_text()
    lines = text.splitlines()
    outfits = Counter(parse_name(line.split()[0]).outfit for line in lines[2:] if line.endswith("train"))
    outfit = next(name for name, number in outfits.items() if number > 1)
    number = next(n for n, line in enumerate(lines) if outfit in line)
    lines[number] = lines[number].replace("train", "query")
    partition.write_text("\n".join(lines) + "\n")
    sentence = rf"^1 outfit\(s\) lie in train and in test, for example {outfit}: .* or split by identity\.$"
    with pytest.raises(UserError, match=sentence):
        list_source(in_shop)
    assert list_source(in_shop, rules=Rules(split="identity")).entries


def test_a_leak_between_folders_is_refused(tmp_path):
    trees.build_tree("patn 256", tmp_path, 60)
    training = sorted((tmp_path / "train").iterdir())
    training[0].rename(tmp_path / "test" / training[0].name)
    with pytest.raises(UserError, match="lie in train and in test"):
        list_source(tmp_path)


def test_an_outfit_filed_twice_leaves_the_training_split(in_shop):
    partition = in_shop / "Eval" / "list_eval_partition.txt"
    lines = partition.read_text().splitlines()
    tested = next(line.split()[0] for line in lines[2:] if not line.endswith("train"))
    twin = tested.replace(parse_name(tested).category, "Sweaters").replace("1_front", "7_additional")
    (in_shop / "Img" / twin).parent.mkdir(parents=True)
    (in_shop / "Img" / twin).write_bytes((in_shop / "Img" / tested).read_bytes())
    partition.write_text(
        "\n".join([str(len(lines) - 1), *lines[1:], f"{twin} id_{parse_name(tested).item} train"])
    )
    listing = list_source(in_shop)
    assert (f"Img/{twin}", "its outfit is tested, filed under another category") in listing.rejected
    assert listing.counts["in a split"] - listing.counts["of outfits in one split"] == 1


# Bad folders and files, each with its sentence


def remove_tables(root):
    for path in root.glob("*.csv"):
        path.unlink()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def a_second_spelling(root):
    table = root / "fasion-annotation-all.csv"
    row = table.read_text().splitlines()[1]
    (root / "fasion-annotation-more.csv").write_text(
        f"{trees.CSV_HEADER}\n{row.replace('fasion', 'fashion', 1)}\n"
    )


def an_image_twice(root):
    path = sorted((root / "Img").rglob("*.jpg"))[0]
    (root / "again").mkdir()
    (root / "again" / path.relative_to(root / "Img" / "img").as_posix().replace("/", "-")).write_bytes(
        path.read_bytes()
    )


PARTITION = Path("Eval") / "list_eval_partition.txt"


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (
            remove_tables,
            r"holds no keypoints for the 30 images \(in-shop layout\): add a table \(.csv that begins with",
        ),
        (
            a_second_spelling,
            r'"fa.*" in .*fasion-annotation-.*csv and "fa.*" in .* both mean the image Img/img/.*: remove one',
        ),
        (an_image_twice, r'"Img/img/.*" and "again/.*" have one and the same name \(.*\): keep one of them'),
        (
            lambda root: edit(root / PARTITION, "image_name", "name"),
            r'list_eval_partition.txt, line 2: "name .*" should be',
        ),
        (
            lambda root: (root / PARTITION).write_text(""),
            r'list_eval_partition.txt, line 2: "" should be "image_name',
        ),
        (
            lambda root: edit(root / PARTITION, " train", " trial"),
            r"line \d+: .* should be an image, its item, and train, query",
        ),
        (
            lambda root: edit(root / PARTITION, "30\n", "31\n"),
            r'announces "31" images, but lists 30: download it again',
        ),
        (
            lambda root: (root / "Img" / "list_eval_partition.txt").touch(),
            r"holds several lists list_eval_partition.txt \(",
        ),
        (
            lambda root: trees.write_pickles(root, {}),
            r"holds keypoints of several kinds \(\*.csv, all_peaks_dic_\*.p\): give",
        ),
        (
            lambda root: (root / "pairs.csv").write_text("from,to\na.jpg,b.jpg,c.jpg\n"),
            r"pairs.csv, line 2: found 3 names, but",
        ),
        (
            lambda root: edit(root / "fasion-annotation-all.csv", "[", "[left, "),
            r"csv, line 2: .* is not a list of numbers",
        ),
    ],
)
def test_a_bad_in_shop_folder(in_shop, spoil, sentence):
    spoil(in_shop)
    with pytest.raises(UserError, match=sentence) as caught:
        list_source(in_shop)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (remove_tables, r"holds no keypoints for the 12 images \(people layout\)"),
        (
            lambda root: edit(root / "keypoints.csv", "keypoints_y:keypoints_x", "keypoints_x:keypoints_y"),
            r'keypoints.csv begins with "name:keypoints_x:keypoints_y", but its first line must be',
        ),
        (
            lambda root: [(root / f"{part}.lst").write_text("photo 0.png\n") for part in ("train", "test")],
            r'The image "photo 0.png" is in both splits, in .*test.lst for test: keep it in one',
        ),
        (
            lambda root: [(root / f"{part}.lst").write_text("") for part in ("train", "test")],
            r"No image of .* is left; the most frequent reason \(12 images\): not in the lists of the split",
        ),
        (
            lambda root: trees.write_table(root / "keypoints.csv", ["photo 0.png: []: []"]),
            r"a list holds 0 values; write",
        ),
    ],
)
def test_a_bad_folder_of_ones_own(photos, spoil, sentence):
    spoil(photos)
    with pytest.raises(UserError, match=sentence):
        list_source(photos)


def test_a_bare_name_that_two_folders_share(tmp_path):
    row = trees.csv_row("1.jpg", np.ones((18, 3)))
    trees.write_table(tmp_path / "keypoints.csv", [row])
    for person in ("anna", "bob"):
        trees.save(tmp_path / person / "1.jpg", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match='names the image "1.jpg", but several in different folders'):
        list_source(tmp_path)


def test_two_forms_of_one_accent(tmp_path):
    for form in ("NFC", "NFD"):
        trees.save(tmp_path / f"{unicodedata.normalize(form, 'é')}.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="have one and the same name"):
        list_source(tmp_path)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (
            [],
            r"holds no image that can be used \(found: nothing\)\. Recognised are: DeepFashion In-shop .* PG2 .* PATN",
        ),
        (
            ["Img/img.zip", "Eval/list_eval_partition.txt"],
            r"\(found: Eval, Img\)\. Unpack Img/img.zip first\. Recognised",
        ),
        (
            ["IMG_0001.HEIC"],
            r"\(found: IMG_0001.HEIC\)\. IMG_0001.HEIC: is a HEIC photo, which cannot be read here: save or",
        ),
        ([".hidden.jpg", "__MACOSX/1.jpg", "video.mp4"], r"\(found: video.mp4\)"),
    ],
)
def test_folders_without_images(tmp_path, content, sentence):
    for name in content:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=sentence):
        list_source(tmp_path)


def test_a_table_that_leaves_nothing(in_shop):
    trees.write_table(in_shop / "fasion-annotation-all.csv", [])
    with pytest.raises(
        UserError, match=r"No image of .* is left; the most frequent reason \(30 images\): no row in"
    ):
        list_source(in_shop)


def test_no_folder_or_one_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="There is no folder .*nowhere"):
        list_source(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is not a folder"):
        list_source(tmp_path / "file")

    def forbidden(path):  # what happens to anybody but root, as whom tests may run
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\): change its permissions"):
        list_source(tmp_path)


@pytest.mark.parametrize(
    "keypoints, sentence",
    [
        ("notes.txt", "notes.txt is no keypoint file of a known kind: give a .csv table"),
        ("gone.csv", "There is no keypoint file .*gone.csv"),
        ("all_peaks_dic_gone.p", "There is no keypoint file .*all_peaks_dic_gone.p"),
        ("Img", "Img holds no keypoints for the 30 images"),
    ],
)
def test_keypoints_that_cannot_be_used(in_shop, keypoints, sentence):
    with pytest.raises(UserError, match=sentence):
        list_source(in_shop, keypoints=in_shop / keypoints)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["require=neck,belly"], 'The rule require names "belly", which is no keypoint'),
        (["require="], 'The rule require names "", which is no keypoint'),
        (["split=random"], 'The rule split is "random"; use one of: auto, official, list, folder, identity'),
        (["person=both"], 'The rule person is "both"; use one of'),
        (["least=0"], "The rule least is 0; a pose has 1 to 18 keypoints"),
        (["least=many"], 'The rule least takes a whole number, not "many"'),
        (["strict"], '"strict" is no rule; write RULE=VALUE'),
        (["size=64"], '"size=64" is no rule'),
        (
            ["split=list"],
            "has no lists for split=list: add train.lst with test.lst or train.txt with test.txt",
        ),
        (["split=folder"], "has no folders for split=folder: they are called train and test"),
        (["pairs=list"], 'has no list of pairs for pairs=list: add a .csv that begins with "from,to"'),
    ],
)
def test_rules_that_cannot_be_followed(in_shop, words, sentence):
    with pytest.raises(UserError, match=sentence):
        list_source(in_shop, rules=Rules.from_words(words))


def test_pickles_that_do_not_belong_together(tmp_path):
    those = trees.build_tree("pg2", tmp_path, 12)
    trees.write_pickles(tmp_path / "other", {one.pg2: one.pose for one in those[:5]})
    (tmp_path / "other" / "subsets_dic_DeepFashion.p").rename(
        tmp_path / "PoseFiltered" / "subsets_dic_DeepFashion.p"
    )
    (tmp_path / "other" / "all_peaks_dic_DeepFashion.p").unlink()
    with pytest.raises(UserError, match="do not belong together: 7 images"):
        list_source(tmp_path)
    (tmp_path / "PoseFiltered" / "subsets_dic_DeepFashion.p").unlink()
    with pytest.raises(UserError, match="There is no keypoint file .*subsets_dic_DeepFashion.p"):
        list_source(tmp_path)


# The published lists and tables, where they are present

published = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real data sets are not here; name their folder with POSEGEN_SHARED"
)
LISTS, TABLES = SHARED / "deepfashion_lists", SHARED / "deepfashion_keypoints"


def names_in(*paths):
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [name for line in lines for name in line.split("\t") if name.strip()]


def split_of(folder, lists):
    names = names_in(*(folder / name for name in lists))
    return names, split_images(
        Files(folder, names, lists, []), names, NameIndex(names), owners(names), names, "auto"
    )


@published
def test_the_official_lists():
    names, split = split_of(LISTS, ["train.txt", "query.txt", "gallery.txt"])
    assert split.how == "official" and not split.strangers
    assert Counter(split.of.values()) == {"train": 25882, "test": 26830}
    assert all(map(parse_name, names)) and len({name_key(name) for name in names}) == 52712
    owned = owners(names)
    outfits = {
        part: {owned[name][1] for name in names if split.of[name] == part} for part in ("train", "test")
    }
    assert [len(outfits[part]) for part in ("train", "test")] == [6412, 6617] and not outfits[
        "train"
    ] & outfits["test"]
    assert find_leaks(names, owned, split.of) == (set(), []), "no outfit and no item lies in both"
    assert set(names_in(LISTS / "val.txt")) == {name for name in names if split.of[name] == "test"}


@published
def test_the_lists_of_patn():
    names, split = split_of(TABLES, ["train.lst", "test.lst"])
    assert split.how == "list" and Counter(split.of.values()) == {"train": 48674, "test": 4038}
    assert all(map(parse_name, names))
    owned = owners(names)
    leaking, warnings = find_leaks(names, owned, split.of)  # would raise for an outfit in both
    assert warnings == ["513 of 930 test identities also occur in train, in other outfits."]
    assert len(leaking) == 38 and len({worn(parse_name(name)) for name in leaking}) == 15
    official = {
        name_key(name) for name in names_in(LISTS / "train.txt", LISTS / "query.txt", LISTS / "gallery.txt")
    }
    assert {name_key(name) for name in names} == official


@published
@pytest.mark.parametrize(
    "prefix, rows, kept, pairs", [("fasion-resize", 4038, 3264, 8570), ("fasion", 4061, 3278, 8670)]
)
def test_the_default_rule_is_that_of_the_published_pairs(prefix, rows, kept, pairs):
    official = names_in(LISTS / "train.txt", LISTS / "query.txt", LISTS / "gallery.txt")
    index = NameIndex(official)
    poses = ImagePoses(SHARED, index, "only", "auto")
    poses.read(TABLES / f"{prefix}-annotation-test.csv", "")
    assert len(poses.found) == rows and not poses.strangers and not poses.objections
    complete_ones = [image for image, (pose, _) in poses.found.items() if Rules().objection(pose) is None]
    assert len(complete_ones) == kept
    owned = owners(complete_ones)
    groups = {}
    for image in complete_ones:
        groups.setdefault(owned[image][1], []).append(image)
    every = {(a, b) for group in groups.values() for a in group for b in group if a != b}
    listed = read_pairs(TABLES / f"{prefix}-pairs-test.csv")
    assert len(listed) == pairs and {(index.find(a), index.find(b)) for a, b in listed} == every


@published
def test_the_two_tables_agree_after_the_offset():
    official = NameIndex(names_in(LISTS / "train.txt", LISTS / "query.txt", LISTS / "gallery.txt"))
    found = []
    for name in ("fasion-resize-annotation-test.csv", "fasion-annotation-test.csv"):
        poses = ImagePoses(SHARED, official, "only", "auto")
        poses.read(TABLES / name, name)
        assert {frame for _, frame in poses.found.values()} == {256}
        found.append({image: pose for image, (pose, _) in poses.found.items()})
    shared = sorted(found[0].keys() & found[1].keys())
    a, b = (np.stack([table[image] for image in shared]) for table in found)
    both = (a[..., 2] > 0) & (b[..., 2] > 0)
    assert (len(shared), int(both.any(1).sum())) == (351, 279)
    assert np.median(np.hypot(*(a - b)[both].T[:2])) == 0 and len(KEYPOINTS) == a.shape[1]
