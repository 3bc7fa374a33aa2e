"Metrics against scikit-image on fixed, random and real pairs; folders scored, also by several processes."

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from golden.metric_pairs import GOLDEN, PROTOCOL_NAMES, pairs, reference, reference_gradient, reference_ssim
from PIL import Image
from skimage.filters import gaussian

from posegen.core import UserError
from posegen.metrics.folders import score_folders
from posegen.metrics.sharpness import l1_error, mean_absolute_gradient, psnr
from posegen.metrics.similarity import PROTOCOLS, ssim
from posegen.photos.candidates import read_openpose_candidates
from posegen.photos.keypoints import write_keypoint_csv
from posegen.report.scores import scores_table, write_scores

SHARED = Path(os.environ.get("POSEGEN_SHARED", Path(__file__).parents[3] / "shared" / "data"))


def ours(generated, target, mask):
    "All metrics of one pair as the golden file names them; an infinite PSNR is None there."
    values = {f"ssim {name}": float(ssim(generated, target, name, mask=mask)[0]) for name in PROTOCOLS}
    decibels = float(psnr(generated, target)[0])
    return values | {
        "psnr": None if np.isinf(decibels) else decibels,
        "l1": float(l1_error(generated, target)[0]),
        "gradient": float(mean_absolute_gradient(generated)[0]),
    }


@pytest.mark.parametrize("name", pairs())
def test_golden_values(name):
    golden, pair = json.loads(GOLDEN.read_text())[name], pairs()[name]
    bytes_of_pair = b"".join(image.tobytes() for image in pair)
    drawn = hashlib.sha256(bytes_of_pair).hexdigest()
    assert drawn == golden.pop("sha256 of the pair"), "other images are drawn here"
    assert ours(*pair) == pytest.approx(golden, abs=1e-7)
    again = reference(*pair)
    assert {key: again[key] for key in golden} == pytest.approx(golden, abs=1e-7), "scikit-image has changed"


def test_the_golden_file_knows_every_protocol():
    assert set(PROTOCOL_NAMES) == set(PROTOCOLS)
    assert set(json.loads(GOLDEN.read_text())) == set(pairs())


def blob(draw, height, width):
    "A random mask with both values in it."
    y, x = np.mgrid[:height, :width]
    centre = draw.integers(10, 40, 2)
    return ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < draw.integers(8, 25) ** 2).astype(np.uint8)


def random_pairs(count):
    "Noise, blurred noise and flat images of many sizes, some of 176:256."
    draw = np.random.default_rng(0)
    for number in range(count):
        height = int(draw.integers(51, 96))
        width = height - 2 * round(height * 40 / 256) if number % 5 == 0 and height > 75 else height
        target = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        smoothness = (0, 1, 3, 8)[number % 4]
        if smoothness:
            target = (255 * gaussian(target, smoothness, channel_axis=-1)).round().astype(np.uint8)
        change = draw.normal(0, draw.choice((1, 10, 60)), target.shape)
        generated = np.clip(np.rint(target * draw.uniform(0.5, 1.1) + change), 0, 255).astype(np.uint8)
        yield generated, target, blob(draw, height, width)


def real_pairs():
    "Frames of a video beside later ones, photographs beside blurred copies; none where the data is absent."
    draw = np.random.default_rng(1)

    def read(path):
        return np.asarray(Image.open(path).convert("RGB"))

    frames = sorted((SHARED / "fashion_video" / "frames256").glob("*"))[::5]
    for first, second in zip(frames, frames[3:]):
        yield read(first), read(second), blob(draw, 256, 256)
    for path in sorted((SHARED / "deepfashion_images" / "openpose18_cocosnet").glob("*.jpg")):
        target = read(path)
        generated = (255 * gaussian(target, draw.uniform(0.5, 4), channel_axis=-1)).astype(np.uint8)
        yield generated, target, blob(draw, *target.shape[:2])


