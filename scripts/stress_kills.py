"""Kills posegen at random moments, starts it again, and looks whether the result is the one of an undisturbed run.

    python scripts/stress_kills.py --each 10 --seed 0 [--only prepare train]

Each trial starts a command in a folder of its own, kills it with SIGKILL one to three times after a random part of
the time that it needs undisturbed (one that ends before its kill counts for nothing, and is started anew), and lets
it finish. Then these must hold: it ended well; the results are the same
to the last bit; no part file, no lock and no journal is left; 5 seconds after each kill no process of it lived.
Ends with status 1 if something did not, and says what.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

COMMAND = [
    sys.executable,
    "-P",
    "-c",
    "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))",
]
GRACE = 5.0  # seconds that a process may live on
MARK = "POSEGEN_STRESS"  # environment variable by which the processes of a trial are known
# what holds durations, dates or paths
WITHOUT = {"manifest.json", "losses.jsonl", "stage1.json", "executed.ipynb", "stamp.json", "started.json"}
WITHOUT |= {"files.json", "seconds.json", "stage2.json", "evaluation.json", "source.json"}


def make_inputs(root: Path) -> None:
    "A folder of rendered photographs of two people, with keypoints; a store; images to score."
    from posegen.people import render_people
    from posegen.photos.keypoints import write_keypoint_csv, write_openpose_json

    poses = {}
    for number, person in enumerate(render_people(2, views=12, size=64, seed=3, progress=False)):
        for view, (image, keypoints) in enumerate(zip(person.images, person.keypoints)):
            name = f"{number}/{view:02}.png"
            (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / "photos" / name)
            poses[name] = keypoints
            other = np.roll(image, 2, axis=1)
            (root / "moved" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(other).save(root / "moved" / name)
    write_keypoint_csv(root / "photos" / "keypoints.csv", poses)
    name, pose = next(iter(poses.items()))
    Image.open(root / "photos" / name).resize((256, 256)).save(root / "me.png")
    write_openpose_json(root / "me.json", pose * np.float32([4, 4, 1]))
    shutil.copytree(root / "photos", root / "bare", ignore=shutil.ignore_patterns("*.csv"))
    done = subprocess.run(
        [*COMMAND, "prepare", root / "photos", root / "store.h5", "--preset", "test"], text=True
    )
    assert done.returncode == 0


def commands(root: Path) -> dict[str, list]:
    "Each command as it is started in a trial's folder."
    train = ["train", "--stage", 1, "--store", root / "store.h5", "--out", "run", "--preset", "test"]
    animate = ["animate", root / "me.png", "--keypoints", root / "me.json", "--poses", "walk", "--size", 96]
    return {
        "prepare": ["prepare", root / "photos", "s.h5", "--preset", "test", "--workers", 2],
        "estimate": ["estimate", root / "bare", "found.csv", "--workers", 2],
        "estimate into a folder": ["estimate", root / "bare", "found", "--workers", 1],
        "train": [*train, "--set", "stage1_steps=60", "--set", "checkpoint_every=7"],
        "evaluate": ["evaluate", "--generated", root / "moved", "--target", root / "bare", "--out", "scores"],
        "animate": [*animate, "--out", "walking.gif"],
        "animate into a folder": [*animate, "--out", "walking", "--frames", 16],
        "reproduce": ["reproduce", "--preset", "test", "--at-once", 2],
    }


def start(words: list, folder: Path, mark: str) -> subprocess.Popen:
    "Start a command in a folder; what it says goes to a file there."
    folder.mkdir(parents=True, exist_ok=True)
    log = open(folder.with_name(f"{folder.name}.log"), "ab")
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={**os.environ, MARK: mark, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder.parent)},
    )


def processes_of(mark: str) -> list[psutil.Process]:
    "What still lives of the processes that were started with this mark."
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def store_content(path: Path) -> bytes:
    import h5py

    with h5py.File(path) as file:
        parts = []
        file.visititems(lambda name, item: parts.append(name.encode()))
        datasets = [file[name] for name in map(bytes.decode, parts) if isinstance(file[name], h5py.Dataset)]
        return b"".join(parts) + b"".join(
            np.asarray(item[()]).tobytes() for item in datasets if item.dtype.kind != "O"
        )


def results(folder: Path) -> dict[str, str]:
    "Of each file of a finished command its hash, but not of what holds durations."
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in WITHOUT:
            content = store_content(path) if path.suffix == ".h5" else path.read_bytes()
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def left_over(folder: Path) -> list[str]:
    "Part files, locks, journals and folders of blocks below a folder."
    names = [path.relative_to(folder).as_posix() for path in folder.rglob(".*")]
    return [name for name in names if not name.startswith(".ipynb")] + [
        path.name for path in folder.rglob("checkpoint.pt*")
    ]


def kill(process: subprocess.Popen, mark: str) -> list[str]:
    "Kill a command; what still lives of it after the grace is complained of, and killed too."
    process.send_signal(signal.SIGKILL)
    process.wait()
    ends = time.monotonic() + GRACE
    while (alive := processes_of(mark)) and time.monotonic() < ends:
        time.sleep(0.05)
    for one in alive:
        one.kill()
    return [f"{len(alive)} processes lived {GRACE:g} s after the kill: {alive[0].cmdline()}"] if alive else []


def killed(words: list, folder: Path, mark: str, after: float, at_once: bool) -> float | list[str]:
    "Start a command and kill it after some seconds: what was wrong; or how long it took if it ended before."
    began = time.monotonic()
    process = start(words, folder, mark)
    try:
        process.wait(after)
        return time.monotonic() - began
    except subprocess.TimeoutExpired:
        if not at_once:
            return kill(process, mark)
        process.send_signal(signal.SIGKILL)  # the next start does not wait for the workers to notice
        process.wait()
        return []


def trial(
    words: list, folder: Path, chance: random.Random, took: float, wanted: dict[str, str]
) -> tuple[int, float, list[str]]:
    "Kill a command one to three times, let it finish; the number of kills, what it takes undisturbed, what was wrong."
    wrong, kills, lives = [], 0, chance.randint(1, 3)
    while kills < lives:
        mark = f"{os.getpid()} {folder} {kills}"
        # now and then at the very end
        after = took * (chance.uniform(0.9, 1) if chance.random() < 0.25 else chance.random())
        end = killed(words, folder, mark, after, chance.random() < 0.5)
        if isinstance(end, list):
            kills, wrong = kills + 1, wrong + end
        elif kills:  # what was left to do took less
            break
        else:  # it is quicker than when it was measured: anew, by what it took now
            took = end
            shutil.rmtree(folder)
    last = start(words, folder, f"{os.getpid()} {folder} last")
    try:
        if last.wait(longest := max(900, 10 * took)):  # however busy the machine has become
            wrong.append(f"the last start ended with status {last.returncode}")
    except subprocess.TimeoutExpired:
        wrong += [
            f"the last start did not end in {longest / 60:.0f} minutes",
            *kill(last, f"{os.getpid()} {folder} last"),
        ]
    found = results(folder)
    differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    wrong += [f"another result: {', '.join(differing[:5])}"] if differing else []
    wrong += [f"left behind: {', '.join(left[:5])}"] if (left := left_over(folder)) else []
    return kills, took, wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=10, help="kills of each command, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="commands, such as train")
    given = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="stress-"))
    make_inputs(root)
    chosen = {name: words for name, words in commands(root).items() if not given.only or name in given.only}
    chance, report = random.Random(given.seed), {}
    undisturbed = {}
    for name, words in chosen.items():
        began, folder = time.monotonic(), root / "undisturbed" / name.replace(" ", "_")
        assert start(words, folder, f"{os.getpid()} {name}").wait() == 0, folder.with_suffix(
            ".log"
        ).read_text()[-2000:]
        undisturbed[name] = time.monotonic() - began, results(folder)
        print(f"{name}: {undisturbed[name][0]:.1f} s undisturbed", flush=True)
        report[name] = dict(kills=0, trials=0, wrong=[])
    number = 0
    while todo := [name for name, row in report.items() if row["kills"] < given.each]:
        name = min(todo, key=lambda name: report[name]["kills"])
        folder = root / f"trial_{number}"
        took, wanted = undisturbed[name]
        kills, took, wrong = trial(chosen[name], folder, chance, took, wanted)
        undisturbed[name] = took, wanted
        report[name]["kills"] += kills
        report[name]["trials"] += 1
        report[name]["wrong"] += [f"{folder}: {one}" for one in wrong]
        print(f"{name}: killed {kills} times: {'; '.join(wrong) or 'well'}", flush=True)
        if not wrong:
            shutil.rmtree(folder)
        number += 1
    print(json.dumps(report, indent=1))
    faulty = any(row["wrong"] for row in report.values())
    if not faulty:
        shutil.rmtree(root)
    return int(faulty)


if __name__ == "__main__":
    sys.exit(main())
