"""The whole report, small: from rendered people, and from own images, to tables, figures and manifest.

From rendered people it is made by the package as others install it, from a wheel and outside of the checkout.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import packaged
import pytest
from PIL import Image

import posegen
from posegen.core import ADVERSARY_NAMES
from posegen.report.origins import trace

STAGE2 = [f"{kind}stage2-{name}" for kind in ("", "warping-") for name in ADVERSARY_NAMES]
STEPS = ["prepare", "stage1", "warping-stage1", *STAGE2, "evaluate", "report"]
COMMAND = [sys.executable, "-c", "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))"]
CHECKOUT = Path(posegen.__file__).parents[1]


def reproduce(folder, *words, package=CHECKOUT):
    "Run `posegen reproduce --preset test WORDS` in a folder of its own; returns its output."
    command = COMMAND if package == CHECKOUT else [package / "bin/posegen"]
    done = subprocess.run(
        [*command, "reproduce", "--preset", "test", *words],
        cwd=folder,
        text=True,
        capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(package)),
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def steps_that_ran(output):
    return [step for step in STEPS if f"{step:20} running" in output]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    "The folder that posegen has been installed in from a wheel."
    return packaged.install(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, installed):
    "A folder in which the report has been reproduced from embedded people."
    folder = tmp_path_factory.mktemp("embedded")
    output = reproduce(folder, "--at-once", "2", package=installed)
    assert steps_that_ran(output) == STEPS and "2 jobs at once, 1 thread for each" in output
    return folder


def test_every_table_and_figure(finished):
    figures = finished / "figures/test"
    for number in range(1, 5):
        rows = list(csv.reader((figures / f"table{number}.csv").open()))
        assert len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows)
        assert (figures / f"table{number}.md").read_text().count("|") > 4
    for number in range(1, 7):
        with Image.open(figures / f"figure{number}.png") as image:
            assert min(image.size) > 100


def test_the_manifest(finished):
    manifest = json.loads((finished / "figures/test/manifest.json").read_text())
    assert manifest["preset"] == "test" and manifest["data"]["source"] == "embedded"
    assert list(manifest["steps"]) == STEPS and len(manifest["weights"]) == 8
    assert manifest["versions_of_last_call"]["posegen"] == posegen.__version__
    assert dict(field="size", report=256, here=32) in manifest["deviations"]
    assert str(finished) not in json.dumps(manifest), "a path of this machine"


def test_a_cell_can_be_traced(finished):
    figures = finished / "figures/test"
    manifest = json.loads((figures / "manifest.json").read_text())
    columns = manifest["tables"]["table2.csv"]["columns"]
    ours = next(name for name, source in columns.items() if source.get("protocol") == "skimage")
    cell = trace(manifest, "table2.csv", "WGAN-triplet", ours)
    assert cell["n_pairs"] == 20 and cell["seed"] == 0 and cell["posegen"] == posegen.__version__
    assert set(cell["weights"].values() if isinstance(cell["weights"], dict) else cell["weights"]) <= {
        *manifest["weights"],
        *manifest["weights"].values(),
    }
    assert cell["data"] == manifest["data"]["store_sha256"] and cell["notebook"]


def test_a_second_run_does_nothing(finished, installed):
    before = (finished / "figures/test/manifest.json").stat().st_mtime_ns
    output = reproduce(finished, package=installed)
    assert steps_that_ran(output) == [] and "Nothing to do" in output
    assert (finished / "figures/test/manifest.json").stat().st_mtime_ns == before


def test_a_lost_figure_comes_back(finished, installed):
    (finished / "figures/test/variants.png").unlink()
    assert steps_that_ran(reproduce(finished, package=installed)) == ["report"]
    assert (finished / "figures/test/variants.png").exists()


def test_one_at_a_time_gives_the_same_bits(finished, installed):
    "Trained anew one after the other, the weights are the same, so that nothing that follows is out of date."
    trained = STAGE2[:3]
    before = {step: (finished / f"runs/test/{step}/stage2.safetensors").read_bytes() for step in trained}
    for step in trained:
        shutil.rmtree(finished / f"runs/test/{step}")
    output = reproduce(finished, "--at-once", "1", package=installed)
    assert steps_that_ran(output) == trained and "1 job at once, 1 thread for each" in output
    assert " | " not in output.split("stage2-pair")[1].splitlines()[1]
    for step in trained:
        assert (finished / f"runs/test/{step}/stage2.safetensors").read_bytes() == before[step]


def test_own_images_of_one_person_are_an_overfitting_check(photos, tmp_path):
    shutil.move(photos, tmp_path / "walk")
    assert steps_that_ran(reproduce(tmp_path, "--data", "walk", "--set", "seed=1")) == STEPS
    figures = tmp_path / "figures/test-walk"
    assert "overfitting check" in (figures / "table2.md").read_text()
    manifest = json.loads((figures / "manifest.json").read_text())
    assert manifest["data"]["source"] == "walk" and manifest["seeds"] == {"config": 1}
    assert steps_that_ran(reproduce(tmp_path, "--data", "walk", "--set", "seed=1")) == []
