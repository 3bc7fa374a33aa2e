"Market-1501 and its kin in every form that people have them: people by their names, the published split and pairs."

import shutil

import numpy as np
import pytest
import trees
from PIL import Image

from posegen.core import UserError, preset
from posegen.data.prepare import prepare
from posegen.photos.keypoints import CSV_HEADER
from posegen.photos.layouts import Rules, list_source
from posegen.photos.names import parse_pedestrian
from posegen.photos.splits import PAIRS_HEADER

TRAIN, TEST = ("0002", "0007", "0010"), ("0001", "0003")
MARKET_NOBODY = ("-1", "0000")
POSE = trees.STANDING / 256 * [64, 128]  # in pixels of an image of 64 x 128


def market(person, view):
    return f"{person}_c{view}s1_{view * 100 + 51:06}_0{view}.jpg"


def duke(person, view):
    return f"{person}_c{view}_f{view * 1000:07}.jpg"


def mars(person, view):
    return f"{person.replace('-1', '00-1')}C{view}T0001F{view:03}.jpg"


def nobody(spell):
    "DukeMTMC marks no one as nobody."
    return () if spell is duke else MARKET_NOBODY


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 255, (8, 4, 3), np.uint8)
    Image.fromarray(colours).resize((64, 128)).save(path)


def write_table(path, names):
    x, y = POSE[:, 0].astype(int).tolist(), POSE[:, 1].astype(int).tolist()
    rows = [f"{name}: {y}: {x}" for name in names]
    path.write_text("\n".join([CSV_HEADER, *rows]) + "\n")


def write_pairs(path, pairs):
    path.write_text("\n".join([PAIRS_HEADER, *(f"{a},{b}" for a, b in pairs)]) + "\n")


def names_of(people, spell=market, views=(1, 2, 3)):
    return [spell(person, view) for person in people for view in views]


def test_pairs(spell=market):
    "Not all pairs: two a person, in one direction."
    return [(spell(person, 1), spell(person, view)) for person in TEST for view in (2, 3)]


test_pairs.__test__ = False


def train_pairs(spell=market):
    return [(spell(person, 2), spell(person, 3)) for person in TRAIN]


def lists(root, spell=market):
    write_pairs(root / "market-pairs-train.csv", train_pairs(spell))
    write_pairs(root / "market-pairs-test.csv", test_pairs(spell))


def patn(root, spell=market):
    "PATN's layout: `train` and `test`, with tables and lists; nobody is among the test images."
    for split, people in (("train", TRAIN), ("test", TEST + nobody(spell))):
        names = names_of(people, spell)
        for number, name in enumerate(names):
            save(root / split / name, number + 100 * (split == "test"))
        write_table(root / f"market-annotation-{split}.csv", names)
    lists(root, spell)


def raw(root, spell=market, boxes=True):
    "As downloaded: query and gallery are the test; `gt_bbox` holds boxes of everybody."
    for number, name in enumerate(names_of(TRAIN, spell)):
        save(root / "bounding_box_train" / name, number)
        if boxes:
            save(root / "gt_bbox" / name, number)
    for person in TEST + nobody(spell):
        for view in (1, 2, 3):
            place = "query" if view == 1 and person in TEST else "bounding_box_test"
            save(root / place / spell(person, view), int(person) * 7 + view + 500)
    write_table(root / "market-annotation.csv", names_of(TRAIN + TEST + nobody(spell), spell))


def subfolders(root, spell=market):
    "One subfolder a person, and the published lists of pairs."
    names = names_of(TRAIN + TEST + nobody(spell), spell)
    for number, name in enumerate(names):
        save(root / parse_pedestrian(name).person / name, number)
    write_table(root / "poses.csv", names)
    lists(root, spell)


def flat(root, spell=market):
    "All in one folder."
    names = names_of(TRAIN + TEST + nobody(spell), spell)
    for number, name in enumerate(names):
        save(root / name, number)
    write_table(root / "poses.csv", names)
    lists(root, spell)


