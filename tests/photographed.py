"A rendered person as a photo with its keypoints, for tests of the command line."

from pathlib import Path

import numpy as np
from PIL import Image

from posegen.people import Person, render_people
from posegen.photos.keypoints import write_openpose_json

VIEW = 128  # pixels a side of a view


def write_photo(folder: Path, size: int) -> Person:
    "me.png of `size` pixels a side, and me.json with its pose; returns the person, whose views have 128."
    person = next(iter(render_people(1, views=4, size=VIEW, seed=3, progress=False)))
    Image.fromarray(person.images[0]).resize((size, size)).save(folder / "me.png")
    pose = person.keypoints[0].copy()
    pose[:, :2] = np.floor((pose[:, :2] + 0.5) * size / VIEW)
    write_openpose_json(folder / "me.json", pose * (pose[:, 2:] > 0))
    return person
