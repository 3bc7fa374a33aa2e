"""Train the model of the room `variational` and put it among the weights that come with the package, in half precision.

    python scripts/save_variational.py runs/quick/prepare/store.h5 runs/variational

STORE is what `posegen reproduce --preset quick` (or `posegen prepare`) makes; FOLDER keeps the training, which a second
call goes on with. The same store gives the same weights on the same machine. The numbers beside them, on held-out
people, go into the side file.
"""

import argparse
import sys
from pathlib import Path

import torch

from posegen.core import UserError, preset
from posegen.data.store import open_store
from posegen.runs.seeds import apart_changes
from posegen.variational.judging import judge
from posegen.variational.learning import EMBEDDED, KIND, keep_small, train_model
from posegen.variational.model import Settings

STEPS = 1500
LARGEST_MB = 2.0  # of what comes with the package


def save(store: Path, folder: Path, steps: int = STEPS, kept: Path = EMBEDDED) -> str:
    "Train for so many steps in `folder` and write the result to `kept`; returns what to tell the user."
    data = open_store(store)
    changes = dict(
        size=data.size, stage1_steps=steps, warmup_steps=min(300, steps // 8), checkpoint_every=200
    )
    config = preset("quick", **{**apart_changes(preset("quick")), **changes, "ema_decay": 0.995})
    model = train_model(config, Settings(), data, folder, torch.device("cpu"))
    size = sum(
        2 * weight.numel() if weight.is_floating_point() else weight.numel()
        for weight in model.state_dict().values()
    )
    if size > LARGEST_MB * 1e6:
        raise UserError(
            f"The model takes {size / 1e6:.1f} MB, more than the {LARGEST_MB:g} MB that go with the package."
        )
    told = {name: round(value, 4) for name, value in judge(model, data, 200).to_dict().items()}
    keep_small(folder, kept, measured=told)
    return f"{kept / KIND}.safetensors, {size / 1e6:.2f} MB, {steps} steps"


def main() -> int:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    try:
        print(save(arguments.store, arguments.folder, arguments.steps))
    except UserError as error:
        print(f"save_variational: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
