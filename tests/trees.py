"""Small data sets on disk in every layout that `posegen.photos.layouts` knows, under names like DeepFashion's.

The people are drawn, not rendered, so that thousands take seconds. As in the published tables, one row in seven has no
keypoint, one in twenty lacks a hip, and many people are cut off above the knees.
"""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from posegen.photos.keypoints import CSV_HEADER
from posegen.photos.names import DeepFashionName, parse_name
from posegen.pose import KEYPOINTS, draw_skeleton, keypoint

LAYOUTS = ("in-shop", "in-shop lists", "pg2", "patn", "patn 256", "people", "folder")
VIEWS = (("1", "front"), ("2", "side"), ("3", "back"), ("4", "full"), ("7", "additional"), ("6", "flat"))
CATEGORIES = (
    ("WOMEN", "Dresses"),
    ("WOMEN", "Tees_Tanks"),
    ("MEN", "Shirts_Polos"),
    ("WOMEN", "Rompers_Jumpsuits"),
    ("MEN", "Denim"),
    ("WOMEN", "Blouses_Shirts"),
)
STANDING = np.array(
    [
        [128, 40],
        [128, 66],
        [106, 66],
        [98, 104],
        [94, 140],
        [150, 66],
        [158, 104],
        [162, 140],
        [114, 140],
        [112, 190],
        [110, 236],
        [142, 140],
        [144, 190],
        [146, 236],
        [123, 34],
        [133, 34],
        [117, 38],
        [139, 38],
    ]
)


@dataclass(frozen=True)
class Sample:
    "One drawn image: its name, its pose float32 (18, 3) in the 256-pixel frame, its split, and its number."

    name: DeepFashionName
    pose: np.ndarray
    split: str
    number: int

    @property
    def official(self) -> str:
        return f"img/{self.name.key}.jpg"

    @property
    def joined(self) -> str:
        "PATN's spelling."
        name = self.name
        return f"fashion{name.gender}{name.category}id{name.item}{name.outfit_number}_{name.number}{name.view}.jpg"

    @property
    def pg2(self) -> str:
        "PG2's spelling."
        return self.joined.replace("fashion", "fasion", 1).replace("_", "", self.name.category.count("_"))


def samples(n: int, seed: int = 0) -> list[Sample]:
    "`n` images: items of one or two outfits, outfits of two to five views, every fourth item for testing."
    random = np.random.default_rng(seed)
    found, item = [], 0
    while len(found) < n:
        item += 1
        gender, category = CATEGORIES[item % len(CATEGORIES)]
        for outfit in range(1, 2 + item % 2):
            for number, view in VIEWS[: 2 + int(random.integers(4))]:
                name = DeepFashionName(gender, category, f"{item:08}", f"{outfit:02}", number, view)
                found.append(
                    Sample(name, random_pose(random), "test" if item % 4 == 0 else "train", len(found))
                )
    return found[:n]