FORMS = {"patn": patn, "raw": raw, "subfolders": subfolders, "flat": flat}


def people_by_split(listing):
    return {
        part: {entry.identity for entry in listing.entries if entry.split == part}
        for part in ("train", "test")
    }


def pairs_by_name(pairs):
    return sorted(tuple(name.rpartition("/")[2] for name in pair[:2]) for pair in pairs)


@pytest.mark.parametrize("spell", [market, duke, mars])
@pytest.mark.parametrize("form", FORMS)
def test_people_and_split_are_the_published_ones(form, spell, tmp_path):
    FORMS[form](tmp_path, spell)
    listing = list_source(tmp_path)
    assert listing.layout == "market"
    left_out = {parse_pedestrian(name).person for name, _ in listing.rejected}
    assert left_out == {market: {"-1", "0000"}, mars: {"00-1", "0000"}, duke: set()}[spell]
    assert people_by_split(listing) == {"train": set(TRAIN), "test": set(TEST)}
    assert (
        listing.source.partition(",")[0]
        == {market: "Market-1501", duke: "DukeMTMC-reID", mars: "MARS"}[spell]
    )
    assert listing.licence.startswith(listing.source.partition(",")[0])


@pytest.mark.parametrize("form", ["patn", "subfolders", "flat"])
def test_the_listed_pairs_are_the_pairs_exactly(form, tmp_path):
    FORMS[form](tmp_path)
    listing = list_source(tmp_path)
    split = {entry.name: entry.split for entry in listing.entries}
    by_split = {
        part: [pair for pair in listing.pairs if split[pair[0]] == part] for part in ("train", "test")
    }
    assert pairs_by_name(by_split["test"]) == sorted(test_pairs())
    assert pairs_by_name(by_split["train"]) == sorted(train_pairs())
    assert all(split[one] == split[other] for one, other in listing.pairs)


@pytest.mark.parametrize(
    "rules", [Rules(split="identity"), Rules(pairs="all"), Rules(split="identity", pairs="all")]
)
@pytest.mark.parametrize("form", ["patn", "subfolders", "flat"])
def test_no_listed_test_pair_is_trained_on_whatever_the_rules(form, rules, tmp_path):
    FORMS[form](tmp_path)
    assert people_by_split(list_source(tmp_path, rules=rules)) == {"train": set(TRAIN), "test": set(TEST)}


def test_without_lists_all_pairs_of_a_person_are_made(tmp_path):
    raw(tmp_path)
    listing = list_source(tmp_path)
    assert listing.pairs is None
    assert listing.counts["train pairs before mirroring"] == 3 * 6
    assert listing.counts["test pairs before mirroring"] == 2 * 6
    assert listing.counts["hand-drawn boxes in gt_bbox, not used"] == 9
    assert listing.parameters["split"] == "folder"


def test_a_raw_folder_of_hand_drawn_boxes_alone_is_split_by_person(tmp_path):
    raw(tmp_path)
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        shutil.rmtree(tmp_path / folder)
    listing = list_source(tmp_path)
    assert people_by_split(listing) == {"train": {"0002", "0007"}, "test": {"0010"}}
    assert any("names in the keypoint files have no image" in warning for warning in listing.warnings)


def test_a_second_copy_beside_the_downloaded_folders_is_not_used(tmp_path):
    raw(tmp_path, boxes=False)
    shutil.copytree(tmp_path / "bounding_box_train", tmp_path / "train")
    listing = list_source(tmp_path)
    assert listing.counts["copies in a second folder, not used"] == 9
    assert people_by_split(listing) == {"train": set(TRAIN), "test": set(TEST)}


