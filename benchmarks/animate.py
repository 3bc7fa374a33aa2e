"""Seconds of `posegen animate`, 60 frames of a walk at 512 pixels: `python benchmarks/animate.py`.

Prints wall and processor time and the peak resident set, and the mean change from frame to frame, in grey levels: of
the wall that the person never hides, and of the rest; in the frames and in the GIF.
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

FRAMES, SIZE = 60, 512


def changes(frames: np.ndarray, still: np.ndarray) -> str:
    "Mean change of the still part (S, S) and of the rest between the frames (T, S, S, 3), in words."
    pairs = zip(frames, frames[1:])
    change = np.mean([np.abs(one.astype(int) - other).mean(2) for one, other in pairs], axis=0)
    return f"wall {change[still].mean():.3f}, the rest {change[~still].mean():.2f} grey levels a frame"


def main() -> None:
    "One walk as PNGs, and the same as a GIF."
    from posegen.people import render_people
    from posegen.photos.keypoints import write_openpose_json
    from posegen.transfer.animating import animate_file, write_gif

    person = next(iter(render_people(1, views=1, size=SIZE, seed=9, progress=False)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(person.images[0]).save(folder / "me.png")
        write_openpose_json(folder / "me.json", person.keypoints[0])
        began, before = time.perf_counter(), time.process_time()
        animate_file(folder / "me.png", "walk", folder / "all", SIZE, FRAMES, keypoints=folder / "me.json")
        paths = sorted((folder / "all").iterdir())
        write_gif(folder / "me.gif", paths, 12)
        wall, cpu = time.perf_counter() - began, time.process_time() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{FRAMES} frames of {SIZE} pixels: {wall:.1f} s, {cpu:.1f} s of processors, peak {peak:.0f} MB"
        )
        frames = np.stack([np.asarray(Image.open(path)) for path in paths])
        still = np.ptp(frames, axis=0).max(2) < 8
        print(f"PNGs: {changes(frames, still)}")
        with Image.open(folder / "me.gif") as moving:
            shown = [[moving.seek(number), moving.convert("RGB")][1] for number in range(moving.n_frames)]
        size = (folder / "me.gif").stat().st_size / 1e6
        print(f"GIF ({size:.1f} MB): {changes(np.stack([np.asarray(one) for one in shown]), still)}")


if __name__ == "__main__":
    main()
