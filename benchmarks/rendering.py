"""Rendering people: images a second and a CPU-second at 64 and 256 pixels, in one process and in one a core.

    python benchmarks/rendering.py [--people 12] [--rounds 2]

One process and several take turns. Wall time counts from when each process has rendered a person; CPU time
includes the start of the processes. Also the share of the CPU time that is ray casting (the rest: bodies,
clothes, colours).
"""

import argparse
import os
import resource
import time

import numpy as np

from posegen.people import render_people
from posegen.studio import rendering

VIEWS = 7


def cpu_seconds() -> float:
    "Of this process and of those that it started and that have ended."
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def render(people: int, size: int, workers: int) -> tuple[float, float]:
    "Wall seconds an image once all processes are at work, and CPU seconds an image with their start."
    cpu = cpu_seconds()
    rendered = render_people(people, VIEWS, size, 0, workers=workers, progress=False)
    done = [time.perf_counter() for _ in rendered]
    wall = (done[-1] - done[workers - 1]) / (people - workers)
    return wall / VIEWS, (cpu_seconds() - cpu) / people / VIEWS


class Stopwatch:
    "CPU seconds spent in some functions of a module."

    def __init__(self, module, names: tuple[str, ...]):
        self.seconds, self.rays = 0.0, 0
        for name in names:
            setattr(module, name, self.timed(getattr(module, name)))

    def timed(self, function):
        def call(scene, origins, directions):
            began = time.process_time()
            result = function(scene, origins, directions)
            self.seconds += time.process_time() - began
            self.rays += len(directions)
            return result

        return call


def spread(values) -> str:
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=12, help="rendered each time, 7 images each")
    parser.add_argument("--rounds", type=int, default=2)
    words = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    render(2, 64, 1)  # the body is read once
    print("pixels | processes | images/s | images a CPU-second | times one process (wall)")
    for size in (64, 256):
        one, several = [], []
        for _ in range(words.rounds):
            one.append(render(words.people, size, 1))
            several.append(render(words.people, size, cores))
        ratios = [alone[0] / together[0] for alone, together in zip(one, several)]
        for workers, rows, ratio in ((1, one, "1"), (cores, several, spread(ratios))):
            wall, cpu = ([1 / row[place] for row in rows] for place in (0, 1))
            print(f"{size:6} | {workers:9} | {spread(wall)} | {spread(cpu)} | {ratio}")
    watch = Stopwatch(rendering, ("first_hits", "open_sky"))
    for size in (64, 256):
        watch.seconds, watch.rays, began = 0.0, 0, time.process_time()
        render(words.people, size, 1)
        share = watch.seconds / (time.process_time() - began)
        print(
            f"{size} pixels: {100 * share:.0f}% of the time is ray casting, "
            f"{watch.rays / watch.seconds / 1e6:.2f} million rays a second, "
            f"{watch.rays / words.people / VIEWS:,.0f} rays an image"
        )


if __name__ == "__main__":
    main()
