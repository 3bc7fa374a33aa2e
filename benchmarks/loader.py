"""Examples a second, 256 pixels: the store against dense gzip HDF5 files in the report's layout, in turns.

    python benchmarks/loader.py [--rounds 5] [--batches 24]

A few people are rendered once (kept in the folder for temporary files). All contenders deliver the same float32
batches of 4 pairs in random order: images in [-1, 1], pose maps, mask. The dense files hold maps and masks as
numbers of 8 bytes, as the report's own code wrote them (20.3 MB a pair before compression), or as single bytes,
as `posegen.data.dense` writes them. Of these only what a training step needs is read: both images, the target's maps
and mask.
On a GPU also: batches on the device a second, and how long each waited for the loader.
"""

import argparse
import itertools
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from posegen.core import preset
from posegen.data import store as data
from posegen.data.batch import make_batch
from posegen.data.dense import write_dense
from posegen.data.examples import Example
from posegen.data.loading import TrainingBatches, choose_workers
from posegen.data.pairs import PairDataset, normalise
from posegen.data.store import Store, open_store
from posegen.data.writing import write_store
from posegen.people import render_people

SIZE, PEOPLE, VIEWS, COPIES = 256, 6, 7, 10
BATCH, DENSE_PAIRS, WORKERS = 4, 60, 2
CPU = torch.device("cpu")
CACHE = Path(tempfile.gettempdir()) / f"posegen-benchmark-{PEOPLE}-people.h5"


def examples(copies: int) -> Iterator[Example]:
    "Rendered people, each image also moved to the side: more images than HDF5 keeps at hand."
    for person in render_people(PEOPLE, VIEWS, SIZE, seed=0):
        for view, copy in itertools.product(range(VIEWS), range(copies)):
            yield Example(
                np.roll(person.images[view], 9 * copy, axis=1),
                person.keypoints[view],
                f"{person.index}/{view}/{copy}",
                "test" if person.index == PEOPLE - 1 else "train",
                person.index,
                person.index,
            )


def wide_copy(source: Path, target: Path) -> None:
    "A dense file with maps and masks as numbers of 8 bytes."
    with h5py.File(source) as narrow, h5py.File(target, "w") as wide:
        for pair, group in narrow.items():
            for name, dataset in group.items():
                values = dataset[:] if name.startswith("image") else dataset[:].astype(np.float64)
                wide.create_dataset(f"{pair}/{name}", data=values, compression="gzip")


class DensePairs(Dataset):
    "Pairs of a dense file, ready for the networks; each process opens the file for itself."

    def __init__(self, path: Path):
        self.path, self.file = path, None

    def __len__(self) -> int:
        return DENSE_PAIRS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        self.file = self.file or h5py.File(self.path)
        group = self.file[f"Data_{index}"]
        condition, target, pose, mask = (
            torch.from_numpy(group[name][:]).permute(2, 0, 1)
            for name in ("image_raw_0", "image_raw_1", "pose_r8_1", "pose_mask_r8_1")
        )
        return normalise(condition), normalise(target), pose.float() * 2 - 1, mask.float()


class Forever:
    "Random pair numbers without end."

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng(0).integers(0, DENSE_PAIRS, 10**6).tolist())


def dense_batches(path: Path, workers: int) -> Iterator:
    return iter(DataLoader(DensePairs(path), BATCH, sampler=Forever(), num_workers=workers))


def our_batches(store: Store, workers: int) -> TrainingBatches:
    return TrainingBatches(PairDataset(store), preset("paper"), CPU, workers)


def open_in(memory: bool) -> Store:
    data.IN_MEMORY_SHARE = 0.25 if memory else 0
    store = open_store(CACHE)
    assert store.in_memory == memory  # asked once
    return store


def cpu_seconds() -> float:
    "Of this process and of those that it started and that have ended."
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def seconds_per_example(start: Callable[[], Iterator], batches: int) -> tuple[float, float]:
    "Wall seconds once it runs, and CPU seconds with what was read ahead."
    cpu, loader = cpu_seconds(), start()
    for _ in range(1 + 2 * WORKERS):  # what is read ahead at first does not count
        next(loader)
    began = time.perf_counter()
    for _ in range(batches):
        next(loader)
    wall = time.perf_counter() - began
    del loader  # ends its processes, so that their CPU time is known
    return wall / batches / BATCH, (cpu_seconds() - cpu) / (batches + 1 + 2 * WORKERS) / BATCH


