"""How good `posegen transfer` is on photographs: `python benchmarks/photographs.py FOLDER… [--one-person FOLDER…]`.

    python benchmarks/photographs.py photos openpeople/data/curated --one-person video/frames --size 512 --sheets look

A FOLDER holds photographs of different people: each is drawn in the poses of `--partners` others, without a true
target. A folder that holds `character_sheet.jpg` somewhere below (PyPI package openpeople, MIT: synthetic photographs)
gives each person's four views in all twelve pairs, with their targets; `--one-person` folders, such as frames of a
video, give 48 pairs with targets each. It prints, for each of the three kinds, with 95% intervals over people, of one
person over twelve stretches of the folder, which say nothing about other people:

- the share of keypoints within a fifth of the trunk (PCK@0.2) that the estimator finds on the result, on the true
  photograph of the pose, and their ratio;
- the share of colours in common inside the limbs, of the result and the photo;
- with targets: SSIM and colours in common with the target, of the result and of two baselines: the photo itself,
  and what the report's networks draw (`--baseline`).

All but the keypoints, which are looked for at `--size`, is measured at the networks' size. `--sheets` writes photo,
pose and result of every pair as contact sheets to look at."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from posegen.core import DEFAULT_WEIGHTS, UserError
from posegen.metrics.agreement import colour_overlap, correct_keypoints, torso_lengths
from posegen.metrics.intervals import bootstrap_interval
from posegen.metrics.similarity import ssim
from posegen.photos.estimators import MediaPipeEstimator
from posegen.photos.framing import check_person, cut_out, frame_person
from posegen.photos.images import read_image
from posegen.pose import pose_mask
from posegen.transfer import PoseTransfer
from posegen.transfer.model import Transfer

SHEET = "character_sheet.jpg"
PANELS = ((76, 540), (672, 1132), (1268, 1724), (1864, 2320))  # left and right of the four views
ROWS = (892, 1624)  # their top and bottom
PAIRS_OF_ONE, STRETCHES = 48, 12
SUFFIXES = {".jpg", ".jpeg", ".png"}


class View(NamedTuple):
    "A photograph and the pose that the estimator finds in it."

    person: str
    image: np.ndarray
    pose: np.ndarray


class Pair(NamedTuple):
    "A photograph, the one whose pose is wanted, and whether that one is the true target."

    kind: str
    photo: View
    wanted: View
    target: bool


def views(person: str, images: list[np.ndarray], estimator: MediaPipeEstimator) -> list[View]:
    "Those of the images in which somebody is found from head to hips."
    found = []
    for image in images:
        try:
            pose = estimator.people(image)[0]
            check_person(pose, person)
        except (IndexError, UserError):
            continue
        found.append(View(person, image, pose))
    return found


def sheet_pairs(folder: Path, estimator: MediaPipeEstimator) -> Iterator[Pair]:
    "All ordered pairs of each person's views."
    for path in sorted(folder.rglob(SHEET)):
        sheet = np.asarray(read_image(path))
        panels = [np.ascontiguousarray(sheet[slice(*ROWS), left:right]) for left, right in PANELS]
        shown = views(str(path), panels, estimator)
        yield from (Pair("sheets", a, b, True) for a in shown for b in shown if a is not b)


def photo_pairs(folder: Path, partners: int, estimator: MediaPipeEstimator) -> Iterator[Pair]:
    "Each photograph of a folder in the poses of some others."
    people = [
        view
        for path in pictures(folder)
        for view in views(path.name, [np.asarray(read_image(path))], estimator)
    ]
    for number, photo in enumerate(people):
        others = {(number + 7 + 6 * step) % len(people) for step in range(partners)} - {number}
        yield from (Pair("photographs", photo, people[other], False) for other in sorted(others))


def one_person_pairs(folder: Path, estimator: MediaPipeEstimator) -> Iterator[Pair]:
    "Pictures of one person, spread over the folder: each to the one half of the folder further."
    paths = pictures(folder)
    chosen = [paths[k] for k in np.linspace(0, len(paths) - 1, PAIRS_OF_ONE).round().astype(int)]
    shown = [
        view
        for number, path in enumerate(chosen)
        for view in views(
            f"{folder}, stretch {number * STRETCHES // len(chosen)}",
            [np.asarray(read_image(path))],
            estimator,
        )
    ]
    for number, photo in enumerate(shown):
        yield Pair("one person", photo, shown[(number + len(shown) // 2) % len(shown)], True)


def pictures(folder: Path) -> list[Path]:
    "The image files of a folder."
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def right_keypoints(image: np.ndarray, wanted: np.ndarray, estimator: MediaPipeEstimator) -> float:
    "Share of the wanted keypoints (18, 3), in pixels of `image`, that the estimator finds there."
    found = estimator.people(np.ascontiguousarray(image))
    pose = found[0] if found else np.zeros((18, 3), np.float32)
    return float(correct_keypoints(pose[None], wanted[None], 0.2 * torso_lengths(wanted[None]))[0])


def inside(keypoints: np.ndarray, size: int) -> np.ndarray:
    "The limbs' mask (1, size, size)."
    return pose_mask(torch.tensor(keypoints)[None], size).numpy()[:, 0] > 0


def shrunk(image: np.ndarray, size: int) -> np.ndarray:
    "A square picture at another size."
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))


def against_target(image: np.ndarray, result: Transfer, size: int) -> dict[str, float]:
    "SSIM and colours in common of one picture, at the networks' size, and the true photograph of the pose."
    target, mask = result.pose_picture, inside(result.target_keypoints, size)
    return {
        "ssim": float(ssim(image, target)[0]),
        "target colours": float(colour_overlap(image[None], target[None], mask)[0]),
    }


def measure(
    pair: Pair, model: PoseTransfer, baseline: PoseTransfer, size: int
) -> tuple[dict[str, float], np.ndarray]:
    "All numbers of one pair, and photo, pose and result side by side."
    photo, wanted = pair.photo, pair.wanted
    result = model.transfer(photo.image, wanted.image, keypoints=photo.pose, size=size)
    small, scale = shrunk(result.image, model.size), size / model.size
    keypoints = result.target_keypoints.copy()
    keypoints[:, :2] = ((keypoints[:, :2] + 0.5) * scale - 0.5) * (keypoints[:, 2:] > 0)
    truth = cut_out(
        Image.fromarray(wanted.image), frame_person(wanted.pose, model.framing, len(wanted.image)), size
    )
    masks = [inside(points, model.size) for points in (result.target_keypoints, result.condition_keypoints)]
    found = {
        "pck": right_keypoints(result.image, keypoints, model.estimator),
        "pck of truth": right_keypoints(truth, keypoints, model.estimator),
        "photo's colours": float(colour_overlap(small[None], result.condition[None], *masks)[0]),
    }
    if pair.target:
        drawn = baseline.transfer(photo.image, wanted.image, keypoints=photo.pose)
        others = {"": small, "copy: ": result.condition, "report: ": shrunk(drawn.image, model.size)}
        for name, image in others.items():
            found |= {name + key: value for key, value in against_target(image, result, model.size).items()}
    large = cut_out(
        Image.fromarray(photo.image), frame_person(photo.pose, model.framing, len(photo.image)), size
    )
    return found, np.hstack([large, truth, result.image])


def report(kind: str, people: list[str], rows: list[dict[str, float]]) -> None:
    "Print the means of one kind of pairs, with their intervals over people."
    groups = "people" if kind != "one person" else "stretches"
    print(f"\n{kind}: {len(rows)} pairs of {len(set(people))} {groups}")
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        known = np.isfinite(values)
        found = bootstrap_interval(values[known], np.array(people)[known])
        print(f"  {name:24s} {found.mean:.3f}  [{found.low:.3f}, {found.high:.3f}]", flush=True)
    mean = {name: np.nanmean([row[name] for row in rows]) for name in ("pck", "pck of truth")}
    print(f"  {'pck / pck of truth':24s} {mean['pck'] / mean['pck of truth']:.3f}")


def write_sheets(folder: Path, kind: str, triples: list[np.ndarray], across: int = 2, down: int = 4) -> None:
    "Contact sheets of triples of pictures."
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(triples), across * down):
        part = triples[first : first + across * down]
        part += [np.zeros_like(part[0])] * (-len(part) % across)
        rows = [np.hstack(part[k : k + across]) for k in range(0, len(part), across)]
        Image.fromarray(np.vstack(rows)).save(
            folder / f"{kind.replace(' ', '_')}_{first:03d}.jpg", quality=90
        )


def all_pairs(arguments: argparse.Namespace, estimator: MediaPipeEstimator) -> dict[str, list[Pair]]:
    "Those of all folders, by kind."
    pairs: list[Pair] = []
    for folder in arguments.folders:
        if any(folder.rglob(SHEET)):
            pairs += list(sheet_pairs(folder, estimator))[:: arguments.every]
        else:
            pairs += photo_pairs(folder, arguments.partners, estimator)
    for folder in arguments.one_person:
        pairs += one_person_pairs(folder, estimator)
    return {
        kind: [pair for pair in pairs if pair.kind == kind] for kind in dict.fromkeys(p.kind for p in pairs)
    }


def main() -> None:
    "Measure all pairs, and print."
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--one-person", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--baseline", default="embedded128", help="weights of the report's networks")
    parser.add_argument("--partners", type=int, default=2, help="poses for each photograph without target")
    parser.add_argument("--every", type=int, default=1, help="only each n-th pair of the sheets")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    arguments = parser.parse_args()
    estimator = MediaPipeEstimator()
    model, baseline = (
        PoseTransfer.from_pretrained(name, estimator=estimator)
        for name in (arguments.weights, arguments.baseline)
    )
    for kind, pairs in all_pairs(arguments, estimator).items():
        people, rows, triples = [], [], []
        for pair in pairs:
            try:
                numbers, triple = measure(pair, model, baseline, arguments.size)
            except UserError as error:
                print(f"left out: {error}")
                continue
            people.append(pair.photo.person)
            rows.append(numbers)
            triples.append(triple)
        report(kind, people, rows)
        if arguments.sheets:
            write_sheets(arguments.sheets, kind, triples)


if __name__ == "__main__":
    main()
