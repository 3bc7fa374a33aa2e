"""How often the judge of poses is right, on your own pictures with true keypoints.

    python benchmarks/pose_trust.py IMAGES TABLE.csv [IMAGES TABLE.csv …] [--half 0|1] [--frame 256]

Each picture is shown whole and in parts, small, blurred, turned, partly hidden, and with all but the clothes cut
away, and the verdict on the pose found there is held against the truth: a pose is wrong if less than 70% of its
keypoints lie within a fifth of the trunk of the true ones, or if only clothes are left. `--half` takes the pictures of
one half, by a hash of their names, so that limits can be chosen on one half and measured on the other. TABLE names
the images of its folder, in their own pixels, or in those of a square `--frame` around each; "-" stands for OpenPose's
`_candidate.txt` and `_subset.txt` beside the images."""

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from posegen.metrics.agreement import torso_lengths
from posegen.photos.candidates import read_openpose_candidates
from posegen.photos.estimators import MediaPipeEstimator
from posegen.photos.images import read_image
from posegen.photos.keypoints import read_keypoint_csv
from posegen.photos.trust import DOUBTFUL, REFUSED, judged_people

RIGHT, CLOSE = 0.7, 0.2
Picture = tuple[str, np.ndarray, np.ndarray, float]  # its kind, pixels, true keypoints, length of the trunk

SHOULDERS, HIPS, ARMS = (2, 5), (8, 11), ((3, 4), (6, 7))


def read_folder(images: Path, table: str, frame: int | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    "Names, pixels and true keypoints of the images that have any."
    if table == "-":
        stems = [path.with_suffix("") for path in sorted(images.glob("*.jpg"))]
        poses = {
            f"{stem.name}.jpg": read_openpose_candidates(f"{stem}_candidate.txt", f"{stem}_subset.txt")
            for stem in stems
        }
    else:
        poses = read_keypoint_csv(table)
    for name, pose in poses.items():
        path = images / name
        if (pose[[*SHOULDERS, *HIPS, 1], 2] > 0).all() and path.is_file():
            yield name, framed(read_image(path), frame), pose


def framed(image: Image.Image, frame: int | None) -> np.ndarray:
    "The image, if there is a frame in the middle of a square of that size, its edges drawn out."
    if frame is None:
        return np.asarray(image)
    width, height = image.size
    across, down = (max(0, height - width) // 2, max(0, width - height) // 2)
    square = np.pad(np.asarray(image), ((down, down), (across, across), (0, 0)), mode="edge")
    return np.asarray(Image.fromarray(square).resize((frame, frame)))


def cut(
    kind: str, image: np.ndarray, pose: np.ndarray, trunk: float, box: list[float], size: tuple[int, int]
) -> Picture:
    "A part of a picture, left, top, right and bottom, at `size` (width, height)."
    height, width = image.shape[:2]
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], width), min(box[3], height)
    scale = np.array([size[0] / (right - left), size[1] / (bottom - top)])
    part = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, (left, top, right, bottom))
    pose = pose.copy()
    pose[:, :2] = (pose[:, :2] - [left, top]) * scale
    pose[((pose[:, :2] < 0) | (pose[:, :2] >= size)).any(1), 2] = 0
    return kind, np.asarray(part), pose, trunk * float(scale.mean())


def garment(image: np.ndarray, pose: np.ndarray, trunk: float, lowest: float) -> np.ndarray:
    "The picture with the wall in the place of the head, of the arms below the elbows, and of all below `lowest`."
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    gone = (y < pose[1, 1] - 0.06 * trunk) | (y > lowest)
    for elbow, wrist in ARMS:
        if (pose[[elbow, wrist], 2] > 0).all():
            start, along = pose[elbow, :2], pose[wrist, :2] - pose[elbow, :2]
            place = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1)
            place = place.clip(0.15, 1.6)
            gone |= np.hypot(x - start[0] - place * along[0], y - start[1] - place * along[1]) < 0.16 * trunk
    wall = np.median(image[: max(2, len(image) // 40)].reshape(-1, 3), axis=0).astype(np.uint8)
    return np.where(gone[..., None], wall, image)


def variants(image: np.ndarray, pose: np.ndarray) -> Iterator[Picture]:
    "What is made of one picture."
    trunk = float(torso_lengths(pose[None])[0])
    (height, width), neck, hips = image.shape[:2], pose[1, :2], pose[HIPS, :2].mean(0)
    places = pose[pose[:, 2] > 0, :2]
    (left, top), (right, bottom) = places.min(0) - [0.25 * trunk, 0.4 * trunk], places.max(0) + 0.25 * trunk
    half = max(right - left, (bottom - top) / 2) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    person = [x - half, y - 2 * half, x + half, y + 2 * half]
    for side in (64, 128, 256, 512):
        yield cut(f"whole {side}", image, pose, trunk, [0, 0, width, height], (side * width // height, side))
    for size in ((32, 64), (64, 128), (128, 256)):
        yield cut("person {} x {}".format(*size), image, pose, trunk, person, size)
    for reach in (0.35, 0.7, 1.1):
        head = [neck[0] - reach * trunk, neck[1] - (0.25 + reach) * trunk, neck[0] + reach * trunk]
        yield cut("head", image, pose, trunk, [*head, neck[1] + (reach - 0.25) * trunk], (256, 256))
    for kind, start, end in (("without head", neck[1], height), ("legs", hips[1] - 0.2 * trunk, height)):
        part = [x - (end - start) / 2, start, x + (end - start) / 2, end]
        yield cut(kind, image, pose, trunk, part, (256, 256))
    for radius in (2, 5):
        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius * height / 256))
        yield f"blurred by {radius} of 256", np.asarray(blurred), pose, trunk
    for lowest in (hips[1] + 0.15 * trunk, hips[1] + 0.7 * trunk):
        yield "garment", garment(image, pose, trunk, lowest), pose, trunk


def is_wrong(kind: str, found: np.ndarray, pose: np.ndarray, trunk: float) -> bool:
    "Whether a pose (18, 3) that was found is wrong."
    both = (found[:, 2] > 0) & (pose[:, 2] > 0)
    close = np.hypot(*(found - pose)[both, :2].T) < CLOSE * trunk
    return kind == "garment" or not both.any() or close.mean() < RIGHT


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", metavar="IMAGES TABLE")
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--frame", type=int, help="side of the square frame in which the keypoints count")
    given = parser.parse_args()
    estimator = MediaPipeEstimator()
    counts: dict[str, dict[tuple[bool, str], int]] = defaultdict(lambda: defaultdict(int))
    for images, table in zip(given.sets[::2], given.sets[1::2]):
        for name, image, pose in read_folder(Path(images), table, given.frame):
            if given.half not in (None, int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2):
                continue
            for kind, picture, truth, trunk in variants(image, pose):
                if found := judged_people(estimator, np.ascontiguousarray(picture)):
                    wrong = bool(is_wrong(kind, found[0].pose, truth, trunk))
                    for line in (kind, "all"):
                        counts[line][wrong, found[0].verdict.grade] += 1
    print(f"{'':20}{'wrong':>8}{'refused':>9}{'doubtful':>9}{'right':>8}{'refused':>9}{'doubtful':>9}")
    for kind, count in sorted(counts.items(), key=lambda item: (item[0] == "all", item[0])):
        columns = [
            f"{sum(number for (w, _), number in count.items() if w == wrong):8}"
            f"{count[wrong, REFUSED]:9}{count[wrong, DOUBTFUL]:9}"
            for wrong in (True, False)
        ]
        print(f"{kind:20}{''.join(columns)}")


if __name__ == "__main__":
    main()
