"Shared by the tests: the command line in this process, and a folder of images with a keypoint table."

import json

import numpy as np
import pytest
from PIL import Image

from posegen.cli import main


class Outcome:
    "Exit status and what was printed."

    def __init__(self, status, out, error):
        self.status, self.out, self.error = status, out, error


@pytest.fixture
def posegen(capsys):
    "Runs `posegen WORDS` in this process."

    def run(*words):
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as leaving:
            status = leaving.code
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def one_person():
    "Images uint8 (20, 48, 48, 3) and keypoints (20, 18, 3) of one rendered person."
    from posegen.people import render_people

    person = next(iter(render_people(1, views=20, size=48, seed=5, progress=False)))
    return person.images, person.keypoints


@pytest.fixture
def photos(tmp_path, one_person):
    "A folder with these images as PNG files and their keypoint table `keypoints.csv`."
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = ["name:keypoints_y:keypoints_x"]
    for number, (image, keypoints) in enumerate(zip(*one_person)):
        name = f"frame_{number:02}.png"
        Image.fromarray(image).save(folder / name)
        positions = np.where(keypoints[:, 2:] > 0, keypoints[:, :2].round(), -1).astype(int)
        x, y = positions[:, 0].tolist(), positions[:, 1].tolist()
        lines.append(f"{name}: {json.dumps(y)}: {json.dumps(x)}")
    (folder / "keypoints.csv").write_text("\n".join(lines) + "\n")
    return folder