def test_the_store_holds_squares_whose_keypoints_moved_along(tmp_path):
    (tmp_path / "market").mkdir()
    patn(tmp_path / "market")
    store = prepare(tmp_path / "market", tmp_path / "store.h5", preset("quick"), workers=1)
    assert store.size == 64 and len(store.names) == 15
    # 64 x 128: margins of 32 at both sides, then half the size
    expected = np.floor((np.trunc(POSE) + [32, 0] + 0.5) / 2)
    for keypoints in store.keypoints:
        assert keypoints[:, :2] == pytest.approx(expected)
    names = [name.rpartition("/")[2] for name in store.names]
    stored = sorted((names[pair[0]], names[pair[1]]) for pair in store.pairs.tolist())
    # training pairs twice, the second time mirrored
    assert stored == sorted(test_pairs() + 2 * train_pairs())


# Leaks


def plant(root, train):
    "A list of test pairs that names two images which are to be trained on."
    write_pairs(root / "planted-pairs-test.csv", [train])


@pytest.mark.parametrize("form", ["patn", "raw"])
def test_a_test_pair_of_training_images_is_refused(form, tmp_path):
    FORMS[form](tmp_path)
    plant(tmp_path, (market("0002", 1), market("0002", 2)))
    with pytest.raises(
        UserError, match=r"planted-pairs-test.csv is a list of test pairs, but 2 of its images"
    ):
        list_source(tmp_path)


@pytest.mark.parametrize("form", ["subfolders", "flat"])
def test_somebody_in_both_lists_is_refused(form, tmp_path):
    FORMS[form](tmp_path)
    plant(tmp_path, (market("0002", 1), market("0002", 2)))
    with pytest.raises(
        UserError, match=r"market-pairs-train.csv is a list of train pairs, but 2 of its images"
    ):
        list_source(tmp_path)


@pytest.mark.parametrize("folders", [("train", "test"), ("bounding_box_train", "query")])
def test_a_person_in_both_folders_is_refused(folders, tmp_path):
    (patn if folders[0] == "train" else raw)(tmp_path)
    (tmp_path / "planted").mkdir()
    save(tmp_path / folders[1] / market("0002", 4), 999)
    write_table(tmp_path / "more.csv", [market("0002", 4)])
    with pytest.raises(UserError, match=r"lie in train and in test, for example 0002"):
        list_source(tmp_path)


@pytest.mark.parametrize("layout", trees.LAYOUTS)
def test_a_planted_test_list_is_heeded_or_refused_in_every_layout(layout, tmp_path):
    "Where lists or folders tell the split it is refused; where nothing does, it tells who is tested."
    trees.build_tree(layout, tmp_path, 60)
    entries = [entry for entry in list_source(tmp_path).entries if entry.split == "train"]
    outfits = {}
    for entry in entries:
        outfits.setdefault(entry.outfit, []).append(entry.name)
    pair = next(names[:2] for names in outfits.values() if len(names) > 1)
    plant(tmp_path, pair)
    if layout in ("people", "folder"):
        split = {entry.name: entry.split for entry in list_source(tmp_path).entries}
        assert [split[name] for name in pair] == ["test", "test"]
    else:
        with pytest.raises(
            UserError, match="planted-pairs-test.csv is a list of test pairs, but 2 of its images"
        ):
            list_source(tmp_path)


@pytest.mark.parametrize(
    "name, text",
    [
        ("pairs-test.csv", '"from","to"\n"{a}","{b}"\n'),
        ("pairs_test.csv", "from;to\n{a};{b}\n"),
        ("test_pairs.txt", "{a} {b}\n"),
        ("test-pairs.tsv", "From\tTo\n{a}\t{b}\n"),
        ("test/pairs.csv", "{a},{b}\n"),
    ],
)
def test_a_list_of_test_pairs_is_known_in_many_spellings(name, text, tmp_path):
    raw(tmp_path)
    shutil.rmtree(tmp_path / "gt_bbox")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(a=market("0001", 2), b=market("0001", 3)))
    listing = list_source(tmp_path)
    split = {entry.name: entry.split for entry in listing.entries}
    tested = [pair for pair in listing.pairs if split[pair[0]] == "test"]
    assert pairs_by_name(tested) == [(market("0001", 2), market("0001", 3))]
    path.write_text(text.format(a=market("0002", 2), b=market("0002", 3)))
    with pytest.raises(UserError, match="is a list of test pairs, but 2 of its images"):
        list_source(tmp_path)


