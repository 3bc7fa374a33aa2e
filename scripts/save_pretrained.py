"""Put the generators of a finished run among the weights that come with the package, in half precision.

    python scripts/save_pretrained.py runs/gpu embedded256

RUN is the folder of runs of `posegen reproduce`. Of several stages 2, the one that `posegen transfer` would take is
taken. Afterwards `PoseTransfer.from_pretrained(NAME)` and `posegen transfer --model NAME` find them. The same weights
give the same files.
"""

import argparse
import sys
from pathlib import Path

from posegen.core import UserError
from posegen.data.store import open_store
from posegen.photos.framing import measure_framing
from posegen.training.pretrained import PRETRAINED, find_weights, save_pretrained
from posegen.transfer import PoseTransfer

LARGEST_MB = 20.0  # of what comes with the package under one name


def save(run: Path, name: str, pretrained: Path = PRETRAINED) -> str:
    """Write the weights of `run` to `pretrained`/`name`; returns what to tell the user.

    Raises `UserError` for a run without a stage 1, stage 2 and store, and for weights that are too large."""
    stage1, stage2, store = find_weights(run)
    if stage2 is None or store is None:
        lacking = "stage 2" if stage2 is None else "store"
        raise UserError(
            f"{run} is not finished: it has no {lacking} yet; run the same posegen reproduce again."
        )
    whole = [stage1 / "stage1.safetensors", stage2 / "stage2.safetensors"]
    size = sum(path.stat().st_size for path in whole) / 2e6  # trained in 32 bits, kept in 16
    if size > LARGEST_MB:
        raise UserError(
            f"The generators of {run} take {size:.1f} MB in half precision, more than the {LARGEST_MB:g} "
            "MB that go with the package: train narrower ones (--set width=…)."
        )
    data = open_store(store)
    framing = measure_framing(data.keypoints[data.split == 0], data.size)
    save_pretrained(stage1, stage2, pretrained / name, framing, source=data.source)
    PoseTransfer.from_pretrained(pretrained / name)  # can they be read?
    return f"{stage1.name} and {stage2.name} of {run}, {size:.1f} MB: {pretrained / name}"


def main() -> int:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("name", metavar="NAME")
    arguments = parser.parse_args()
    try:
        print(save(arguments.run, arguments.name))
    except UserError as error:
        print(f"save_pretrained: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
