"""Rendered people in the official layout of DeepFashion's In-shop images, to rehearse the preset `paper` without them.

    python scripts/rehearse_paper.py data/rendered-people-as-in-shop
    posegen reproduce --preset paper --data data/rendered-people-as-in-shop --runs runs/rehearsal \\
        --figures figures/test-rehearsal --set stage1_steps=20 --set stage2_steps=20

Folders, names, partition file and image size are the official ones (Img/img/WOMEN/Dresses/id_00000001/01_1_front.jpg,
Eval/list_eval_partition.txt, 256 pixels); the keypoints are in tables as they are published with PATN and its
forerunner (fasion-annotation-train.csv, -test.csv: `name: [y …]: [x …]`, whole pixels at 256, -1 for a missing one).
Each person is one item in one outfit with five views, on white; every fourth is for testing, half as query and half as
gallery; in every twentieth image nobody was found. The tree appears whole or not at all.
"""

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from posegen.core import UserError
from posegen.people import Person, render_people
from posegen.photos.keypoints import write_keypoint_csv
from posegen.photos.names import DeepFashionName

VIEWS = (
    ("4", "full"),
    ("2", "side"),
    ("3", "back"),
    ("7", "additional"),
    ("1", "front"),
)  # as people are rendered
CATEGORIES = {
    "female": ("Dresses", "Tees_Tanks", "Blouses_Shirts"),
    "male": ("Denim", "Shirts_Polos", "Tees_Tanks"),
}
TABLE_SIDE = 256  # pixels that the published tables count in, whatever the images measure
NOBODY_FOUND = 20  # one image in so many has an empty row
FACTS = ".rehearsal.json"  # hidden, so it is no part of the data


@dataclass(frozen=True)
class View:
    "One image of the tree."

    name: DeepFashionName
    split: str  # train or test
    status: str  # train, query or gallery
    number: int

    @property
    def official(self) -> str:
        "Its path in the partition file."
        return f"img/{self.name.key}.jpg"

    @property
    def in_table(self) -> str:
        "Its name in the published tables of keypoints."
        name = self.name
        category = name.category.replace("_", "")
        return f"fasion{name.gender}{category}id{name.item}{name.outfit_number}_{name.number}{name.view}.jpg"


def views_of(person: Person) -> list[View]:
    "The images of one person, named as if the person were an item of the shop."
    gender = person.description["gender"]
    category = CATEGORIES[gender][person.index % len(CATEGORIES[gender])]
    testing, first = person.index % 4 == 3, person.index * len(VIEWS)
    found = []
    for number, (digit, view) in enumerate(VIEWS, first):
        name = DeepFashionName(
            "WOMEN" if gender == "female" else "MEN", category, f"{person.index + 1:08}", "01", digit, view
        )
        status = ("query", "gallery")[number % 2] if testing else "train"
        found.append(View(name, "test" if testing else "train", status, number))
    return found


def write_person(root: Path, person: Person, tables: dict[str, dict[str, np.ndarray]]) -> list[View]:
    "Write the images of one person on white, and add their keypoints to the table of their split."
    views, size = views_of(person), person.images.shape[1]
    for view, image, silhouette, keypoints in zip(views, person.images, person.silhouettes, person.keypoints):
        path = root / "Img" / view.official
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(silhouette[..., None] > 0, image, np.uint8(255))).save(path, quality=90)
        row = keypoints.copy()
        row[:, :2] = np.trunc(row[:, :2] * TABLE_SIDE / size)
        tables[view.split][view.in_table] = np.zeros_like(row) if view.number % NOBODY_FOUND == 0 else row
    return views


def write_tree(root: Path, people: int, size: int, seed: int) -> int:
    "Write the tree below `root`; returns the number of its images."
    tables: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    views = [
        view
        for person in render_people(people, len(VIEWS), size, seed)
        for view in write_person(root, person, tables)
    ]
    for split, rows in tables.items():
        write_keypoint_csv(root / f"fasion-annotation-{split}.csv", rows)
    lines = [f"{view.official:<80}id_{view.name.item} {view.status}" for view in views]
    (root / "Eval").mkdir()
    (root / "Eval" / "list_eval_partition.txt").write_text(
        "\n".join([str(len(lines)), "image_name item_id evaluation_status", *lines]) + "\n"
    )
    return len(views)


def rehearse(root: Path, people: int = 90, size: int = 256, seed: int = 0) -> str:
    """Make the tree at `root`, unless it is there already; returns what to tell the user.

    Raises `UserError` for fewer than four people, and if there is something else at `root`."""
    if people < 4:
        raise UserError(f"{people} people are too few: every fourth is for testing, so give 4 or more.")
    facts = dict(people=people, size=size, seed=seed)
    if root.exists():
        if (root / FACTS).is_file() and json.loads((root / FACTS).read_text()) == facts:
            return f"{root} is there already."
        raise UserError(
            f"{root} exists and is not the tree of {people} people at {size} pixels with seed {seed}: "
            "remove it, or name another folder."
        )
    unfinished = root.with_name(f".{root.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    images = write_tree(unfinished, people, size, seed)
    (unfinished / FACTS).write_text(json.dumps(facts) + "\n")
    unfinished.rename(root)
    return f"{images} images of {people} rendered people, {size} pixels: {root}"


def main() -> int:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to make")
    parser.add_argument("--people", type=int, default=90, help="every fourth is for testing (default: 90)")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the people (default: 0)")
    arguments = parser.parse_args()
    try:
        print(rehearse(arguments.out, arguments.people, arguments.size, arguments.seed))
    except UserError as error:
        print(f"rehearse_paper: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