def test_a_test_list_of_which_nothing_is_left_is_told(tmp_path):
    patn(tmp_path)
    write_pairs(tmp_path / "market-pairs-test.csv", [(market("0001", 1), market("0003", 2))])
    listing = list_source(tmp_path)
    assert any("No test pair of the lists can be used" in warning for warning in listing.warnings)


def test_training_and_test_folders_whose_names_tell_nobody(tmp_path):
    names = [f"{part}/{number}.jpg" for part in ("train", "val") for number in range(4)]
    for number, name in enumerate(names):
        save(tmp_path / name, number)
    write_table(tmp_path / "poses.csv", names)
    with pytest.raises(
        UserError, match="names do not tell who is on.*put each person's images into a subfolder"
    ):
        list_source(tmp_path)


# Strangers in one folder


def strangers(root, names):
    for number, name in enumerate(names):
        save(root / name, number)
    write_table(root / "poses.csv", names)
    return list_source(root).warnings


def test_one_folder_is_one_person_and_that_is_said(tmp_path):
    warnings = strangers(tmp_path, [f"{number:06}.jpg" for number in range(12)])
    assert any(
        "All 12 images lie in one folder and are taken for one person: if they show several, put each "
        "person's images into a subfolder of its own" in warning
        for warning in warnings
    )


@pytest.mark.parametrize(
    "spell", ["{person}_{view}.jpg", "{person}-c1-{view:03}.png", "{person} ({view}).jpg"]
)
@pytest.mark.parametrize("people", [("anna", "bob", "carl"), ("0001", "0002"), ("P12", "P13")])
def test_names_of_several_people_in_one_folder_are_told(people, spell, tmp_path):
    names = [spell.format(person=person, view=view) for person in people for view in range(1, 5)]
    warnings = strangers(tmp_path, names)
    told = f"look like those of {len(people)} people ({people[0]}: 4, "
    assert any(told in warning and "subfolder of its own" in warning for warning in warnings), warnings


@pytest.mark.parametrize(
    "spell", ["IMG_{n:04}.jpg", "frame-{n}.jpg", "2024010{m}_{n}.jpg", "PXL_{n}.jpg", "{n}.jpg"]
)
def test_frames_and_cameras_are_no_names_of_people(spell, tmp_path):
    warnings = strangers(tmp_path, [spell.format(n=n, m=1 + n % 3) for n in range(12)])
    assert not any("look like those" in warning for warning in warnings)


def test_names_that_tell_the_person_are_believed_in_any_folder(tmp_path):
    "Half of the names tell nothing, so the layout is a folder; the others are people all the same."
    names = names_of(("0002", "0007")) + [f"holiday{n}.jpg" for n in range(7)]
    strangers(tmp_path, names)
    people = {entry.name: entry.identity for entry in list_source(tmp_path).entries}
    assert set(people.values()) == {"0002", "0007", "."}
    assert people[market("0007", 2)] == "0007"


# MSMT17 and CUHK03


def msmt17(person, view):
    time = ("0303morning", "0113noon", "0302afternoon")[view % 3]
    return f"{person}/{person}_{view:03}_{view + 6:02}_{time}_{view * 7:04}_{view}{'_ex' * (view == 2)}.jpg"


