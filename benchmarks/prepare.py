"""Preparing data: do kills change the store, what does it take in time, memory and disk, does compression pay.

    python benchmarks/prepare.py [--images 2000] [--kills 10] [--sizes 500,2000,8000] [PART …]

PART is one or more of `kills`, `scale`, `filters`, `dense` (default: all). The photographs of `scale` and `filters`
are real ones where POSEGEN_SHARED (or ../shared/data) has them, else drawn people, much easier to compress.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import trees  # noqa: E402

from posegen.data.dense import write_dense
from posegen.data.store import open_store

SHARED = Path(os.environ.get("POSEGEN_SHARED", ROOT.parent / "shared" / "data"))
PREPARE = """
import sys
from posegen.core import preset
from posegen.data.prepare import prepare
prepare(sys.argv[1], sys.argv[2], preset("paper"), workers=int(sys.argv[3]) or None)
"""
REPORT_PAIR, REPORT_IMAGES, REPORT_PAIRS, ALL_IMAGES = 394_000, 32_031, 127_022, 52_712


def start(source: Path, out: Path, workers: int = 0) -> subprocess.Popen:
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, source, out, str(workers)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )


def content(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_to_the_end(source: Path, out: Path, workers: int = 0) -> float:
    began = time.monotonic()
    if start(source, out, workers).wait():
        raise SystemExit(f"{source} could not be prepared")
    return time.monotonic() - began


# Kills


def kills(folder: Path, images: int, times: int) -> None:
    print(
        f"\n{images} images of 256 pixels in each layout, {times} times SIGKILL at a random moment",
        flush=True,
    )
    print(
        "layout         | stored | pairs     | s undisturbed | kills at s | blocks kept | same bits",
        flush=True,
    )
    for layout in (*trees.LAYOUTS, "dense"):
        source = folder / layout
        if layout == "dense":
            store = open_store(folder / "in-shop.h5")
            for split, pairs in (("train", images // 2), ("test", images // 8)):
                write_dense(store, source / split, split, pairs)
        else:
            trees.build_tree(layout, source, images)
        once, out = folder / f"{layout}.h5", folder / "killed" / f"{layout}.h5"
        seconds = run_to_the_end(source, once)
        moments, kept = killed(source, out, seconds, times)
        run_to_the_end(source, out)
        store = open_store(out)
        same = content(once) == content(out)
        leftovers = [path.name for path in out.parent.iterdir() if path.name.startswith(".")]
        print(
            f"{layout:14} | {len(store):6,} | {len(store.pairs):9,} | {seconds:13.1f} | "
            f"{' '.join(f'{moment:.1f}' for moment in moments)} | {' '.join(map(str, kept))} | "
            f"{'yes' if same and not leftovers else 'NO'}",
            flush=True,
        )


def killed(source: Path, out: Path, seconds: float, times: int) -> tuple[list[float], list[int]]:
    "Kill at moments spread evenly over a run; when it ends before, begin anew. Moments, and blocks kept then."
    random.seed(str(source.name))
    moments, kept = [], []
    parts = out.with_name(f".{out.name}.parts")
    while len(moments) < times:
        process, moment = start(source, out), random.uniform(0, seconds)
        try:
            process.wait(moment)
            out.unlink()
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(moment)
            kept.append(len(list(parts.glob("*.npz"))))
    return moments, kept


# Time, memory and disk


def photographs(folder: Path) -> list[Path]:
    "Some photographs of 256 pixels."
    real = sorted((SHARED / "deepfashion_images").rglob("*.jpg")) if SHARED.is_dir() else []
    kept = [path for path in real if Image.open(path).size == (256, 256)]
    if kept:
        return kept
    trees.build_tree("folder", folder / "drawn", 20)
    return sorted((folder / "drawn").glob("*.jpg"))


def scale(folder: Path, sizes: list[int]) -> None:
    photos = photographs(folder)
    kind = "real photographs" if SHARED.is_dir() else "drawn people"
    print(f"\nin-shop layout, {kind} of 256 pixels, {os.cpu_count()} cores", flush=True)
    print(
        "images | stored | s | images/s | MB parent | MB a worker | MB of files, at most | MB store | bytes a pair",
        flush=True,
    )
    for n in sizes:
        source, out = folder / f"scale {n}", folder / "out" / f"{n}.h5"
        for number, sample in enumerate(trees.build_tree("in-shop", source, n)):
            target = source / "Img" / sample.official
            target.unlink()
            target.hardlink_to(folder_copy(photos[number % len(photos)], folder))
        seconds, parent, worker, disk = watched(source, out)
        store = open_store(out)
        size = out.stat().st_size
        print(
            f"{n:6,} | {len(store):6,} | {seconds:.1f} | {len(store) / seconds:.0f} | "
            f"{parent:.0f} | {worker:.0f} | {disk / 1e6:.0f} | {size / 1e6:.1f} | {size / len(store.pairs):,.0f}",
            flush=True,
        )
        last = len(store), seconds, size / len(store), disk / len(store)
        for path in sorted(source.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
    n, seconds, image_bytes, disk = last
    minutes, ours, theirs = (
        ALL_IMAGES / n * seconds / 60,
        REPORT_IMAGES * image_bytes,
        REPORT_PAIR * REPORT_PAIRS,
    )
    print(
        f"so {ALL_IMAGES:,} images take about {minutes:.0f} min and {ALL_IMAGES * disk / 1e9:.1f} GB of disk on the "
        f"way, and the report's training set ({REPORT_IMAGES:,} images, {REPORT_PAIRS:,} pairs) {ours / 1e9:.2f} GB, "
        f"{ours / REPORT_PAIRS:,.0f} bytes a pair: {theirs / ours:.0f} times less than its dense files "
        f"({REPORT_PAIR:,} bytes a pair, {theirs / 1e9:.0f} GB)",
        flush=True,
    )


def folder_copy(photo: Path, folder: Path) -> Path:
    copy = folder / f"{photo.parent.name} {photo.name}"
    if not copy.exists():
        copy.write_bytes(photo.read_bytes())
    return copy


def watched(source: Path, out: Path) -> tuple[float, float, float, float]:
    "Prepare; returns seconds, peak MB of the parent and of its largest worker, peak bytes of files beside `out`."
    began, process = time.monotonic(), start(source, out)
    parent = worker = disk = 0.0
    while process.poll() is None:
        parent = max(parent, peak_memory(process.pid))
        worker = max([worker, *(peak_memory(child) for child in children(process.pid))])
        disk = max(disk, sum(size_of(path) for path in out.parent.rglob("*")))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{source} could not be prepared")
    return time.monotonic() - began, parent, worker, disk


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def peak_memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


# Compression


def filters(folder: Path, n: int = 500) -> None:
    images = [np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in photographs(folder)]
    stack = np.stack([images[number % len(images)] for number in range(n)])
    print(f"\n{n} images of 256 pixels, one a chunk ({'real' if SHARED.is_dir() else 'drawn'})", flush=True)
    print("filter        | kB an image | written/s | read/s", flush=True)
    options = {
        "none": {},
        "lzf": dict(compression="lzf"),
        "lzf, shuffle": dict(compression="lzf", shuffle=True),
        "gzip 1": dict(compression="gzip", compression_opts=1),
        "gzip 4": dict(compression="gzip", compression_opts=4),
        "gzip 9": dict(compression="gzip", compression_opts=9),
    }
    for label, keywords in options.items():
        path, began = folder / "filter.h5", time.perf_counter()
        with h5py.File(path, "w") as file:
            file.create_dataset("images", data=stack, chunks=(1, 256, 256, 3), **keywords)
        written = n / (time.perf_counter() - began)
        with h5py.File(path) as file:
            dataset, rows = file["images"], np.random.default_rng(0).integers(0, n, 400)
            began = time.perf_counter()
            for row in rows:
                dataset[row]
            read = len(rows) / (time.perf_counter() - began)
            size = dataset.id.get_storage_size()
        print(f"{label:13} | {size / n / 1000:11.1f} | {written:9,.0f} | {read:,.0f}", flush=True)


def dense(folder: Path, pairs: int = 100) -> None:
    source = folder / "dense source"
    trees.build_tree("in-shop", source, 150)
    run_to_the_end(source, folder / "dense source.h5")
    began = time.monotonic()
    write_dense(open_store(folder / "dense source.h5"), folder / "written", limit=pairs)
    written = time.monotonic() - began
    size = (folder / "written" / "pairs.h5").stat().st_size
    read = run_to_the_end(folder / "written", folder / "read.h5")
    print(
        f"\ndense, drawn people: {pairs} pairs of 256 pixels written in {written:.1f} s, "
        f"{size / pairs:,.0f} bytes a pair; read back in {read:.1f} s, start of the process included",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", metavar="PART", nargs="*", default=["filters", "dense", "scale", "kills"])
    parser.add_argument("--images", type=int, default=2000, help="in each layout, for the kills")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--sizes", default="500,2000,8000", help="numbers of images, for the scale")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        todo = {
            "filters": lambda: filters(folder),
            "dense": lambda: dense(folder),
            "scale": lambda: scale(folder, [int(size) for size in words.sizes.split(",")]),
            "kills": lambda: kills(folder, words.images, words.kills),
        }
        for part in words.parts:
            todo[part]()


if __name__ == "__main__":
    main()
