"""Memory of a training step: what posegen.training.memory expects against what a process really took.

    python benchmarks/memory.py                # the report's size, every stage: some ten minutes on 2 cores
    python benchmarks/memory.py --preset quick --stages stage1 triplet --set accumulation=2

Each stage runs two steps on random images in a process of its own on the CPU (Linux), with the code that
trains. Measured is the most memory that the process held, less what it held before the networks were built; a
step of the `test` preset comes first, so that the libraries are loaded by then."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from posegen.adversaries import ADVERSARIES, Supervised
from posegen.core import Config, preset
from posegen.data.batch import Batch, make_batch
from posegen.system.engine import Engine
from posegen.training.memory import training_memory
from posegen.training.stages import begin
from posegen.warping.generator import build_stage1

STAGES = ("stage1", *ADVERSARIES)
STEPS = 2  # from the second on, the optimisers have their states


def random_batches(config: Config) -> Iterator[Batch]:
    "Noise as images, a standing person as pose."
    shape = config.batch_size, config.size, config.size, 3
    while True:
        poses = [torch.rand(config.batch_size, 18, 3) * config.size for _ in range(2)]
        images = [torch.randint(0, 256, shape, dtype=torch.uint8).permute(0, 3, 1, 2) for _ in range(2)]
        raw = {"condition": images[0], "target": images[1]}
        raw |= {"condition_keypoints": poses[0], "target_keypoints": poses[1]}
        yield make_batch(raw, config.size, torch.device("cpu"))


def trainer(config: Config, stage: str) -> Callable[[Iterator[Batch]], object]:
    "A function that makes one training step, as posegen.training.stages sets it up."
    engine = Engine(config, torch.device("cpu"))
    game = Supervised(config) if stage == "stage1" else ADVERSARIES[stage](config)
    frozen = {} if stage == "stage1" else {"stage1": build_stage1(config).eval().requires_grad_(False)}
    return partial(game.play, begin(game, config, engine, **frozen))


def resident(line: str) -> int:
    "Bytes of this process in memory: now (`VmRSS`) or at most (`VmHWM`)."
    for text in Path("/proc/self/status").read_text().splitlines():
        if text.startswith(line):
            return int(text.split()[1]) * 1024
    raise SystemExit("This benchmark reads /proc/self/status, which only Linux has.")


def measure(config: Config, stage: str) -> dict[str, float]:
    "Bytes at the peak of STEPS steps above the start, and seconds of the last step."
    small = preset("test", precision=config.precision)
    trainer(small, stage)(random_batches(small))
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    step, batches = trainer(config, stage), random_batches(config)
    for _ in range(STEPS):
        began, cpu = time.perf_counter(), time.process_time()
        step(batches)
    return {
        "bytes": resident("VmHWM") - before,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
    }


def value(text: str) -> int | float | str:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields to change")
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--measure", choices=STAGES, help=argparse.SUPPRESS)  # in the process of its own
    arguments = parser.parse_args()
    changes = {name: value(text) for name, _, text in (one.partition("=") for one in arguments.set)}
    config = preset(arguments.preset, **changes)
    if arguments.measure:
        print(json.dumps(measure(config, arguments.measure)))
        return
    print(
        f"{arguments.preset} {changes or ''}: {config.size} px, width {config.width}, batch "
        f"{config.batch_size} in {config.accumulation} part(s)",
        flush=True,
    )
    for stage in arguments.stages:
        estimate = training_memory(config, stage)
        child = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--measure", stage],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found = json.loads(child.stdout.splitlines()[-1])
        print(
            f"  {stage:13} measured {found['bytes'] / 2**20:8.1f} MiB  estimate / measured "
            f"{estimate.total / found['bytes']:.2f}  ({estimate})  step {found['seconds']:.1f} s "
            f"({found['cpu_seconds']:.1f} CPU s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