def spread(values: list[float]) -> str:
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def contest(wide: Path, narrow: Path, rounds: int, batches: int) -> None:
    file, memory = open_in(memory=False), open_in(memory=True)
    ours = {
        "store, 2 workers": lambda: our_batches(file, WORKERS),
        "store, plain loop": lambda: our_batches(file, 0),
        "store in memory, 2 workers": lambda: our_batches(memory, WORKERS),
        "store in memory, plain loop": lambda: our_batches(memory, 0),
    }
    theirs = {
        "dense of 8-byte numbers, 2 workers": lambda: dense_batches(wide, WORKERS),
        "dense of 8-byte numbers, plain loop": lambda: dense_batches(wide, 0),
        "dense of bytes, 2 workers": lambda: dense_batches(narrow, WORKERS),
        "dense of bytes, plain loop": lambda: dense_batches(narrow, 0),
    }
    contenders = ours | theirs
    wall, cpu = ({name: [] for name in contenders} for _ in range(2))
    for _ in range(rounds):
        for name, start in contenders.items():
            seconds = seconds_per_example(start, batches)
            for table, value in zip((wall, cpu), seconds):
                table[name].append(value)
    print(f"\n{'':35} | examples/s         | CPU ms an example")
    for name in contenders:
        print(
            f"{name:35} | {spread([1 / value for value in wall[name]]):18} | "
            f"{spread([1000 * value for value in cpu[name]])}"
        )
    print(f"\n{'times faster than':35} | {' | '.join(f'{name:26}' for name in ours)}")
    for other in theirs:
        ratios = [spread(list(np.array(wall[other]) / wall[name])) for name in ours]
        print(f"{other:35} | {' | '.join(f'{ratio:26}' for ratio in ratios)}")


def parts(store: Store, repeats: int = 20) -> None:
    "Where the time of a batch goes on a CPU."
    dataset = PairDataset(store)
    rows = np.random.default_rng(0).integers(0, len(dataset), (repeats, BATCH))
    raw = dataset.batch(rows[0])
    jobs = {
        "reading": lambda row: dataset.batch(row),
        "normalising and drawing maps and mask": lambda row: make_batch(raw, SIZE, CPU),
    }
    for name, job in jobs.items():
        began = time.process_time()
        for row in rows:
            job(row)
        print(f"{name}: {1000 * (time.process_time() - began) / repeats / BATCH:.2f} CPU ms an example")


def on_gpu(store: Store, batches: int = 200) -> None:
    device = torch.device("cuda")
    for size in (4, 16):
        config = preset("paper", batch_size=size)
        chosen = choose_workers(PairDataset(store), size, device)
        for workers in (0, chosen):
            loader = TrainingBatches(PairDataset(store), config, device, workers)
            next(loader)
            torch.cuda.synchronize()
            began, waited = time.perf_counter(), loader.waited
            for _ in range(batches):
                next(loader)
            torch.cuda.synchronize()
            seconds = (time.perf_counter() - began) / batches
            print(
                f"batch {size}, {workers} workers: {1 / seconds:.0f} batches/s on the device, "
                f"{1000 * seconds:.2f} ms each, of which {1000 * (loader.waited - waited) / batches:.2f} ms "
                "waiting for the loader"
            )
            loader.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=24, help="of 4 examples, a contender and round")
    words = parser.parse_args()
    torch.set_num_threads(1)
    if not CACHE.exists():
        write_store(CACHE, examples(COPIES), SIZE, "embedded people")
    store = open_store(CACHE)
    with tempfile.TemporaryDirectory() as name:
        narrow, wide = Path(name) / "pairs.h5", Path(name) / "wide.h5"
        write_dense(store, name, limit=DENSE_PAIRS)
        wide_copy(narrow, wide)
        image = CACHE.stat().st_size / len(store)
        pairs = (VIEWS - 1) * 2  # training pairs an image, mirrored ones too
        print(
            f"bytes a pair: store {image / pairs + 12:,.0f} ({image:,.0f} an image, {pairs} pairs an image), "
            f"dense of 8-byte numbers {wide.stat().st_size / DENSE_PAIRS:,.0f}, "
            f"of bytes {narrow.stat().st_size / DENSE_PAIRS:,.0f}"
        )
        parts(store)
        contest(wide, narrow, words.rounds, words.batches)
    if torch.cuda.is_available():
        on_gpu(store)


if __name__ == "__main__":
    main()
