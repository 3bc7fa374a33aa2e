"""Does `posegen animate` hold still? `python benchmarks/steadiness.py [PHOTO …]`.

For each built-in motion, 24 frames of a rendered person (and of the persons in the photos, for which the estimator is
needed): the mean change from frame to frame, in grey levels, of the wall where nobody ever is, and of the clothes; the
mean path of the keypoints in pixels; and the clothes' change for each pixel of that path. Clothes are followed: the
picture of each torso is mapped back to where the photo has it before two frames are compared, so what is counted is
change that the motion does not explain. Frames from the side show another torso and are left out there. Frames that
the motion leaves equal would give 0 everywhere.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from posegen.transfer import PoseTransfer
from posegen.transfer.animating import Scene, make_scene
from posegen.transfer.motions import MOTIONS, motion
from posegen.transfer.sides import far_limbs
from posegen.warping.moving import centres_of
from posegen.warping.parts import PARTS, part_transforms

FRAMES = 24
CORE = 0.3  # the middle of the torso that is compared: half its height and width, in shares of the trunk


def torso(frame: np.ndarray, pose: np.ndarray, own: np.ndarray, size: int) -> np.ndarray:
    "The torso of a frame uint8 (S, S, 3), mapped to where the pose `own` has it: float (S, S, 3)."
    seen, wanted = (torch.tensor(one)[None] for one in (pose, own))
    maps = part_transforms(seen, wanted, size).matrices[0, PARTS.index("torso")]
    centres = centres_of(size, size, maps.device)
    here = torch.stack([*torch.meshgrid(centres, centres, indexing="xy"), torch.ones(size, size)], -1)
    places = (2 * here @ maps.T + 1) / size - 1
    image = torch.tensor(frame).permute(2, 0, 1)[None].float()
    return F.grid_sample(image, places[None], align_corners=False)[0].permute(1, 2, 0).numpy()


def core(own: np.ndarray, size: int) -> np.ndarray:
    "The middle of the torso of a pose (18, 3): bool (S, S)."
    neck, hips = own[1, :2], own[[8, 11], :2].mean(0)
    trunk = float(np.hypot(*(hips - neck)))
    middle = (neck + hips) / 2
    rows, columns = np.mgrid[:size, :size]
    return (abs(columns - middle[0]) < CORE / 2 * trunk) & (abs(rows - middle[1]) < CORE * trunk)


def steadiness(scene: Scene) -> dict[str, float]:
    "The four numbers of one scene."
    frames = np.concatenate([scene.frames([number]) for number in range(len(scene.poses))])
    steps = np.abs(np.diff(frames.astype(float), axis=0)).mean(3)
    far = np.abs(frames.astype(int) - scene.wall).max((0, 3)) == 0
    own, size = scene.portrait.keypoints, scene.size
    followed = np.stack([torso(frame, pose, own, size) for frame, pose in zip(frames, scene.poses)])
    front = far_limbs(torch.tensor(scene.poses)).amax(1).numpy() == 0
    clothes = np.abs(np.diff(followed, axis=0)).mean(3)[front[1:] & front[:-1]][:, core(own, size)].mean()
    there = (scene.poses[1:, :, 2] > 0) & (scene.poses[:-1, :, 2] > 0)
    path = np.linalg.norm(np.diff(scene.poses[..., :2], axis=0), axis=2)[there].mean()
    return {
        "wall": float(steps[:, far].mean()),
        "clothes": float(clothes),
        "path": float(path),
        "clothes a pixel": float(clothes / path),
    }


def main() -> None:
    "All motions of all people."
    from posegen.people import render_people

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    weights = PoseTransfer.from_pretrained()
    person = next(iter(render_people(1, views=1, size=arguments.size, seed=9, progress=False)))
    people = [("rendered", person.images[0], person.keypoints[0])]
    people += [(photo.name, photo, None) for photo in arguments.photos]
    for name, photo, keypoints in people:
        for moving in MOTIONS:
            scene, _ = make_scene(weights, photo, motion(moving, FRAMES), arguments.size, keypoints=keypoints)
            found = steadiness(scene)
            print(
                f"{name}, {moving}: " + ", ".join(f"{key} {value:.3f}" for key, value in found.items()),
                flush=True,
            )


if __name__ == "__main__":
    main()
