"What is made ready for a machine with a GPU: the preset `paper` rehearsed on a small tree, and the command `make gpu`."

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import posegen
from posegen.core import UserError, preset
from posegen.networks import Stage1Generator, Stage2Generator, count_parameters
from posegen.photos.layouts import list_source
from posegen.photos.names import parse_name
from posegen.runs.graph import FIGURES
from posegen.transfer import PoseTransfer

ROOT = Path(posegen.__file__).parents[1]
if not (ROOT / "scripts/gpu.sh").exists():
    pytest.skip("the scripts are not here: posegen was installed without them", allow_module_level=True)
sys.path.append(str(ROOT / "scripts"))

import save_pretrained
from rehearse_paper import NOBODY_FOUND, rehearse

COMMAND = [sys.executable, "-c", "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))"]
SMALL = dict(
    size=64,
    width=4,
    discriminator_width=4,
    n_critic=2,
    stage1_steps=2,
    stage2_steps=2,
    log_every=1,
    evaluation_pairs=8,
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    "Four rendered people, 64 pixels, in the layout of DeepFashion's In-shop images."
    folder = tmp_path_factory.mktemp("rehearsal") / "rendered-people"
    rehearse(folder, people=4, size=64)
    return folder


@pytest.fixture(scope="module")
def finished(tree):
    "A folder in which the preset `paper`, made small, has come to its end on this tree."
    folder = tree.parent
    words = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(
        [
            *COMMAND,
            "reproduce",
            "--preset",
            "paper",
            "--data",
            tree.name,
            "--runs",
            "runs",
            "--figures",
            "figures",
            *words,
        ],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=300,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def test_the_tree_is_laid_out_as_the_official_one(tree):
    listing = list_source(tree)
    assert listing.layout == "in-shop" and listing.parameters["split"] == "official"
    assert set(listing.parameters["tables"]) == {"fasion-annotation-train.csv", "fasion-annotation-test.csv"}
    assert listing.counts["images found"] == 20 and listing.counts["test images"] == 5
    assert len(listing.rejected) == 20 // NOBODY_FOUND
    lines = (tree / "Eval/list_eval_partition.txt").read_text().splitlines()
    assert lines[:2] == ["20", "image_name item_id evaluation_status"] and len(lines) == 22
    path, item, status = lines[2].split()
    assert (tree / "Img" / path).is_file() and item == f"id_{parse_name(path).item}" and status == "train"
    assert {line.split()[2] for line in lines[-5:]} == {"query", "gallery"}


def test_keypoints_are_counted_in_256_pixels(tree):
    listing = list_source(tree)
    full = next(entry for entry in listing.entries if entry.name.endswith("_4_full.jpg"))
    assert full.frame == 256 and 128 < full.keypoints[:, 1].max() < 256, "a whole person fills the image"


def test_a_second_call_finds_the_tree(tree, tmp_path):
    assert "already" in rehearse(tree, people=4, size=64)
    with pytest.raises(UserError, match="remove it, or name another folder"):
        rehearse(tree, people=5, size=64)
    with pytest.raises(UserError, match="4 or more"):
        rehearse(tmp_path / "new", people=3)
    assert not (tmp_path / "new").exists()


def test_paper_comes_to_every_table_and_figure(finished):
    figures = finished / "figures"
    assert not [name for name in FIGURES if not (figures / name).is_file()]
    manifest = json.loads((figures / "manifest.json").read_text())
    left = {deviation["field"] for deviation in manifest["deviations"]}
    assert manifest["preset"] == "paper" and left == set(SMALL) - {"log_every", "evaluation_pairs"}
    assert len(manifest["weights"]) == 8 and len(manifest["steps"]) == 11
    assert "own data" in (figures / "table2.md").read_text(), (
        "rendered people must not pass for DeepFashion's"
    )


def test_weights_for_the_package(finished, tmp_path, monkeypatch):
    assert "MB" in save_pretrained.save(finished / "runs", "small", tmp_path)
    first = {path.name: path.read_bytes() for path in (tmp_path / "small").iterdir()}
    assert json.loads(first["stage1.json"])["precision"] == "float16"
    assert PoseTransfer.from_pretrained(tmp_path / "small").size == 64
    save_pretrained.save(finished / "runs", "small", tmp_path)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "small").iterdir()}
    with pytest.raises(UserError, match="not finished: it has no stage 2"):
        save_pretrained.save(finished / "runs/stage1", "half", tmp_path)
    monkeypatch.setattr(save_pretrained, "LARGEST_MB", 0.01)
    with pytest.raises(UserError, match="more than the 0.01 MB"):
        save_pretrained.save(finished / "runs", "large", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_the_gpu_preset_fits_into_the_package():
    config = preset("gpu")
    assert config.size == 256 and config.train_people >= 1500
    with torch.device("meta"):
        parameters = count_parameters(Stage1Generator(config)) + count_parameters(Stage2Generator(config))
    assert 2 * parameters / 1e6 <= save_pretrained.LARGEST_MB


def test_make_gpu_says_that_there_is_no_gpu():
    hidden = dict(os.environ, PYTHON=sys.executable, CUDA_VISIBLE_DEVICES="")
    done = subprocess.run([ROOT / "scripts/gpu.sh"], text=True, capture_output=True, timeout=120, env=hidden)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("gpu: torch ") and "machine with an NVIDIA GPU" in done.stderr
    assert done.stderr.count("\n") == 1


# In the place of Python: notes what it is called with, fails or lingers if there is a file that says so.
STAND_IN = """#!/usr/bin/env bash
case "$2" in *find_spec*) exit ;; *get_device_properties*) echo 'a GPU'; exit ;; esac
echo "${*//import*argv\\[1:\\]))/posegen}" >>calls
trap 'echo stopped >>calls; exit 143' TERM
if [ -e linger ]; then for i in {1..600}; do sleep 0.1; done; fi
case "$*" in *rehearse_paper*) if [ -e fail ]; then exit 2; fi ;; esac
"""


@pytest.fixture
def gpu(tmp_path):
    "A copy of the command in a folder of its own, with a stand-in for Python that claims to have a GPU."
    for folder in ("scripts", "posegen", "benchmarks"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "scripts/gpu.sh", tmp_path / "scripts")
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)
    environment = dict(os.environ, PYTHON=str(tmp_path / "python"))

    def start(*words):
        return subprocess.Popen(
            [tmp_path / "scripts/gpu.sh", *words],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return start


def calls(folder):
    "What the stand-in was called with since the last look."
    text = (folder / "calls").read_text()
    (folder / "calls").unlink()
    return text.splitlines()


def test_make_gpu_does_every_part_once(gpu, tmp_path):
    first = gpu()
    output = first.communicate(timeout=60)[0]
    assert first.returncode == 0 and output.count(": done") == 4, output
    made = calls(tmp_path)
    assert "reproduce --preset gpu" in made[0] and "save_pretrained.py runs/gpu" in made[1]
    assert "rehearse_paper.py" in made[2] and "reproduce --preset paper" in made[3]
    results = sorted((tmp_path / "figures/gpu/benchmarks").glob("*.txt"))
    assert all("benchmarks/" in call for call in made[4:]) and len(made[4:]) == len(results) > 8
    gpu("benchmarks").communicate(timeout=60)
    assert not (tmp_path / "calls").exists(), "a benchmark that is done is not repeated"
    (tmp_path / "posegen/new.py").write_text("")
    later = time.time() + 10
    os.utime(tmp_path / "posegen/new.py", (later, later))
    gpu("benchmarks").communicate(timeout=60)
    assert len(calls(tmp_path)) == len(results), "unless the code is newer"


def test_a_part_that_fails_leaves_the_others_their_turn(gpu, tmp_path):
    (tmp_path / "fail").touch()
    process = gpu("rehearsal", "weights")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 2 and "rehearsal: failed" in output and "weights: done" in output
    assert ["rehearse_paper" in call for call in calls(tmp_path)] == [True, False], (
        "no paper without its tree"
    )


@pytest.mark.parametrize("whom", ["the command", "everybody"])
def test_make_gpu_passes_one_signal_on_and_waits(gpu, tmp_path, whom):
    (tmp_path / "linger").touch()
    process = gpu("report")
    deadline = time.monotonic() + 30
    while not (tmp_path / "calls").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    (os.kill if whom == "the command" else os.killpg)(process.pid, signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 143 and "goes on from there" in output
    assert calls(tmp_path)[1:] == ["stopped"]


def test_an_unknown_part_is_named(gpu):
    process = gpu("figures")
    assert 'no part "figures"' in process.communicate(timeout=30)[0] and process.returncode == 2
