"""Train on the CPU as one of several processes; the tests start it with torchrun.

    train_in_processes.py FOLDER OUT NAME [FIELD=VALUE ...]

FOLDER holds store.h5 and, for an adversary NAME, stage1/. Each process also writes OUT/critic-RANK.json, the largest
weight of the critic after each clipping."""

import json
import sys
from pathlib import Path

import torch

from posegen import adversaries
from posegen.core import preset
from posegen.system.engine import Engine
from posegen.training.stages import train_stage1, train_stage2

folder, out, name, *changes = sys.argv[1:]
config = preset(
    "test", **{field: json.loads(value) for field, value in (change.split("=", 1) for change in changes)}
)
largest, clip = [], adversaries.clip_weights


def clip_and_look(module: torch.nn.Module, c: float) -> None:
    clip(module, c)
    largest.append(max(parameter.abs().max().item() for parameter in module.parameters()))


adversaries.clip_weights = clip_and_look
torch.set_num_threads(1)
if name == "stage1":
    train_stage1(config, Path(folder) / "store.h5", out, torch.device("cpu"))
else:
    train_stage2(config, name, Path(folder) / "store.h5", Path(folder) / "stage1", out, torch.device("cpu"))
Path(out, f"critic-{Engine().rank}.json").write_text(json.dumps(largest))
