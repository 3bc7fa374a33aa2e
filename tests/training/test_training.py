"""Training that is killed, and training whose checkpoints are damaged: the final weights must not tell."""

import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
import torch
from boxes import write_boxes

from posegen.adversaries import ADVERSARIES
from posegen.core import Config, preset
from posegen.data.store import open_store
from posegen.training.checkpoints import load_checkpoint
from posegen.training.log import read_losses
from posegen.training.stages import train_stage1, train_stage2

KILLS = int(os.environ.get("POSEGEN_KILLS", 3))  # of each training
PATIENCE = 300  # seconds until a process that does nothing has failed
STEPS = max(40, 15 * KILLS)


WARPING = "a stage 1 that copies, on disturbed pairs"


def config() -> Config:
    return preset("test", stage1_steps=STEPS, stage2_steps=STEPS, checkpoint_every=3, critic_norm="batch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    "A store with everything trained on it, undisturbed."
    root = tmp_path_factory.mktemp("training")
    write_boxes(root / "store.h5")
    for name in ("stage1", WARPING, *ADVERSARIES):
        train(root, name, root / name)
    return root


def train(root: Path, name: str, out: Path) -> None:
    "Stage 1, the other stage 1, or stage 2 against the adversary `name`."
    torch.set_num_threads(1)
    if name in ("stage1", WARPING):
        changes = dict(
            generator="warping",
            colour_weight=2.0,
            contrast_weight=2.0,
            disturbance="photographs",
            ema_decay=0.9,
        )
        own = config().replace(**changes) if name == WARPING else config()
        train_stage1(own, open_store(root / "store.h5"), out, torch.device("cpu"))
    else:
        train_stage2(config(), name, open_store(root / "store.h5"), root / "stage1", out, torch.device("cpu"))


def state_of(path: Path) -> tuple[int, int] | None:
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def weights(folder: Path) -> bytes:
    (path,) = folder.glob("*.safetensors")
    return path.read_bytes()


@pytest.mark.parametrize("name", ["stage1", WARPING, *ADVERSARIES])
def test_killed_at_random_moments_the_weights_are_the_same_in_every_bit(trained, tmp_path, name):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["posegen.training.stages"])
    chance = random.Random(name)
    lives = []
    for number in range(KILLS):
        before = state_of(tmp_path / "checkpoint.pt")
        life = processes.Process(target=train, args=(trained, name, tmp_path))
        life.start()
        if number % 4 < 3:  # most lives get further than the one before, some not even to their first step
            began = time.monotonic()
            while (
                state_of(tmp_path / "checkpoint.pt") == before
                and life.is_alive()
                and time.monotonic() < began + PATIENCE
            ):
                time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.2))
        life.kill()
        life.join(PATIENCE)
        assert life.exitcode is not None
        checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
        if checkpoint is None:
            break  # it had finished before the blow
        lives.append(checkpoint["done"])
    train(trained, name, tmp_path)
    print(f"{name}: killed {len(lives)} times, checkpoints found at steps {lives}")
    assert lives and weights(tmp_path) == weights(trained / name)
    assert not list(tmp_path.glob("checkpoint*"))
    assert [row["step"] for row in read_losses(tmp_path)] == list(range(1, STEPS + 1))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(trained, tmp_path, capsys):
    class Enough(Exception):
        pass

    class Watcher:
        def logged(self, step, values):
            if step == 8:
                raise Enough

        def resumed(self, history):
            pass

        def sampled(self, step, images):
            pass

        def close(self):
            pass

    for damage in (
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:5000] + bytes([content[5000] ^ 16]) + content[5001:],
    ):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        with pytest.raises(Enough):
            train_stage1(
                config(), open_store(trained / "store.h5"), out, torch.device("cpu"), watchers=[Watcher()]
            )
        newest = out / "checkpoint.pt"
        newest.write_bytes(damage(newest.read_bytes()))
        capsys.readouterr()
        train(trained, "stage1", out)
        said = capsys.readouterr().out
        assert "warning:" in said and str(newest) in said and "resumed at step 3 of" in said
        assert weights(out) == weights(trained / "stage1")
