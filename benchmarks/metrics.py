"""Speed and memory of the metrics, against a plain loop with scikit-image, measured in turns in one run.

    python benchmarks/metrics.py --pairs 10000

Draws image pairs of 256 pixels, then: (1) SSIM and mean gradient of pairs in memory, one process each; (2)
two folders of `--pairs` PNG files scored by all cores (SSIM, gradient of both images, PSNR, L1, hashes),
against a loop in one process that reads the same files and computes SSIM and the gradient of one image."""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import rgb2gray
from skimage.filters import gaussian, rank
from skimage.metrics import structural_similarity
from skimage.morphology import disk

from posegen.metrics.folders import score_folders
from posegen.metrics.sharpness import mean_absolute_gradient
from posegen.metrics.similarity import ssim

SIDE, DIFFERENT, ROUNDS = 256, 32, 3


def draw_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    "Smooth coloured noise of DIFFERENT seeds, and its blurred copy."
    pairs = []
    for seed in range(DIFFERENT):
        noise = gaussian(np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3)), 3, channel_axis=-1)
        target = np.clip(128 + 600 * noise, 0, 255).astype(np.uint8)
        pairs.append(((255 * gaussian(target, 2, channel_axis=-1)).astype(np.uint8), target))
    return pairs


def plain_scores(generated: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    "SSIM and mean gradient as scikit-image's own functions give them."
    grey = (255 * rgb2gray(generated)).round().astype(np.uint8)
    similarity = structural_similarity(generated, target, channel_axis=-1, data_range=255)
    return similarity, rank.gradient(grey, disk(5)).mean()


def our_scores(generated: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    return ssim(generated, target)[0], mean_absolute_gradient(generated)[0]


def write_folders(pairs: list, count: int, root: Path) -> tuple[Path, Path]:
    "`count` names in two folders; there are only as many files as pairs, the other names are links to them."
    folders = root / "generated", root / "target"
    for side, folder in enumerate(folders):
        folder.mkdir()
        for number in range(count):
            path, first = folder / f"{number:06}.png", folder / f"{number % len(pairs):06}.png"
            if number < len(pairs):
                Image.fromarray(pairs[number][side]).save(path)
            else:
                os.link(first, path)
    return folders


def plain_loop(generated: Path, target: Path, count: int) -> None:
    for path in sorted(generated.iterdir())[:count]:
        plain_scores(*(np.asarray(Image.open(place).convert("RGB")) for place in (path, target / path.name)))


def cpu_seconds() -> float:
    "Of this process and of those that it started and that have ended."
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def per_pair(call, count: int) -> tuple[float, float]:
    "Wall and CPU seconds a pair. Other programs on the machine disturb the second less than the first."
    start, cpu = time.perf_counter(), cpu_seconds()
    call()
    return (time.perf_counter() - start) / count, (cpu_seconds() - cpu) / count


def report(name: str, ours: list[tuple[float, float]], plain: list[tuple[float, float]]) -> None:
    print(name)
    for place, kind in enumerate(("wall", "CPU")):
        mine, theirs = np.array(ours)[:, place], np.array(plain)[:, place]
        ratios = theirs / mine
        print(
            f"  {kind:4} time: ours {1e3 * np.median(mine):6.2f} ms a pair, plain loop "
            f"{1e3 * np.median(theirs):6.2f} ms; ratio {np.median(ratios):.2f} "
            f"(rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=400, help="pairs of files to score (default 400)")
    parser.add_argument("--plain", type=int, default=100, help="of these, in the plain loop (default 100)")
    arguments = parser.parse_args()
    pairs = draw_pairs()
    for pair in pairs[:8]:
        assert np.allclose(our_scores(*pair), plain_scores(*pair), rtol=0, atol=1e-9), "the scores differ"

    ours, plain = [], []
    for _ in range(ROUNDS):
        ours.append(per_pair(lambda: [our_scores(*pair) for pair in pairs[:16]], 16))
        plain.append(per_pair(lambda: [plain_scores(*pair) for pair in pairs[:16]], 16))
    report("in memory, one process", ours, plain)

    ours, plain = [], []
    rounds = ROUNDS if arguments.pairs < 5000 else 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as root:
        folders = write_folders(pairs, arguments.pairs, Path(root))
        for _ in range(rounds):
            plain.append(per_pair(lambda: plain_loop(*folders, arguments.plain), arguments.plain))
            ours.append(
                per_pair(lambda: score_folders(*folders, "skimage", workers=os.cpu_count()), arguments.pairs)
            )
    report(f"{arguments.pairs} pairs of files, {os.cpu_count()} processes", ours, plain)
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak, child = (resource.getrusage(who).ru_maxrss for who in whose)
    print(
        f"peak memory: {peak / 1024:.0f} MiB in the main process ({before / 1024:.0f} MiB before scoring), "
        f"at most {child / 1024:.0f} MiB in each of {os.cpu_count()} others"
    )


if __name__ == "__main__":
    main()
