"Memory: the estimate against a real process, running out of it; and watchers on real training runs."

import json
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from bounded import run_bounded

from posegen.core import UserError, preset
from posegen.data.examples import Example
from posegen.data.store import open_store
from posegen.data.writing import write_store
from posegen.report.watching import LivePlot, TensorBoardLog
from posegen.training.log import read_losses
from posegen.training.memory import check_memory, training_memory
from posegen.training.stages import train_stage1

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux has /proc")


@linux
@pytest.mark.parametrize(
    "stage, accumulation", [("stage1", 1), ("stage1", 4), ("pair", 2), ("wgan_triplet", 1)]
)
def test_the_estimate_is_near_what_a_process_takes(stage, accumulation):
    changes = dict(size=64, blocks=4, width=32, batch_size=8, accumulation=accumulation)
    words = [f"{name}={value}" for name, value in changes.items()]
    run = run_bounded(
        [
            sys.executable,
            ROOT / "benchmarks" / "memory.py",
            "--preset",
            "gpu",
            "--set",
            *words,
            "--measure",
            stage,
        ],
        seconds=300,
    )
    assert run.returncode == 0, run.stderr
    measured = json.loads(run.stdout.splitlines()[-1])["bytes"]
    estimate = training_memory(preset("gpu", **changes), stage).total
    print(
        f"estimate {estimate / 2**20:.0f} MiB, measured {measured / 2**20:.0f} MiB, "
        f"ratio {estimate / measured:.2f}"
    )
    assert 0.7 < estimate / measured < 1.4


LIMITED = """
import resource, sys, torch
from posegen.networks import Stage1Generator
from posegen.training import memory
from posegen.core import UserError, preset
config = preset("quick", batch_size=64, width=64)
estimate = memory.training_memory(config, "stage1")
memory.check_memory = lambda *what: estimate             # as if other programs had taken the rest only later
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**28,) * 2)
try:
    with memory.enough_memory(config, "stage1", torch.device("cpu")):
        network = Stage1Generator(config)
        network(torch.rand(64, 21, 64, 64)).sum().backward()
except UserError as error:
    print(type(error.__cause__).__name__, "|", error)
"""


@linux
def test_running_out_of_memory_ends_in_a_sentence():
    run = run_bounded([sys.executable, "-c", LIMITED], cwd=ROOT)
    assert run.returncode == 0, run.stderr
    cause, sentence = run.stdout.strip().split(" | ")
    assert cause == "RuntimeError"
    assert sentence.startswith("There was too little memory on this machine for stage 1, whose steps need ")
    assert "set accumulation=2 (about" in sentence


def test_too_much_is_refused_before_anything_is_built():
    with pytest.raises(UserError, match="of memory, and .* are free on this machine: set accumulation="):
        check_memory(preset("paper", batch_size=256), "stage1", torch.device("cpu"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    "Two people in four random images each, to train on, and one to test on."
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("watched") / "store.h5"
    examples = [
        Example(
            generator.integers(0, 256, (32, 32, 3)).astype(np.uint8),
            np.hstack([generator.uniform(4, 28, (18, 2)), np.ones((18, 1))]).astype(np.float32),
            f"{person}/{view}",
            "train" if person < 2 else "test",
            person,
            person,
        )
        for person in range(3)
        for view in range(4)
    ]
    write_store(path, examples, 32, "noise")
    return open_store(path)


class Stopper:
    "A watcher that interrupts the run after a step, as Ctrl-C would."

    def __init__(self, after):
        self.after, self.calls = after, []

    def resumed(self, history):
        self.calls.append(("resumed", len(history)))

    def logged(self, step, values):
        self.calls.append(("logged", step))
        if step == self.after:
            raise KeyboardInterrupt

    def sampled(self, step, images):
        self.calls.append(("sampled", step))

    def close(self):
        self.calls.append(("close",))


def test_watchers_see_a_run_that_stops_and_goes_on(store, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="the extra tensorboard is not installed",
    )
    config = preset("test", stage1_steps=12, checkpoint_every=4)

    def train(*watchers):
        train_stage1(config, store, tmp_path / "run", torch.device("cpu"), watchers=watchers)

    plot, stopper = LivePlot("stage 1"), Stopper(7)
    with pytest.raises(KeyboardInterrupt):
        train(TensorBoardLog(tmp_path / "log"), plot, stopper)
    assert stopper.calls[-1] == ("close",) and ("logged", 7) in stopper.calls
    assert [row["step"] for row in plot.history] == list(range(1, 8))

    plot = LivePlot("stage 1")
    train(TensorBoardLog(tmp_path / "log"), plot)  # from the checkpoint of step 4
    history = read_losses(tmp_path / "run")
    assert [row["step"] for row in plot.history] == list(range(1, 13))
    assert set(plot.images) == {"condition", "G1", "target"}
    assert plot.picture().startswith(b"\x89PNG")

    everything = {"scalars": 0, "images": 0}
    events = accumulator.EventAccumulator(str(tmp_path / "log"), size_guidance=everything).Reload()
    logged = {event.step: event.value for event in events.Scalars("reconstruction_loss")}
    assert [event.step for event in events.Scalars("reconstruction_loss")] == list(range(1, 13))
    assert logged == pytest.approx({row["step"]: row["reconstruction_loss"] for row in history})
    assert set(events.Tags()["images"]) == {"condition", "G1", "target"}


WATCHED = """
import time
from posegen.report.watching import LivePlot
LivePlot.least_seconds = 0.2
plot = LivePlot("stage 1")
plot.least_times = 0
for step in range(1, 31):
    plot.logged(step, {"reconstruction_loss": 1 / step})
    time.sleep(0.05)
plot.close()
print(plot.drawings)
"""


def test_an_executed_notebook_holds_one_last_picture(tmp_path):
    import papermill

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WATCHED)])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        str(tmp_path / "in.ipynb"),
        str(tmp_path / "out.ipynb"),
        kernel_name="python3",
        progress_bar=False,
        cwd=str(ROOT),
        start_timeout=120,
        execution_timeout=120,
    )
    outputs = nbformat.read(tmp_path / "out.ipynb", 4).cells[0].outputs
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    (drawings,) = [int(output.text) for output in outputs if output.get("name") == "stdout"]
    assert len(pictures) == 1 and drawings >= 3
    assert not [output for output in outputs if output.get("name") == "stderr"]


def test_no_picture_outside_a_notebook(capsys):
    plot = LivePlot("stage 1")
    plot.logged(1, {"loss": 1.0})
    plot.close()
    assert capsys.readouterr().out == ""