def random_pose(random: np.random.Generator) -> np.ndarray:
    "A standing pose in whole pixels; sometimes without any keypoint, without a hip, or cut off above the knees."
    pose = np.ones((len(KEYPOINTS), 3), np.float32)
    places = (STANDING + random.normal(0, 6, STANDING.shape) + random.normal(0, 8, 2)).round()
    pose[:, :2] = places.clip([41, 0], 255)  # left of that PATN's x would be -1, which means missing
    chance = random.random()
    if chance < 0.14:
        pose[:] = 0
    elif chance < 0.19:
        pose[keypoint("left_hip")] = 0
    elif chance < 0.4:
        pose[[keypoint(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]] = 0
    return pose


def picture(sample: Sample) -> np.ndarray:
    "The drawn person, uint8 (256, 256, 3); the background tells the outfit."
    outfit = sample.name.outfit.encode()
    colour = np.random.default_rng(list(outfit)).integers(90, 250, 3)
    background = np.full((256, 256, 3), colour, np.uint8)
    background[:, :128] -= np.uint8(sample.number % 40)  # not its own mirror image
    return draw_skeleton(background, sample.pose, thickness=5)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


def csv_row(name: str, pose: np.ndarray, x_offset: int = 0) -> str:
    present = pose[:, 2] > 0
    x = [int(value) + x_offset if there else -1 for value, there in zip(pose[:, 0], present)]
    y = [int(value) if there else -1 for value, there in zip(pose[:, 1], present)]
    return f"{name}: {json.dumps(y)}: {json.dumps(x)}"


def write_table(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([CSV_HEADER, *rows]) + "\n", encoding="utf-8")


def ordered_pairs(those: list[Sample]) -> list[tuple[Sample, Sample]]:
    "All ordered pairs of one outfit whose two poses show shoulders and hips: the published protocol."
    torso = [keypoint(name) for name in ("right_shoulder", "left_shoulder", "right_hip", "left_hip")]
    complete = [one for one in those if one.pose[torso, 2].all()]
    return [(a, b) for a in complete for b in complete if a is not b and a.name.outfit == b.name.outfit]


def pg2_people(pose: np.ndarray, people: int = 1) -> tuple[list, np.ndarray]:
    "One image's entries in PG2's two pickles; further people are lesser copies of the first."
    peaks: list[list] = [[] for _ in KEYPOINTS]
    subsets = -np.ones((people if pose.any() else 0, 20))
    number = 0
    for person, subset in enumerate(subsets):
        for part, (x, y, score) in enumerate(pose):
            if score > 0:
                peaks[part].append((float(x + 5 * person), float(y), 0.9 / (1 + person), number))
                subset[part], number = number, number + 1
        subset[18:] = (subset[:18] >= 0).sum() / (1 + person), (subset[:18] >= 0).sum()
    return peaks, subsets


def write_pickles(
    folder: Path, poses: dict[str, np.ndarray], name: str = "DeepFashion", people: int = 1
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entries = {image: pg2_people(pose, people) for image, pose in poses.items()}
    for number, kind in enumerate(("all_peaks", "subsets")):
        with open(folder / f"{kind}_dic_{name}.p", "wb") as file:
            pickle.dump({image: entry[number] for image, entry in entries.items()}, file, protocol=2)


def write_openpose_text(folder: Path, stem: str, pose: np.ndarray, people: int = 1) -> None:
    "OpenPose's candidate and subset files of one image."
    folder.mkdir(parents=True, exist_ok=True)
    peaks, subsets = pg2_people(pose, people)
    rows = sorted((point for part in peaks for point in part), key=lambda point: point[3])
    for kind, table in (("candidate", rows), ("subset", subsets)):
        (folder / f"{stem}_{kind}.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in table))


def build_tree(layout: str, root: Path, n: int = 40, seed: int = 0) -> list[Sample]:
    "Write `n` images in one of `LAYOUTS` below `root`, with all its lists and tables; returns what was drawn."
    those = samples(n, seed)
    {
        "in-shop": in_shop,
        "in-shop lists": in_shop_lists,
        "pg2": pg2,
        "patn": patn,
        "patn 256": patn_256,
        "people": people,
        "folder": folder,
    }[layout](Path(root), those)
    return those


def in_shop(root: Path, those: list[Sample]) -> None:
    "The official layout, with its partition file, and a table in the 256-pixel frame."
    for one in those:
        save(root / "Img" / one.official, picture(one))
    status = {"train": ("train",), "test": ("query", "gallery")}
    rows = [
        f"{one.official:<80}id_{one.name.item} {status[one.split][one.number % len(status[one.split])]}"
        for one in those
    ]
    (root / "Eval").mkdir()
    (root / "Eval" / "list_eval_partition.txt").write_text(
        "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows]) + "\n"
    )
    write_table(root / "fasion-annotation-all.csv", [csv_row(one.pg2, one.pose) for one in those])


def in_shop_lists(root: Path, those: list[Sample]) -> None:
    "The official images with the split as lists, an item a line for training, and keypoints in own pixels."
    for one in those:
        save(root / one.official, picture(one))
    items: dict[str, list[str]] = {}
    for one in those:
        if one.split == "train":
            items.setdefault(one.name.item, []).append(one.official)
    (root / "train.txt").write_text("\n".join("\t".join(names) for names in items.values()) + "\n")
    for part, name in enumerate(("query", "gallery")):
        (root / f"{name}.txt").write_text(
            "".join(f"{one.official}\n" for one in those if one.split == "test" and one.number % 2 == part)
        )
    write_table(
        root / "keypoints.csv", [csv_row(one.official.removeprefix("img/"), one.pose) for one in those]
    )


def pg2(root: Path, those: list[Sample]) -> None:
    "PG2's folders, mirrored copies included, and its pickles."
    for one in those:
        image = picture(one)
        save(root / f"filted_up_{one.split}" / one.pg2, image)
        if one.split == "train":
            save(root / "filted_up_train_flip" / one.pg2, image[:, ::-1])
    poses = {one.pg2: one.pose for one in those}
    write_pickles(root / "PoseFiltered", poses)
    write_pickles(root / "PoseFiltered", poses, name="DeepFashion_Flip")


def patn(root: Path, those: list[Sample]) -> None:
    "PATN's folders with images of 176 x 256, its lists of names and of pairs, and its tables (x 40 pixels less)."
    _fashion_data(root, those, "fasion-resize", crop=True)
    for split in ("train", "test"):
        (root / f"{split}.lst").write_text("".join(f"{one.joined}\n" for one in those if one.split == split))


def patn_256(root: Path, those: list[Sample]) -> None:
    "The same with images of 256 x 256 and keypoints in their pixels; the folders tell the split."
    _fashion_data(root, those, "fasion", crop=False)


def _fashion_data(root: Path, those: list[Sample], prefix: str, crop: bool) -> None:
    for split in ("train", "test"):
        part = [one for one in those if one.split == split]
        for one in part:
            save(root / split / one.joined, picture(one)[:, 40:216] if crop else picture(one))
        write_table(
            root / f"{prefix}-annotation-{split}.csv",
            [csv_row(one.joined if crop else one.pg2, one.pose, -40 if crop else 0) for one in part],
        )
        pairs = [f"{a.joined},{b.joined}\n" for a, b in ordered_pairs(part)]
        (root / f"{prefix}-pairs-{split}.csv").write_text("from,to\n" + "".join(pairs))


def people(root: Path, those: list[Sample]) -> None:
    "One subfolder an item, with names that tell nothing, spaces and accents; a table in own pixels."
    rows = []
    for one in those:
        name = f"Zoé {one.name.item}/{one.name.outfit_number}/photo {one.number}.png"
        save(root / name, picture(one))
        rows.append(csv_row(name, one.pose))
    write_table(root / "keypoints.csv", rows)


def folder(root: Path, those: list[Sample]) -> None:
    "Images of one person in one folder, as the frames of a video."
    rows = []
    for one in those:
        name = f"frame_{one.number:05}.jpg"
        save(root / name, picture(one))
        rows.append(csv_row(name, one.pose))
    write_table(root / "keypoints.csv", rows)


assert parse_name(samples(1)[0].pg2) == parse_name(samples(1)[0].official)
