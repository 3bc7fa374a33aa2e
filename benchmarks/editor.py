"""How long the pose editor takes from a drag to its picture, and how much of a straight limb is drawn.

    python benchmarks/editor.py [--model warping] [--rounds 25] [--limbs limbs.png] [--page explore.png]

The first: one joint is moved as the browser does it, and the picture is waited for, in wall-clock and in processor time
of this process (without the way through a notebook's server, and without the page). The second: on the example people,
one straight arm or leg is held at 40 to 120 degrees from hanging down, sideways; the share of points along it where the
picture differs from the plain wall by more than noise. With --limbs, pictures of it are written.
With --page, the wrist is also dragged in Chromium, and the time counts from the mouse to the decoded picture on the
page; the picture of the page that the README shows is written.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from posegen.explore.editor import PoseEditor, pose_editor
from posegen.pose import keypoint

ANGLES = (40, 60, 80, 100, 120)
LIMBS = {
    "arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "leg": ("right_hip", "right_knee", "right_ankle"),
}
SEEN = 25  # grey levels between a limb and the wall behind it, at least
POINTS = np.linspace(0.25, 1, 20)  # along the limb; its beginning lies on the body


def straight(pose: np.ndarray, limb: str, angle: float) -> np.ndarray:
    "The pose (18, 3) with a straight limb, so many degrees from hanging down to the picture's left."
    first, *others = (keypoint(name) for name in LIMBS[limb])
    moved, reach = pose.copy(), 0.0
    for before, joint in zip((first, others[0]), others):
        reach += np.hypot(*(pose[joint, :2] - pose[before, :2]))
        direction = np.array([-np.sin(np.radians(angle)), np.cos(np.radians(angle))])
        moved[joint, :2] = moved[first, :2] + reach * direction
    return moved


def share_drawn(picture: np.ndarray, pose: np.ndarray, limb: str, frame: int) -> float:
    "Share of points along a limb, of a pose in a `frame` of pixels, whose colour is not that of the wall in that row."
    size = len(picture)
    start, end = ((pose[keypoint(LIMBS[limb][k]), :2] + 0.5) * size / frame - 0.5 for k in (0, 2))
    drawn = []
    for x, y in start + POINTS[:, None] * (end - start):
        if 0 <= x < size and 0 <= y < size:
            wall = np.median(picture[int(y), :4].astype(float), axis=0)
            drawn.append(np.abs(picture[int(y), int(x)] - wall).max() > SEEN)
    return float(np.mean(drawn))


def limbs(editor: PoseEditor) -> tuple[dict[str, dict[int, float]], np.ndarray]:
    "Mean share drawn by limb and angle over the example people; and the pictures of the first one in two rows."
    shares: dict[str, dict[int, float]] = {}
    rows = []
    standing = np.float32(editor.presets[0]["keypoints"])
    for limb in LIMBS:
        shares[limb], row = {}, []
        for angle in ANGLES:
            pose, found = straight(standing, limb, angle), []
            for person in range(editor.examples):
                editor.person = person
                editor.set_pose(pose)
                found.append(share_drawn(editor.full_picture(), pose, limb, editor.size))
                row += [editor.full_picture()] if person == 0 else []
            shares[limb][angle] = float(np.mean(found))
        rows.append(np.hstack(row))
    return shares, np.vstack(rows)


def delays(editor: PoseEditor, rounds: int) -> tuple[float, float]:
    "Median milliseconds of wall-clock and of processor time from a moved wrist to its picture."
    pose, wall, processor = editor.pose, [], []
    for number in range(rounds):
        pose[keypoint("right_wrist"), 1] -= 1 if number % 2 else -1
        begun = time.perf_counter(), time.process_time()
        editor.set_state({"keypoints": pose.tolist()})
        editor.wait()
        wall.append(time.perf_counter() - begun[0])
        processor.append(time.process_time() - begun[1])
    return 1000 * statistics.median(wall), 1000 * statistics.median(processor)


def on_a_page(editor: PoseEditor, rounds: int, picture: str) -> tuple[float, float]:
    "As `delays`, but from the mouse to the shown picture, with the processor time of Chromium; and a picture of it."
    import psutil

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "explore"))
    from bare import bare, chromium

    def used() -> float:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    wall, processor = [], []
    editor.person = 0
    with chromium() as browser:
        page = bare(browser, editor, 1100, 900)
        page.click("Pose: arms raised")
        joint = "[data-joint=right_wrist] .dot"
        page.page.mouse.move(*page.centre(joint))
        page.page.mouse.down()
        x, y = page.centre(joint)
        for number in range(rounds):
            begun = time.perf_counter(), used()
            page.page.mouse.move(x, y - 4 * (1 + number % 2))
            page.settled()
            wall.append(time.perf_counter() - begun[0])
            processor.append(used() - begun[1])
        page.page.mouse.up()
        page.settled()
        page.page.locator(".pose-editor").screenshot(path=picture)
    return 1000 * statistics.median(wall), 1000 * statistics.median(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--limbs", help="a PNG of the straight limbs")
    parser.add_argument("--page", help="a PNG of the editor on its page; needs Chromium and playwright")
    options = parser.parse_args()
    editor = pose_editor(options.model)
    wall, processor = delays(editor, options.rounds)
    print(
        f"{editor.full_picture().shape[0]} pixels: {wall:.0f} ms from a move to its picture, {processor:.0f} ms of CPU"
    )
    shares, pictures = limbs(editor)
    for limb, by_angle in shares.items():
        print(
            f"{limb}, share drawn:", ", ".join(f"{angle}° {share:.2f}" for angle, share in by_angle.items())
        )
    if options.limbs:
        Image.fromarray(pictures).save(options.limbs)
    if options.page:
        wall, processor = on_a_page(editor, options.rounds, options.page)
        print(
            f"from the mouse to the shown picture: {wall:.0f} ms, {processor:.0f} ms of CPU with Chromium's"
        )


if __name__ == "__main__":
    main()