@pytest.mark.parametrize(
    "halves", [("train", "test"), ("mask_train_v2", "mask_test_v2"), ("MSMT17_V1/train", "MSMT17_V1/test")]
)
def test_msmt17_counts_people_anew_in_each_half(halves, tmp_path):
    "Person 0 of the training is nobody's distractor, and not person 0 of the test."
    names = []
    for half, people in zip(halves, (("0000", "0001", "0002"), ("0000", "0001"))):
        names += [f"{half}/{msmt17(person, view)}" for person in people for view in (1, 2, 3)]
    for number, name in enumerate(names):
        save(tmp_path / name, number)
    for part, half in (("train", 0), ("val", 0), ("query", 1), ("gallery", 1)):
        rows = [name.removeprefix(halves[half] + "/") for name in names if name.startswith(halves[half])]
        (tmp_path / f"list_{part}.txt").write_text("".join(f"{row} {int(row[:4])}\n" for row in rows))
    write_table(tmp_path / "poses.csv", names)
    listing = list_source(tmp_path)
    assert (listing.layout, listing.source.partition(",")[0]) == ("market", "MSMT17")
    assert people_by_split(listing) == {
        "train": {"train/0000", "train/0001", "train/0002"},
        "test": {"test/0000", "test/0001"},
    }
    assert not listing.rejected and len(listing.entries) == 15
    assert listing.counts["train pairs before mirroring"] == 3 * 6
    assert listing.counts["test pairs before mirroring"] == 2 * 6


def test_msmt17_in_one_folder_is_one_person_a_number(tmp_path):
    names = [msmt17(person, view).partition("/")[2] for person in ("0000", "0007") for view in (1, 2, 3)]
    strangers(tmp_path, names)
    assert {entry.identity for entry in list_source(tmp_path).entries} == {"0000", "0007"}


def cuhk03(pair, person, view, camera):
    return f"{pair}_{person:03}_{camera}_{view:02}.png"


CUHK03 = [(pair, person) for pair in (1, 2, 5) for person in (1, 2)]


@pytest.mark.parametrize(
    "folders", [("images_labeled",), ("images_detected",), ("images_detected", "images_labeled")]
)
def test_cuhk03_counts_people_anew_in_each_pair_of_cameras(folders, tmp_path):
    names = [cuhk03(*who, view, 1 + view // 6) for who in CUHK03 for view in (1, 2, 6)]
    for folder in folders:
        for number, name in enumerate(names):
            save(tmp_path / folder / name, number)
    (tmp_path / "splits_new_labeled.json").write_text('[{"train": [["x.png", 0, 0]], "num_train_pids": 767}]')
    write_table(tmp_path / "poses.csv", names)
    listing = list_source(tmp_path)
    assert (listing.layout, listing.source.partition(",")[0]) == ("market", "CUHK03")
    assert {entry.name.partition("/")[0] for entry in listing.entries} == {folders[-1]}
    assert len(listing.entries) == len(names)
    people = people_by_split(listing)
    assert people["test"] == {"5_001"} and len(people["train"]) == 5
    assert any("own lists of who is tested" in warning for warning in listing.warnings)
    if len(folders) == 2:
        assert listing.counts["boxes of a detector beside hand-drawn ones, not used"] == len(names)


@pytest.mark.parametrize("above", ["", "detected/", "labeled/"])
def test_cuhk03_in_the_form_of_its_new_protocol(above, tmp_path):
    names = [f"{above}bounding_box_train/{p}_c{c}_{n}.png" for p in TRAIN for n, c in ((1, 1), (2, 2))]
    names += [f"{above}query/{p}_c1_1.png" for p in TEST]
    names += [f"{above}bounding_box_test/{p}_c2_{n}.png" for p in TEST for n in (2, 3)]
    for number, name in enumerate(names):
        save(tmp_path / name, number)
    write_table(tmp_path / "poses.csv", names)
    listing = list_source(tmp_path)
    assert listing.source.startswith("CUHK03") and len(listing.entries) == len(names)
    assert people_by_split(listing) == {"train": set(TRAIN), "test": set(TEST)}
    assert not any("own lists" in warning for warning in listing.warnings)
    plant(tmp_path, [name.rpartition("/")[2] for name in names[:2]])
    with pytest.raises(
        UserError, match="planted-pairs-test.csv is a list of test pairs, but 2 of its images"
    ):
        list_source(tmp_path)


@pytest.mark.parametrize("name", ["cuhk-03.mat", "cuhk03_release/CUHK-03.MAT"])
def test_cuhk03_as_it_is_downloaded_is_explained(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    with pytest.raises(UserError, match="Write the images in .*[cC].*03.* to files first"):
        list_source(tmp_path)
