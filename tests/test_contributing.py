"The examples of CONTRIBUTING.md, applied to a copy of the project as they stand there, and used."

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL))
MAIN = "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))"
EXPORT = (
    "import sys; from nbdev.export import nb_export; [nb_export(name, 'posegen') for name in sys.argv[1:]]"
)


def run(project, *words):
    "A Python program in the copy of the project; returns what it printed."
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=200,
        env=dict(os.environ, PYTHONPATH=str(project)),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def add_cell(path, source):
    "Add a block to a notebook: an exported cell at the end, or in an experiment one below the last `compare`."
    notebook = nbformat.read(path, 4)
    if path.parent.name == "experiments":
        last = max(n for n, cell in enumerate(notebook.cells) if "compare(" in cell.source)
        notebook.cells.insert(last + 1, nbformat.v4.new_code_cell(source))
    else:
        notebook.cells.append(nbformat.v4.new_code_cell("#| export\n" + source))
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "A copy of the project with all examples in it."
    copy = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "posegen", copy / "posegen", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "nbs", copy / "nbs", ignore=shutil.ignore_patterns(".*_checkpoints"))
    shutil.copy(ROOT / "settings.ini", copy)
    for place, source in BLOCKS.items():
        if place.endswith(".ipynb"):
            add_cell(copy / place, source)
        else:
            (copy / place).write_text(source)
    chapters = [place for place in BLOCKS if re.fullmatch(r"nbs/(?!experiments/)(\w+/)?\w+\.ipynb", place)]
    run(copy, "-c", EXPORT, *chapters)
    return copy


@pytest.fixture(scope="module")
def store(project, one_person):
    "A store made by the example of a data source from two people of 10 pictures; a distractor is left out."
    images, keypoints = one_person
    for person, split in ((2, "train"), (7, "test")):
        folder = project / "Market-1501" / f"bounding_box_{split}"
        folder.mkdir(parents=True)
        lines = ["name:keypoints_y:keypoints_x"]
        for number in range(10):
            name = f"{person:04}_c1s1_{number:06}_00.jpg"
            pose = keypoints[number + 10 * (split == "test")]
            x, y = (
                np.where(pose[:, 2] > 0, pose[:, axis].round(), -1).astype(int).tolist() for axis in (0, 1)
            )
            Image.fromarray(images[number + 10 * (split == "test")]).save(folder / name)
            lines.append(f"{name}: {y}: {x}")
        shutil.copy(folder / name, folder / f"0000_c1s1_{number:06}_00.jpg")
        (folder.parent / f"market-annotation-{split}.csv").write_text("\n".join(lines) + "\n")
    run(project, "market.py", "Market-1501", "market.h5", "test")
    return "market.h5"


def test_every_example_is_short():
    assert set(BLOCKS) == {
        "nbs/05_adversaries.ipynb",
        "nbs/report/01_rows.ipynb",
        "nbs/metrics/07_agreement.ipynb",
        "nbs/experiments/40_evaluate.ipynb",
        "market.py",
    }
    assert all(source.count("\n") < 30 for source in BLOCKS.values())


def test_the_data_source(project, store):
    told = run(project, "-c", MAIN, "info", store)
    assert "train: 10 images of 1 identities" in told and "test: 10 images of 1 identities" in told
    assert "Market-1501" in told and "academic use only" in told


def test_the_adversary_and_the_metric(project, store):
    common = ("--preset", "test", "--store", store)
    run(project, "-c", MAIN, "train", "--stage", 1, "--out", "g1", *common)
    run(
        project,
        "-c",
        MAIN,
        "train",
        "--stage",
        2,
        "--adversary",
        "hinge",
        "--stage1",
        "g1",
        "--out",
        "g2",
        *common,
    )
    history = [json.loads(line) for line in (project / "g2/losses.jsonl").read_text().splitlines()]
    assert 1 < history[0]["discriminator_loss"] < 3  # 2 for logits of 0; a loss of cross-entropy has 1.4
    run(
        project, "-c", MAIN, "evaluate", "--stage1", "g1", "--stage2", "hinge=g2", "--out", "numbers", *common
    )
    numbers = json.loads((project / "numbers/evaluation.json").read_text())
    assert set(numbers["error"]) > {"G1", "Hinge"}
    background = numbers["agreement"]["background"]
    assert background["rows"]["Target"]["mean"] == 0 < background["rows"]["Hinge"]["mean"] < 255

    from posegen.report.tables import agreement_table

    table = agreement_table({"background": background}, {}, "test")
    assert table.columns == ("Set", "background difference (grey levels), lower is better")
    assert "G1" in [row[0] for row in table.rows]
