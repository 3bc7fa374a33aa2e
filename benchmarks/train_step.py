"""Training steps: as `posegen.training.stages` takes them, against plain eager float32 steps with a dense loader.

    python benchmarks/train_step.py                                          # preset quick; about 6 minutes on a CPU
    python benchmarks/train_step.py --size paper --rows G1 --profile g1.txt   # on a GPU, one row at a time

The plain step is what one writes at first: the report's networks as they are told, upsampling and concatenation done
literally, contiguous tensors, torch's optimisers as they come, batches read pair by pair from a gzipped HDF5 file in
the report's layout: with maps and masks as numbers of 8 bytes, as the report's own code wrote them, and as single
bytes, as `posegen.data.dense` does. Both contenders live in processes of their own, measured in turns: with their
loaders, and with batches that are in memory already ("bare"). A ratio says how many times faster ours is: the median
over the rounds, and from the least to the largest. Ablation: what channels-last does for the plain bare step, and
what each other measure then does by itself (most of them depend on the layout). On a CPU each process has one
thread, and ratios of CPU time are given too, which other work on the machine disturbs less. On a GPU the plain step
multiplies in TensorFloat-32, torch's default for convolutions, unless `--exact-float32` is given.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from posegen import networks
from posegen.core import Config, UserError, as_dict, best_device, preset, seed_everything
from posegen.data.batch import Batch
from posegen.data.dense import write_dense
from posegen.data.examples import Example
from posegen.data.store import open_store
from posegen.data.writing import write_store
from posegen.losses import (
    critic_generator_loss,
    critic_loss,
    discriminator_loss,
    generator_loss,
    pose_mask_loss,
)
from posegen.networks import Discriminator
from posegen.people import render_people
from posegen.system.engine import keep_freed_memory
from posegen.training import stages as training
from posegen.training.weights import save_weights

ROWS = ("G1", "pair", "triplet", "wgan_triplet")
PEOPLE, VIEWS, DENSE_PAIRS, WARM_UP = 6, 7, 60, 2
# what can be switched on in the plain step; all but the first are tried on top of the first
MEASURES = {
    "channels_last": "channels-last weights and batches",
    "in_place": "ReLU and residual sums in place",
    "low_resolution": "upsampling + convolution at the low resolution",
    "fused": "fused Adam, foreach RMSProp",
    "kept_memory": "freed memory kept by the process (glibc)",
    "together": "images of all critic steps in one pass, memory kept",
    "image_gradient": "no gradient of D's weights in the generator's step",
    "bfloat16": "bfloat16 autocast",
    "compiled": "torch.compile of each network",
}
Step = Callable[[Iterator[Batch]], object]


# ---- the plain networks, as the report tells them


def plain_convolution(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=norm == "none")]
    if norm == "group":
        layers.append(nn.GroupNorm(networks._groups(outputs), outputs))
    return nn.Sequential(*layers, nn.ReLU())


class PlainBlock(nn.Module):
    def __init__(self, inputs: int, middle: int, outputs: int, norm: str):
        super().__init__()
        self.convolutions = nn.Sequential(
            plain_convolution(inputs, middle, norm), plain_convolution(middle, outputs, norm)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.convolutions(x)


class PlainGenerator(nn.Module):
    "G1 (21 input channels, fully connected layer in the middle) or G2 (6, none)."

    def __init__(self, config: Config, inputs: int):
        super().__init__()
        widths = [config.width * i for i in range(1, config.blocks + 1)]
        self.down = nn.ModuleList(PlainBlock(a, b, b, config.norm) for a, b in zip([inputs, *widths], widths))
        self.bottom = (widths[-1], config.size // 2**config.blocks, config.size // 2**config.blocks)
        units = int(np.prod(self.bottom))
        self.code = None
        if inputs == 21:
            self.code = nn.Sequential(
                nn.Linear(units, config.bottleneck), nn.Linear(config.bottleneck, units)
            )
        outgoing = [widths[0], *widths[:-1]]
        incoming = [*outgoing[1:], widths[-1]]
        self.up = nn.ModuleList(
            PlainBlock(a + skip, skip, b, config.norm)
            for a, skip, b in reversed(list(zip(incoming, widths, outgoing)))
        )
        self.image = nn.Conv2d(widths[0], 3, 3, padding=1)
        self.halving, self.doubling = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = self.halving(skips[-1])
        if self.code:
            x = self.code(x.flatten(1)).view(-1, *self.bottom)
        for block, skip in zip(self.up, reversed(skips)):
            x = block(torch.cat([self.doubling(x), skip], 1))
        return self.image(x)


def make_generator(config: Config, inputs: int, on: frozenset[str]) -> nn.Module:
    "The plain generator, or ours for the measures that are in it, with the same weights."
    plain = PlainGenerator(config, inputs)
    if not on & {"in_place", "low_resolution"}:
        return plain
    ours = (networks.Stage1Generator if inputs == 21 else networks.Stage2Generator)(config)
    if "low_resolution" not in on:
        networks.LOW_RESOLUTION_FROM = sys.maxsize
    if "in_place" not in on:
        for module in ours.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
    copy_weights(plain, ours)
    return ours


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    with torch.no_grad():
        for a, b in zip(source.parameters(), target.parameters(), strict=True):
            b.copy_(a)


# ---- the plain steps


@dataclass
class PlainSteps:
    "The plain step of a row; `on` are the measures that are switched on."

    row: str
    config: Config
    device: torch.device
    on: frozenset[str] = frozenset()

    def __post_init__(self):
        seed_everything(0)
        config = self.config
        self.stage1 = self._prepare(make_generator(config, 21, self.on))
        if self.row == "G1":
            self.optimizer = self._optimizer(self.stage1, config.stage1_learning_rate)
            return
        self.weight = getattr(config, f"{self.row}_reconstruction_weight")
        self.stage1.requires_grad_(False)
        self.stage2 = self._prepare(make_generator(config, 6, self.on))
        self.judge = self._prepare(Discriminator(config, 6 if self.row == "pair" else 3))
        self.optimizer = self._optimizer(self.stage2, config.generator_learning_rate)
        self.judge_optimizer = self._optimizer(self.judge, config.discriminator_learning_rate)

    def _prepare(self, module: nn.Module) -> nn.Module:
        layout = torch.channels_last if "channels_last" in self.on else torch.contiguous_format
        module = module.to(self.device, memory_format=layout)
        if "compiled" in self.on:
            module.compile()
        return module

    def _optimizer(self, module: nn.Module, rate: float) -> torch.optim.Optimizer:
        faster = {"foreach" if self.row == "wgan_triplet" else "fused": True} if "fused" in self.on else {}
        if self.row == "wgan_triplet":
            return torch.optim.RMSprop(module.parameters(), lr=rate, **faster)
        betas = self.config.adam_beta1, self.config.adam_beta2
        return torch.optim.Adam(module.parameters(), lr=rate, betas=betas, **faster)

    def _run(self, module: nn.Module, inputs: Tensor) -> Tensor:
        if "bfloat16" not in self.on:
            return module(inputs)
        with torch.autocast(self.device.type, torch.bfloat16):
            return module(inputs).float()

    def __call__(self, batches: Iterator[Batch]) -> None:
        if self.row == "G1":
            batch = next(batches)
            self.optimizer.zero_grad()
            image = self._run(self.stage1, torch.cat([batch.condition, batch.pose], 1))
            pose_mask_loss(image, batch.target, batch.mask, self.config.mask_weight).backward()
            self.optimizer.step()
        elif self.row == "wgan_triplet":
            self._wasserstein_round(batches)
        else:
            batch = next(batches)
            image = self._generate(batch)
            self._judge_step(batch, image.detach())
            self._generator_step(batch, image)

    def _wasserstein_round(self, batches: Iterator[Batch]) -> None:
        for batch, image in self._critic_images(batches):
            self._judge_step(batch, image)
            for parameter in self.judge.parameters():
                parameter.data.clamp_(-self.config.clip, self.config.clip)
        batch = next(batches)
        self._generator_step(batch, self._generate(batch))

    @torch.no_grad()
    def _critic_images(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, Tensor]]:
        fresh = itertools.islice(batches, self.config.n_critic)
        if "together" not in self.on:
            return [(batch, self._generate(batch)) for batch in fresh]
        fresh = list(fresh)
        return list(zip(fresh, self._generate(Batch.join(fresh)).split(self.config.batch_size)))

    def _generate(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            coarse = self._run(self.stage1, torch.cat([batch.condition, batch.pose], 1))
        return coarse + self._run(self.stage2, torch.cat([batch.condition, coarse], 1))

    def _logits(self, batch: Batch, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        "Of the generated images, of all negatives, of the positives."
        if self.row == "pair":
            shown = [torch.cat([batch.condition, image], 1), torch.cat([batch.condition, batch.target], 1)]
            fake, real = self._run(self.judge, torch.cat(shown)).chunk(2)
            return fake, fake, real
        condition, fake, real = self._run(
            self.judge, torch.cat([batch.condition, image, batch.target])
        ).chunk(3)
        return fake, torch.cat([condition, fake]), real

    def _judge_step(self, batch: Batch, image: Tensor) -> None:
        _, negatives, positives = self._logits(batch, image)
        self.judge_optimizer.zero_grad()
        loss = critic_loss if self.row == "wgan_triplet" else discriminator_loss
        loss(negatives, positives).backward()
        self.judge_optimizer.step()

    def _generator_step(self, batch: Batch, image: Tensor) -> None:
        if "image_gradient" in self.on:
            self.judge.requires_grad_(False)
        self.optimizer.zero_grad()
        fake, *_ = self._logits(batch, image)
        adversarial = (critic_generator_loss if self.row == "wgan_triplet" else generator_loss)(fake)
        loss = pose_mask_loss(image, batch.target, batch.mask, self.config.mask_weight)
        (adversarial + self.weight * loss).backward()
        self.optimizer.step()
        self.judge.requires_grad_(True)


def dense_batches(path: Path, config: Config, device: torch.device) -> Iterator[Batch]:
    "Random batches from a file in the report's layout, pair by pair."
    random = np.random.default_rng(0)
    with h5py.File(path) as file:
        while True:
            parts = []
            for index in random.integers(0, len(file), config.batch_size):
                group = file[f"Data_{index}"]
                condition, target, pose, mask = (
                    torch.from_numpy(group[name][:]).permute(2, 0, 1).float()
                    for name in ("image_raw_0", "image_raw_1", "pose_r8_1", "pose_mask_r8_1")
                )
                parts.append(((condition - 127.5) / 127.5, (target - 127.5) / 127.5, pose * 2 - 1, mask))
            yield Batch(*(torch.stack(part).contiguous().to(device) for part in zip(*parts)))


def plain(
    row: str, config: Config, folder: Path, on: frozenset[str]
) -> tuple[Step, dict[str, Iterator[Batch]]]:
    "The plain step, and its batches from the dense files and from memory."
    device = best_device()
    wide, narrow = (
        dense_batches(folder / "dense" / name, config, device) for name in ("wide.h5", "pairs.h5")
    )
    kept = list(itertools.islice(narrow, config.n_critic + 1))
    if "channels_last" in on:
        kept = [
            Batch(
                *(
                    tensor.contiguous(memory_format=torch.channels_last)
                    for tensor in (batch.condition, batch.target, batch.pose, batch.mask)
                )
            )
            for batch in kept
        ]
    if on & {"kept_memory", "together"} and device.type == "cpu":
        keep_freed_memory()
    return PlainSteps(row, config, device, on), {
        "wide": wide,
        "loader": narrow,
        "memory": itertools.cycle(kept),
    }


# ---- our steps


class Caught(Exception):
    "Carries the step function and the batches of a training run."


class Catcher(training.TrainingRun):
    "Hands out the step that would now be repeated."

    def complete(self) -> None:
        raise Caught(self.play, self.state.batches)


def ours(row: str, config: Config, folder: Path) -> tuple[Step, dict[str, Iterator[Batch]]]:
    "The step that `posegen.training.stages` takes, and its batches from the store and from memory."
    training.TrainingRun = Catcher
    seed_everything(0)
    store, out = open_store(folder / "store.h5"), Path(tempfile.mkdtemp(dir=folder))
    try:
        if row == "G1":
            training.train_stage1(config, store, out)
        else:
            save_weights(networks.Stage1Generator(config), out, "stage1", config)
            training.train_stage2(config, row, store, out, out)
    except Caught as caught:
        step, batches = caught.args
    kept = list(itertools.islice(batches, config.n_critic + 1))
    return step, {
        "loader": batches,
        "memory": (replace(batch, coarse=None) for batch in itertools.cycle(kept)),
    }


# ---- contenders in their processes


@dataclass
class Seconds:
    "What one step took on average."

    wall: float
    cpu: float
    waited: float  # for the loader; known of ours only


class Contender:
    "A step in a process of its own, which waits while others are measured."

    def __init__(
        self,
        name: str,
        row: str,
        config: Config,
        folder: Path,
        options: argparse.Namespace,
        on: frozenset[str] = frozenset(),
    ):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = theirs, name, row, config, folder, options, on
        self.process = context.Process(target=serve, args=arguments, daemon=name != "ours")
        self.process.start()
        theirs.close()
        self.ready = self.ask("seconds until ready")

    def ask(self, what: str, number: int | Path = 0) -> Seconds | float:
        try:
            self.connection.send((what, number))
            return self.connection.recv()
        except (EOFError, BrokenPipeError):
            raise SystemExit("A contender's process ended: its error is above.") from None

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(("end", 0))
        self.process.join()


def serve(
    connection: Connection,
    name: str,
    row: str,
    config: Config,
    folder: Path,
    options: argparse.Namespace,
    on: frozenset[str],
) -> None:
    "Build a step, warm it up and answer questions."
    torch.set_num_threads(options.threads)
    if options.exact_float32 and name == "plain":
        torch.backends.cudnn.allow_tf32 = False
    began = time.perf_counter()
    step, sources = ours(row, config, folder) if name == "ours" else plain(row, config, folder, on)
    for source in sources.values():
        for _ in range(WARM_UP):
            step(source)
    synchronize()
    ready = time.perf_counter() - began
    while True:
        try:
            what, number = connection.recv()
        except EOFError:  # the asking process is gone
            return
        if what == "end":
            return
        if what == "seconds until ready":
            connection.send(ready)
        elif what == "profile":
            connection.send(profile(step, sources["loader"], number, row))
        else:
            connection.send(measure(step, sources[what], number))


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(step: Step, batches: Iterator[Batch], steps: int) -> Seconds:
    synchronize()
    waited = getattr(batches, "waited", 0.0)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step(batches)
    synchronize()
    spent = time.perf_counter() - wall, time.process_time() - cpu, getattr(batches, "waited", 0.0) - waited
    return Seconds(*(seconds / steps for seconds in spent))


def profile(step: Step, batches: Iterator[Batch], path: Path, row: str) -> float:
    "Append what three steps spent their time on, longest first; returns 0."
    kinds = [torch.profiler.ProfilerActivity.CPU]
    order = "self_cpu_time_total"
    if torch.cuda.is_available():
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
        order = "self_device_time_total"
    with torch.profiler.profile(activities=kinds) as profiler:
        for _ in range(3):
            step(batches)
        synchronize()
    with open(path, "a") as file:
        table = profiler.key_averages().table(sort_by=order, row_limit=30, max_name_column_width=90)
        file.write(f"{row}, three steps with the loader\n{table}\n")
    return 0.0


def in_turns(
    contenders: dict[str, tuple[Contender, str]], rounds: int, steps: int
) -> dict[str, list[Seconds]]:
    "Measure each contender (with its kind of batches) once a round."
    measured: dict[str, list[Seconds]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (contender, source) in contenders.items():
            measured[name].append(contender.ask(source, steps))
    return measured


def ratio(slow: list[Seconds], fast: list[Seconds], clock: str) -> str:
    ratios = [getattr(a, clock) / getattr(b, clock) for a, b in zip(slow, fast)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


# ---- what is counted


def operations(row: str, config: Config, on: frozenset[str]) -> int:
    "Floating-point operations of a step, 2 a multiply-add, counted on the meta device."
    meta = torch.device("meta")
    step, n, size = (
        PlainSteps(row, config.replace(precision="float32"), meta, on),
        config.batch_size,
        config.size,
    )
    batch = Batch(*(torch.empty(n, channels, size, size, device=meta) for channels in (3, 3, 18, 1)))
    with FlopCounterMode(display=False) as counter:
        step(itertools.repeat(batch))
    return counter.get_total_flops()


def matrix_rate() -> float:
    "Operations a second of the GPU in large bfloat16 matrix products."
    n, repeats = 8192, 50
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        a @ b
    synchronize()
    return 2 * n**3 * repeats / (time.perf_counter() - began)


# ---- the tables


def check_equal(config: Config) -> None:
    "Both contenders' generators compute the same."
    seed_everything(0)
    small = config.replace(width=4)
    for channels, build in ((21, networks.Stage1Generator), (6, networks.Stage2Generator)):
        plain, ours = PlainGenerator(small, channels).double(), build(small).double()
        copy_weights(plain, ours)
        images = torch.rand(1, channels, config.size, config.size, dtype=torch.float64) * 2 - 1
        with torch.no_grad():
            difference = (plain(images) - ours(images)).abs().max().item()
        assert difference < 1e-10, f"the generators differ by {difference}"


def prepare(config: Config, folder: Path) -> None:
    "A few rendered people as a store and in the report's layout."

    def examples() -> Iterator[Example]:
        for person in render_people(PEOPLE, VIEWS, config.size, seed=0):
            split = "test" if person.index == PEOPLE - 1 else "train"
            for view in range(VIEWS):
                yield Example(
                    person.images[view],
                    person.keypoints[view],
                    f"{person.index}/{view}",
                    split,
                    person.index,
                    person.index,
                )

    write_store(folder / "store.h5", examples(), config.size, "rendered people")
    write_dense(open_store(folder / "store.h5"), folder / "dense", limit=DENSE_PAIRS)
    with (
        h5py.File(folder / "dense" / "pairs.h5") as narrow,
        h5py.File(folder / "dense" / "wide.h5", "w") as wide,
    ):
        for pair, group in narrow.items():
            for name, dataset in group.items():
                values = dataset[:] if name.startswith("image") else dataset[:].astype(np.float64)
                wide.create_dataset(f"{pair}/{name}", data=values, compression="gzip")


def compare(row: str, config: Config, folder: Path, options: argparse.Namespace, rate: float | None) -> None:
    "Ours against the plain step, with loaders and bare."
    with (
        Contender("plain", row, config, folder, options) as slow,
        Contender("ours", row, config, folder, options) as fast,
    ):
        turns = {
            "plain wide": (slow, "wide"),
            "plain loader": (slow, "loader"),
            "ours loader": (fast, "loader"),
            "plain memory": (slow, "memory"),
            "ours memory": (fast, "memory"),
        }
        seconds = in_turns(turns, options.rounds, options.steps)
        if options.profile:
            fast.ask("profile", options.profile)
    clocks = ["wall"] if rate else ["cpu", "wall"]
    print(f"{row}: times faster than the plain step", flush=True)
    for a, b, words in (
        ("plain wide", "ours loader", "dense file of 8-byte numbers"),
        ("plain loader", "ours loader", "dense file of bytes"),
        ("plain memory", "ours memory", "bare"),
    ):
        ratios = ", ".join(f"{clock} time {ratio(seconds[a], seconds[b], clock)}" for clock in clocks)
        times = " and ".join(
            f"{statistics.median(s.wall for s in seconds[name]) * 1e3:.1f}" for name in (a, b)
        )
        print(f"  {words:28}  {ratios};  {times} ms a step")
    done = operations(row, config, frozenset({"low_resolution", "image_gradient"}))
    bare = statistics.median(s.wall for s in seconds["ours memory"])
    loaded = seconds["ours loader"]
    share = f", {done / bare / rate:.1%} of the measured bfloat16 matrix rate" if rate else ""
    print(
        f"  operations: {operations(row, config, frozenset()) / 1e9:.1f} GFLOP plain, {done / 1e9:.1f} ours, at "
        f"{done / bare / 1e12:.3g} TFLOP/s{share}"
    )
    waiting = statistics.median(s.waited / s.wall for s in loaded)
    print(
        f"  ours waits for its loader {waiting:.2%} of the step; ready after {fast.ready:.0f} s", flush=True
    )


def ablation(row: str, config: Config, folder: Path, options: argparse.Namespace) -> None:
    "What each measure does for the plain bare step."
    unfit = {"kept_memory"} if torch.cuda.is_available() or not sys.platform.startswith("linux") else set()
    if row != "wgan_triplet":
        unfit.add("together")
    if row == "G1":
        unfit.add("image_gradient")
    names = [name for name in options.ablation if name not in unfit]
    if "channels_last" in names:
        print(f"{row}: the plain bare step gets faster by", flush=True)
        try_alone(row, config, folder, options, ["channels_last"], frozenset())
    print(f"{row}: with channels-last, it gets faster by", flush=True)
    try_alone(
        row,
        config,
        folder,
        options,
        [name for name in names if name != "channels_last"],
        frozenset({"channels_last"}),
    )


def try_alone(
    row: str,
    config: Config,
    folder: Path,
    options: argparse.Namespace,
    names: list[str],
    before: frozenset[str],
) -> None:
    "Each of these measures, added to those before."
    with Contender("plain", row, config, folder, options, before) as slow:
        for name in names:
            with Contender("plain", row, config, folder, options, before | {name}) as fast:
                seconds = in_turns(
                    {"slow": (slow, "memory"), "fast": (fast, "memory")}, options.rounds, options.steps
                )
            clocks = ("wall",) if torch.cuda.is_available() else ("cpu", "wall")
            ratios = ", ".join(
                f"{clock} time {ratio(seconds['slow'], seconds['fast'], clock)}" for clock in clocks
            )
            print(f"  {MEASURES[name]:55} {ratios}", flush=True)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--size", default="quick", choices=("quick", "gpu", "paper"), help="preset of the networks"
    )
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--steps", type=int, default=4, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument(
        "--override", type=as_dict, default={}, help='JSON of other fields, such as {"width": 8}'
    )
    usual = [name for name in MEASURES if name != "compiled" or torch.cuda.is_available()]
    parser.add_argument(
        "--ablation",
        nargs="*",
        default=usual,
        choices=tuple(MEASURES),
        help="measures to try alone; none: leave that out (compiled takes a minute each on a CPU)",
    )
    parser.add_argument(
        "--exact-float32", action="store_true", help="no TensorFloat-32 in the plain step (GPU)"
    )
    parser.add_argument("--profile", type=Path, help="file for a profile of our steps")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    torch.set_num_threads(options.threads)
    config = preset(options.size, **options.override)
    rate = None
    if torch.cuda.is_available():
        rate = matrix_rate()
        print(f"{torch.cuda.get_device_name()}: {rate / 1e12:.0f} TFLOP/s in bfloat16 matrix products")
    if options.profile:
        options.profile.unlink(missing_ok=True)
    print(
        f"{options.size}: {config.size} px, width {config.width}, batch {config.batch_size}, n_critic "
        f"{config.n_critic}; {options.rounds} rounds of {options.steps} steps",
        flush=True,
    )
    check_equal(config)
    with tempfile.TemporaryDirectory() as name:
        prepare(config, Path(name))
        for row in options.rows:
            compare(row, config, Path(name), options, rate)
        for row in options.rows if options.ablation else ():
            ablation(row, config, Path(name), options)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
