"""What a training step of the generator that copies costs, beside one of the report's G1: a ratio from one run.

    python benchmarks/warping_step.py [--preset quick] [--rounds 25] [--variants]

With `--variants` those of `posegen.report.variants`, beside the one that was kept.

Both train on a few rendered people, in turns, on one thread, from the reading of a batch to the optimiser's step; the
medians of processor time are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from posegen.adversaries import Supervised
from posegen.core import Config, preset, warping_changes
from posegen.data.prepare import prepare
from posegen.report.variants import VARIANTS, Lesson
from posegen.system.engine import Engine
from posegen.training.stages import begin, training_data


def trainer(config: Config, store: Path, game: Supervised | None = None) -> Callable[[], object]:
    "A function that makes one training step of stage 1."
    engine, game = Engine(config, torch.device("cpu")), game or Supervised(config)
    _, batches, _ = training_data(config, store, engine)
    pupil = begin(game, config, engine)
    return lambda: game.play(pupil, batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--variants", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = preset(options.preset, train_people=8, test_people=2)
    with tempfile.TemporaryDirectory() as folder:
        prepare("embedded", Path(folder) / "store.h5", config)
        store, copying = Path(folder) / "store.h5", config.replace(**warping_changes(config))
        steps = {}
        if options.variants:
            for name, variant in VARIANTS.items():
                changed = copying.replace(**variant.changes)
                steps[name] = trainer(changed, store, Lesson(changed, variant))
        else:
            steps["report's G1"] = trainer(config, store)
            steps["G1 that copies"] = trainer(copying, store)
            steps["the same without the contrast loss"] = trainer(copying.replace(contrast_weight=0.0), store)
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(options.rounds + 2):
            for name, step in steps.items():
                began = time.process_time()
                step()
                if number >= 2:  # the first ones also allocate
                    seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:36} {1000 * median:7.1f} ms  {median / next(iter(medians.values())):.2f}")


if __name__ == "__main__":
    main()
