"""Two processes that share each step, as two GPUs would: gloo between processes of this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bounded import bounded, run_bounded
from boxes import write_boxes
from safetensors.torch import load_file

from posegen.training.checkpoints import load_checkpoint
from posegen.training.log import read_losses

SCRIPT = Path(__file__).parent / "train_in_processes.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
EXACT = ('precision="float64"', 'critic_norm="none"', "batch_size=4")


def command(processes: int) -> list[str]:
    alone = [sys.executable]
    return (
        alone
        if processes == 1
        else [*alone, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    )


def train(processes: int, folder: Path, out: Path, name: str, *fields: str) -> None:
    done = run_bounded(
        [*command(processes), SCRIPT, folder, out, name, *EXACT, *fields], seconds=300, env=ONE_THREAD
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    "A store, with stage 1 trained by one process and, in `stage1-2`, by two."
    folder = tmp_path_factory.mktemp("distributed")
    write_boxes(folder / "store.h5")
    train(1, folder, folder / "stage1", "stage1", "stage1_steps=20")
    train(2, folder, folder / "stage1-2", "stage1", "stage1_steps=20")
    return folder


def test_two_halves_give_the_weights_of_one_whole(folder):
    one, two = (load_file(folder / name / "stage1.safetensors") for name in ("stage1", "stage1-2"))
    difference = max((one[name] - two[name]).abs().max().item() for name in one)
    assert one[min(one)].dtype == torch.float64
    assert difference < 1e-9, difference


def test_two_halves_give_the_weights_of_one_whole_that_copies(folder, tmp_path):
    fields = 'generator="warping"', "colour_weight=2.0", "contrast_weight=2.0", "stage1_steps=8"
    for processes in (1, 2):
        train(processes, folder, tmp_path / str(processes), "stage1", *fields)
    one, two = (load_file(tmp_path / name / "stage1.safetensors") for name in "12")
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-9


def test_two_processes_play_the_same_wasserstein_game(folder, tmp_path):
    for processes in (1, 2):
        train(processes, folder, tmp_path / str(processes), "wgan_triplet", "stage2_steps=6", "n_critic=3")
    one, two = read_losses(tmp_path / "1"), read_losses(tmp_path / "2")
    assert [row["step"] for row in one] == [row["step"] for row in two] == list(range(1, 7))
    for term in ("discriminator_loss", "generator_loss", "reconstruction_loss"):
        assert [row[term] for row in two] == pytest.approx([row[term] for row in one], abs=1e-9)
    for rank in (0, 1):
        largest = json.loads((tmp_path / "2" / f"critic-{rank}.json").read_text())
        assert len(largest) == 18 and max(largest) <= 0.01


def test_when_one_process_dies_the_other_ends_and_leaves_a_good_checkpoint(folder, tmp_path):
    training = [
        *command(2),
        SCRIPT,
        folder,
        tmp_path,
        "stage1",
        *EXACT,
        "stage1_steps=100000",
        "checkpoint_every=5",
        "log_every=100",
    ]
    with bounded(training, seconds=300, env=ONE_THREAD, stderr=subprocess.STDOUT) as began:
        while not (tmp_path / "checkpoint.pt").exists():
            assert began.poll() is None, began.stdout.read()
            time.sleep(0.1)
        victim = next(pid for pid in children(began.pid) if environment_of(pid).get("RANK") == "1")
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        said, _ = began.communicate(timeout=60)
    print(f"the other process ended {time.monotonic() - killed:.1f} s after the kill")
    assert began.returncode != 0
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    assert state["done"] % 5 == 0 and all(weight.isfinite().all() for weight in state["stage1"].values())
    assert "Start the same command again to go on from there" in said


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environment_of(pid: int) -> dict[str, str]:
    return dict(
        line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line
    )


def test_the_command_line_starts_processes_itself(folder, tmp_path):
    done = run_bounded(
        [
            sys.executable,
            "-c",
            "import sys; from posegen.cli import main; sys.exit(main())",
            "train",
            "--stage",
            "1",
            "--store",
            folder / "store.h5",
            "--out",
            tmp_path / "out",
            "--preset",
            "test",
            "--processes",
            "2",
        ],
        seconds=300,
        env=ONE_THREAD,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(read_losses(tmp_path / "out")) == 4


def test_a_batch_that_cannot_be_shared_is_refused(folder, tmp_path):
    done = run_bounded([*command(2), SCRIPT, folder, tmp_path, "stage1", "batch_size=3"], seconds=300)
    assert done.returncode != 0
    assert "batch_size is 3, which 2 processes cannot share" in done.stdout + done.stderr
