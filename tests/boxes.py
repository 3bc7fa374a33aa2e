"A small store to train on."

from pathlib import Path

import numpy as np

from posegen.data.examples import Example
from posegen.data.writing import write_store


def write_boxes(path: Path) -> Path:
    "A store of coloured boxes in random places: three people to train on, one to test on."
    generator = np.random.default_rng(0)

    def boxes():
        for person in range(4):
            colour = generator.integers(0, 255, 3)
            for view in range(4):
                image, points = np.full((32, 32, 3), 230, np.uint8), np.ones((18, 3), np.float32)
                x, y = generator.integers(4, 20, 2)
                image[y : y + 8, x : x + 8] = colour
                points[:, :2] = (x, y) + generator.integers(0, 8, (18, 2))
                yield Example(
                    image, points, f"{person}/{view}", "train" if person < 3 else "test", person, person
                )

    write_store(path, boxes(), 32, "coloured boxes")
    return path
