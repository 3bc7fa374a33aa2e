"What a change in the package or in a notebook makes run again, and what it leaves alone."

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import posegen
from posegen.core import ADVERSARY_NAMES
from posegen.runs.job import experiments_folder

ROOT = Path(posegen.__file__).parents[1]
# In a process of its own, so that the copy is the package that is asked. Prints the steps' hashes and a block's.
ASK = """
import json
from posegen.runs.graph import report_jobs
from posegen.system.provenance import function_hash, notebook_code_hash, notebook_hash
keys = {job.name: [notebook_hash(job.notebook), notebook_code_hash(job.notebook)] for job in report_jobs("quick")}
print(json.dumps(keys | {"block of prepare": function_hash("posegen.data.prepare")}))
"""
STAGE2 = [f"{kind}stage2-{name}" for kind in ("", "warping-") for name in ADVERSARY_NAMES]
TRAINING = ["stage1", "warping-stage1", *STAGE2]
EVERYTHING = ["prepare", *TRAINING, "evaluate", "report", "block of prepare"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy of the package and the experiments that may be edited."
    root = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__", "pretrained", "experiments")
    shutil.copytree(ROOT / "posegen", root / "posegen", ignore=ignored)
    shutil.copytree(experiments_folder(), root / "nbs" / "experiments")
    return root


def keys(root: Path) -> str:
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def before(copy):
    return json.loads(keys(copy))


def changed(copy, before, file, old, new):
    "The steps that have another key after `old` has become `new` in a file; the file is put back."
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        after = json.loads(keys(copy))
    finally:
        path.write_text(text, encoding="utf-8")
    return [name for name in before if after[name] != before[name]]


def module(name):
    "A file of the package that holds this text at the start of a line."
    hits = [
        path for path in sorted((ROOT / "posegen").rglob("*.py")) if f"\n{name}" in path.read_text("utf-8")
    ]
    assert len(hits) == 1, f"{name}: {hits}"
    return str(hits[0].relative_to(ROOT))


def test_a_colour_in_the_figures_concerns_only_the_report(copy, before):
    assert changed(copy, before, module("COLOURS = "), '"G1": "#56B4E9"', '"G1": "#56B4E8"') == ["report"]


def test_the_command_line_concerns_nothing(copy, before):
    cli = "posegen/cli/__init__.py" if (ROOT / "posegen/cli").is_dir() else "posegen/cli.py"
    assert changed(copy, before, cli, "\nfrom ", "\nMOTTO = 1\nfrom ") == []


def test_a_loss_concerns_what_trains_with_it_and_what_measures_it(copy, before):
    found = changed(copy, before, "posegen/losses.py", "return ", "return 2 * ")
    assert set(TRAINING) <= set(found) and "prepare" not in found and "block of prepare" not in found


def test_comments_and_docstrings_concern_nothing(copy, before):
    for name in ("losses", "networks", "pose", "core"):
        file = f"posegen/{name}.py"
        assert changed(copy, before, file, "\ndef ", "\n# a word on this\n\n\ndef ") == []
    assert changed(copy, before, "posegen/networks.py", '    """G1: ', '    """The first one, G1: ') == []


def test_a_docstring_that_names_a_module_adds_no_dependency(copy, before):
    words = '    """G1, which `from posegen.cli import main` and posegen.report.figures do not know: '
    assert changed(copy, before, "posegen/networks.py", '    """G1: ', words) == []


def test_prose_in_an_experiment_concerns_nothing_and_its_code_one_step(copy, before):
    notebook = "nbs/experiments/40_evaluate.ipynb"
    assert changed(copy, before, notebook, "# Experiment", "# An experiment") == []
    assert changed(copy, before, notebook, '"import posegen', '"import math, posegen') == ["evaluate"]


def test_a_preset_concerns_everything(copy, before):
    assert (
        changed(copy, before, "posegen/core.py", '"paper": dict()', '"paper": dict(), "new": dict()')
        == EVERYTHING
    )
