"Results of other programs: their names, their masks, and what they are compared with."

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from posegen.core import UserError
from posegen.metrics.folders import read_mask, score_folders
from posegen.metrics.matching import match_folders, person_of
from posegen.report.scores import scores_table, write_scores


def deepfashion(item, view, spell="joined"):
    number, word = view.split("_")
    return {
        "joined": f"fashionWOMENDressesid{item:08}01_{number}{word}",
        "dashes": f"WOMEN-Dresses-id_{item:08}-01_{number}_{word}",
    }[spell]


def market(person, view):
    return f"{person:04}_c{view}s1_{view * 100:06}_00"


def picture(seed, blur=0):
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    image = np.asarray(Image.fromarray(noise).resize((64, 64))).astype(float)
    return Image.fromarray(
        (image + blur * np.random.default_rng(99).normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)
    )


PEOPLE, VIEWS = (2, 3, 4), ("2_side", "3_back")
TRUTH = {(item, view): 10 * item + number for item in PEOPLE for number, view in enumerate(VIEWS)}

# program -> name of a result from the names of source and target
PROGRAMS = {
    "GFLA, PISE": "{source}_2_{target}_vis",
    "PATN": "{source}.jpg___{target}.jpg_vis",
    "without an end": "{source}___{target}",
    "spelled out": "{source}_to_{target}",
    "with another end": "{source}_2_{target}_fake",
    "in a folder": "epoch_20/{source}___{target}_vis",
}


def write(folder, name, image):
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def truth(tmp_path):
    for (item, view), seed in TRUTH.items():
        write(tmp_path / "truth", deepfashion(item, view), picture(seed))
    return tmp_path / "truth"