def test_every_protocol_is_that_of_scikit_image_on_two_hundred_pairs():
    real = list(real_pairs())
    compared, furthest = 0, dict.fromkeys(PROTOCOLS, 0.0)
    for generated, target, mask in [*real, *random_pairs(200 - len(real))]:
        compared += 1
        for name in PROTOCOLS:
            expected = reference_ssim(name, generated, target, mask)
            furthest[name] = max(furthest[name], abs(ssim(generated, target, name, mask=mask)[0] - expected))
        assert mean_absolute_gradient(generated)[0] == reference_gradient(generated)
    assert compared == 200 and max(furthest.values()) < 1e-9, furthest


def write_pair_folders(root, images):
    "`generated` holds blurred copies of the images (name -> uint8), `target` the images, as PNG files."
    folders = root / "generated", root / "target"
    for name, image in images.items():
        blurred = (255 * gaussian(image, 2, channel_axis=-1)).astype(np.uint8)
        for folder, content in zip(folders, (blurred, image)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(folder / f"{name}.png")
    return folders


def test_a_folder_is_scored_as_its_pairs_are(tmp_path):
    images = {f"anna/{name}": pair[0] for name, pair in pairs().items() if pair[0].shape == (256, 256, 3)}
    scores = score_folders(*write_pair_folders(tmp_path, images))
    for number, name in enumerate(sorted(images)):
        generated, target = (
            np.asarray(Image.open(tmp_path / side / f"{name}.png")) for side in ("generated", "target")
        )
        for protocol in ("report", "patn", "gfla"):
            assert scores.values[f"SSIM {protocol}"][number] == ssim(generated, target, protocol)[0]
    assert scores.over == "people" and set(scores.people) == {"anna"}
    assert scores.to_dict()["metrics"]["PSNR"]["low"] is None, "one person gives no interval"


def test_processes_change_nothing(tmp_path):
    draw = np.random.default_rng(0)
    images = {f"{number:02}": draw.integers(0, 256, (64, 64, 3), dtype=np.uint8) for number in range(40)}
    folders = write_pair_folders(tmp_path, images)
    written = [
        write_scores(score_folders(*folders, workers=workers), tmp_path / str(workers)) for workers in (1, 2)
    ]
    alone, together = ([path.read_bytes() for path in paths] for paths in written)
    assert alone == together
    assert b"over 40 images" in alone[1]
    (tmp_path / "generated" / "39.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match="39.png is not an image"):  # also out of another process
        score_folders(*folders, workers=2)


@pytest.mark.skipif(not SHARED.is_dir(), reason="real data is not here; name its folder with POSEGEN_SHARED")
def test_real_images_against_blurred_copies(tmp_path):
    source = SHARED / "deepfashion_images" / "openpose18_cocosnet"
    images = {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in sorted(source.glob("*.jpg"))}
    parts = "candidate", "subset"
    write_keypoint_csv(
        tmp_path / "keypoints.csv",
        {
            f"{name}.jpg": read_openpose_candidates(*(source / f"{name}_{part}.txt" for part in parts))
            for name in images
        },
    )
    generated, _ = write_pair_folders(tmp_path, images)
    # the photographs themselves are the targets; OpenPose's text files lie beside them
    scores = score_folders(generated, source, classifier="efficientnet", keypoints=tmp_path / "keypoints.csv")
    means = {name: scores.interval(f"SSIM {name}").mean for name in PROTOCOLS}
    assert len(scores.names) == 8 and len(set(scores.people)) == 8
    # the order that blur gives on plain walls: it hardly counts in a wide window, and a mask hides the wall
    assert means["gfla_256"] < means["patn"] < means["pg2"] == means["skimage"] < means["gfla"]
    assert means["report"] < means["report_corrected"] < means["pg2_masked"]
    assert all(0.7 < value < 1 for value in means.values())
    assert scores.interval("gradient").high < scores.interval("gradient of the target").low
    assert scores.sets["Fréchet distance (EfficientNet-Lite0 features)"]["mean"] > 10
    assert "Not measured" in scores_table(scores).markdown(), "8 images are too few for ten splits"
