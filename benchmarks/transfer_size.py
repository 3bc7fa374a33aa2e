"""Seconds and peak memory of `posegen transfer` from large photos: `python benchmarks/transfer_size.py`.

Photos of 12 and 50 megapixels are made from a rendered person, each is transferred to 1024 pixels in a process of its
own, with the estimator. Prints wall time, processor time and the largest resident set of each.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

SHAPES = {"12 megapixels": (3000, 4000), "50 megapixels": (6120, 8160)}


def make_photos(folder: Path) -> None:
    "A photo of each shape, in which the person fills most of the height, and one of the pose."
    from posegen.people import render_people

    person = next(iter(render_people(1, views=4, size=512, seed=9, progress=False)))
    Image.fromarray(person.images[1]).save(folder / "pose.png")
    for name, (width, height) in SHAPES.items():
        photo = Image.new("RGB", (width, height), (225, 225, 225))
        scene = Image.fromarray(person.images[0]).resize((width, width), Image.Resampling.BICUBIC)
        photo.paste(scene, (0, (height - width) // 2))
        photo.save(folder / f"{name}.jpg", quality=90)


def measure(photo: Path) -> None:
    "Transfer one photo, and say what it took."
    began = time.perf_counter()
    from posegen.transfer import transfer_file

    said = transfer_file(photo, photo.with_name("pose.png"), photo.with_suffix(".png"), "warping", size=1024)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{photo.stem}: {time.perf_counter() - began:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processors, "
        f"peak {used.ru_maxrss / 1024:.0f} MB; {said.splitlines()[-1].rpartition('/')[2]}"
    )


def main() -> None:
    "Both photos, one after the other."
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder))
        for name in SHAPES:
            subprocess.run([sys.executable, __file__, str(Path(folder) / f"{name}.jpg")], check=True)


if __name__ == "__main__":
    measure(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