@pytest.mark.parametrize("spell", ["joined", "dashes"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_result_meets_its_target_and_intervals_are_over_people(program, spell, truth, tmp_path):
    for (item, view), seed in TRUTH.items():
        source, target = (deepfashion(item, one, spell) for one in ("1_front", view))
        write(tmp_path / "results", PROGRAMS[program].format(source=source, target=target), picture(seed))
    scores = score_folders(tmp_path / "results", truth, ["skimage", "pg2"])
    # another image than its own target would not be equal
    assert scores.values["SSIM skimage"].tolist() == [1] * 6
    assert scores.over == "people" and set(scores.people) == {f"{item:08}" for item in PEOPLE}
    assert f"intervals over {len(PEOPLE)} people" in scores_table(scores).markdown()
    assert "matched by the target in their names; 6 of the 6 images" in scores_table(scores).markdown()


def test_intervals_of_pairs_of_one_name_are_over_people(tmp_path):
    "GFLA's results and targets have the same names, those of their pairs: two a person."
    for (item, view), seed in TRUTH.items():
        name = f"{deepfashion(item, '1_front')}_2_{deepfashion(item, view)}_vis"
        write(tmp_path / "results", name, picture(seed, blur=item))
        write(tmp_path / "truth", name, picture(seed))
    scores = score_folders(tmp_path / "results", tmp_path / "truth", ["skimage"])
    assert (scores.over, len(set(scores.people)), scores.remarks) == ("people", 3, [])
    by_person = [
        scores.values["SSIM skimage"][np.array(scores.people) == f"{item:08}"].mean() for item in PEOPLE
    ]
    interval = scores.interval("SSIM skimage")
    assert min(by_person) - 1e-12 <= interval.low < interval.high <= max(by_person) + 1e-12


def test_market_results_meet_the_data_set_itself(tmp_path):
    "The folder of true images is the whole test set; results come from two sources to one target."
    for person in (1, 7):
        for view in (1, 2, 3):
            write(tmp_path / "test", market(person, view), picture(10 * person + view))
    for person in (1, 7):
        for source in (1, 2):
            name = f"{market(person, source)}.jpg___{market(person, 3)}.jpg_vis"
            write(tmp_path / "results", name, picture(10 * person + 3))
    scores = score_folders(tmp_path / "results", tmp_path / "test", ["skimage"], classifier="efficientnet")
    assert scores.values["SSIM skimage"].tolist() == [1] * 4
    assert sorted(set(scores.people)) == ["0001", "0007"] and scores.over == "people"
    assert "2 of the 6 images" in scores.remarks[0]
    # each target counts once in the set
    assert next(iter(scores.sets.values()))["reference"].startswith("the 2 images of ")


def test_targets_whose_names_tell_nobody_are_the_trials(tmp_path):
    for target in ("07", "08"):
        write(tmp_path / "truth", target, picture(int(target)))
        for source in ("01", "02", "03"):
            write(tmp_path / "results", f"{source}_2_{target}_vis", picture(int(target), blur=int(source)))
    scores = score_folders(tmp_path / "results", tmp_path / "truth", ["skimage"])
    assert (scores.over, len(set(scores.people)), len(scores.names)) == ("images", 2, 6)


@pytest.mark.parametrize(
    "results, true, sentence",
    [
        (["a_2_b", "a_2_c"], ["b", "d"], '1 of the 2 images in .* have no partner .* for instance "a_2_c"'),
        (["a_2_b", "c"], ["b"], 'for instance "c"'),
        (["a", "b"], ["a", "b", "c"], '1 of the 3 images in .*truth have no partner .* "c"'),
        (["a_2_b"], ["1/b", "2/b"], "1 of the 1 images in .*results"),
    ],
)
def test_a_result_without_its_target_is_refused(results, true, sentence, tmp_path):
    for folder, names in (("results", results), ("truth", true)):
        for name in names:
            write(tmp_path / folder, name, picture(0))
    with pytest.raises(UserError, match=sentence):
        match_folders(tmp_path / "results", tmp_path / "truth")


def test_names_that_hold_a_2_of_their_own():
    assert person_of(deepfashion(2, "2_side", "dashes")) == "00000002"
    pair = f"{deepfashion(2, '2_side', 'dashes')}_2_{deepfashion(3, '2_side', 'dashes')}"
    assert person_of(pair) == "00000003"
    assert person_of("walk_2_run") is None


# Masks


@pytest.fixture
def masked(tmp_path):
    "Results that differ from the truth outside of the masks only."
    inside = np.zeros((64, 64), np.uint8)
    inside[8:40, 10:50] = 1
    for number in range(4):
        target = np.asarray(picture(number))
        result = np.where(inside[..., None] > 0, target, 255 - target)
        write(tmp_path / "truth", f"{number}", Image.fromarray(target))
        write(tmp_path / "results", f"{number}", Image.fromarray(result))
    return tmp_path, inside


def save_masks(folder, image):
    for number in range(4):
        write(folder, f"{number}", image)


MASKS = {
    "0 and 255": lambda inside: Image.fromarray(inside * 255),
    "0 and 1": Image.fromarray,
    "0 and 100": lambda inside: Image.fromarray(inside * 100),
    "yes and no": lambda inside: Image.fromarray(inside.astype(bool)),
    "16 bits": lambda inside: Image.fromarray(inside.astype(np.uint16) * 65_535),
    "16 bits, 0 and 1": lambda inside: Image.fromarray(inside.astype(np.uint16)),
    "three channels": lambda inside: Image.fromarray(np.stack([inside] * 3, -1)),
    "a palette": lambda inside: with_palette(inside),
}


def with_palette(inside):
    image = Image.fromarray(inside, "L").convert("P")
    image.putdata(inside.ravel().tolist())
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


@pytest.mark.parametrize("kind", MASKS)
def test_every_kind_of_mask_is_the_same_mask(kind, masked):
    root, inside = masked
    save_masks(root / "masks", MASKS[kind](inside))
    assert (read_mask(root / "masks/0.png") == inside).all()
    scores = score_folders(root / "results", root / "truth", ["pg2", "pg2_masked"], masks=root / "masks")
    assert scores.values["SSIM pg2_masked"] == pytest.approx(np.ones(4))
    assert (scores.values["SSIM pg2"] < 0.8).all()


def test_numbers_of_body_parts_are_refused(masked):
    root, inside = masked
    parts = inside.copy()
    parts[20:, :] *= 13
    save_masks(root / "masks", Image.fromarray(parts))
    with pytest.raises(
        UserError, match="0.png holds 3 dark values up to 13 and is no mask of 0 and 255, or 0 and 1"
    ):
        score_folders(root / "results", root / "truth", ["pg2_masked"], masks=root / "masks")


def test_an_empty_mask_stays_empty(masked):
    root, inside = masked
    save_masks(root / "masks", Image.fromarray(inside * 0))
    Image.fromarray(inside).save(root / "masks/3.png")
    scores = score_folders(root / "results", root / "truth", ["pg2_masked"], masks=root / "masks")
    assert np.isnan(scores.values["SSIM pg2_masked"]).tolist() == [True] * 3 + [False]


def test_masks_are_named_like_targets_or_like_results(truth, tmp_path):
    for (item, view), seed in TRUTH.items():
        name = f"{deepfashion(item, '1_front')}_2_{deepfashion(item, view)}_vis"
        write(tmp_path / "results", name, picture(seed))
        write(tmp_path / "by target", deepfashion(item, view), Image.new("L", (64, 64), 1))
        write(tmp_path / "by result", name, Image.new("L", (64, 64), 1))
    for folder in ("by target", "by result"):
        scores = score_folders(tmp_path / "results", truth, ["pg2_masked"], masks=tmp_path / folder)
        assert scores.values["SSIM pg2_masked"].tolist() == [1] * 6


# What a set is compared with


def test_a_set_is_compared_with_a_folder_of_ones_choice(truth, tmp_path):
    shutil.copytree(truth, tmp_path / "results")
    for number in range(8):
        write(tmp_path / "training", f"other/{number}", picture(500 + number))
    options = dict(protocols=["skimage"], classifier="efficientnet")
    usual = score_folders(tmp_path / "results", truth, **options)
    chosen = score_folders(tmp_path / "results", truth, **options, reference=tmp_path / "training")
    same = score_folders(tmp_path / "results", truth, **options, reference=truth)
    (label,) = usual.sets
    assert usual.sets[label] == same.sets[label] and abs(usual.sets[label]["mean"]) < 1e-3
    assert chosen.sets[label]["mean"] > 1
    assert chosen.sets[label]["reference"] == f"the 8 images of {tmp_path / 'training'}"
    write_scores(chosen, tmp_path / "scores")
    assert json.loads((tmp_path / "scores/scores.json").read_text())["sets"] == chosen.sets
    assert (
        f"reference: the 8 images of {tmp_path / 'training'}" in (tmp_path / "scores/scores.md").read_text()
    )


def test_a_reference_that_cannot_be_used(truth, tmp_path):
    with pytest.raises(UserError, match="needs a classifier"):
        score_folders(truth, truth, ["skimage"], reference=truth)
    write(tmp_path / "one", "1", picture(0))
    for folder, sentence in (("one", "holds one image"), ("nowhere", "There is no folder")):
        with pytest.raises(UserError, match=sentence):
            score_folders(truth, truth, ["skimage"], classifier="efficientnet", reference=tmp_path / folder)


@pytest.mark.parametrize(
    "options, sentence",
    [
        (("--classifier", "inception", "--inception", "a.pth"), "There is no file a.pth"),
        (("--classifier", "inception", "--inception", "."), r"\. is no file"),
        (("--classifier", "inception", "--inception", __file__), "is not the published file"),
        (("--classifier", "efficientnet", "--download"), "comes with its own weights"),
        (("--download",), "add --classifier inception"),
        (("--inception", "a.pth"), "add --classifier inception"),
        (("--reference", "."), "needs a classifier"),
    ],
    ids=str,
)
def test_what_a_classifier_lacks_is_said_before_the_work(truth, posegen, monkeypatch, options, sentence):
    def work(*_):
        pytest.fail("the pairs are scored, which can take minutes, before the user hears what is missing")

    monkeypatch.setattr("posegen.metrics.folders._score_pairs", work)
    done = posegen("evaluate", "--generated", truth, "--target", truth, *options)
    assert done.status == 2 and re.search(sentence, done.error), done.error


def test_the_command_takes_a_reference(truth, tmp_path, posegen):
    shutil.copytree(truth, tmp_path / "results")
    words = ("evaluate", "--generated", tmp_path / "results", "--target", truth, "--protocol", "skimage")
    done = posegen(*words, "--classifier", "efficientnet", "--reference", truth)
    assert done.status == 0 and f"reference: the 6 images of {truth}" in done.out
    assert "needs a classifier" in posegen(*words, "--reference", truth).error


@pytest.mark.parametrize("kind", ["found.json", "a folder of OpenPose files"])
def test_keypoints_of_the_targets_are_taken_as_prepare_takes_them(photos, posegen, tmp_path, kind):
    "The masked scores are the same, whatever the keypoints are written in."
    from posegen.photos.keypoints import read_keypoint_csv, write_keypoints

    table = photos / "keypoints.csv"
    write_keypoints(tmp_path / kind, read_keypoint_csv(table))
    found = {}
    for name, keypoints in (("table", table), ("other", tmp_path / kind)):
        words = ("evaluate", "--generated", photos, "--target", photos, "--keypoints", keypoints)
        outcome = posegen(*words, "--out", tmp_path / name)
        assert outcome.status == 0, outcome.error
        found[name] = (tmp_path / name / "images.csv").read_text()
    assert found["table"] == found["other"] and "masked" in found["table"]


def test_no_weights_are_fetched_unasked(photos, posegen, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("POSEGEN_INCEPTION", raising=False)
    asked = []
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *words, **_: asked.append(words))
    words = ("evaluate", "--generated", photos, "--target", photos, "--classifier", "inception")
    outcome = posegen(*words)
    assert outcome.status == 2 and not asked
    for word in ("96 MB", "https://github.com/mseitzer", "--download", str(tmp_path / "hub")):
        assert word in outcome.error
    posegen(*words, "--download")
    assert len(asked) == 1


def test_a_row_of_pictures_is_told_from_another_size(tmp_path):
    "PATN saves source, poses, target and result side by side; scaled to the target's size they would be scored."
    for name, width in (("theirs", 5 * 48), ("truth", 48)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (width, 64)).save(tmp_path / name / "a.png")
    with pytest.raises(
        UserError, match="a row of 5 pictures of its target's size, 48 x 64: cut the generated one out"
    ):
        score_folders(tmp_path / "theirs", tmp_path / "truth")
