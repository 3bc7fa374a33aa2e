"""Two at once: the second one is told who is at work, and a finished run is not overwritten unasked.

Each holder is a process of its own, which is killed at the end: then the place is free at once.
"""

import os
import signal
import socket
import subprocess
import sys

import pytest
from boxes import write_boxes

from posegen.core import UserError, preset
from posegen.system import locks
from posegen.system.locks import lock_folder

HOLD = """
import sys, time
from pathlib import Path
from posegen.system.locks import lock_folder
lock = lock_folder(Path(sys.argv[1]), "busy", name=sys.argv[2])
print("has it", flush=True)
time.sleep(600)
"""
FORKS = """
import os, sys, time
from pathlib import Path
from posegen.system.locks import lock_folder
lock = lock_folder(Path(sys.argv[1]), "busy")
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
time.sleep(600)
"""
REPRODUCES = """
import sys, time
from posegen.runs.manifest import _alone_in
with _alone_in(*sys.argv[1].split(",")):
    print("has them", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder():
    "A function that starts a process which holds a lock until the test ends, or until it is killed."
    started = []

    def hold(folder, name=".lock", program=HOLD):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder), name], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        process.said = process.stdout.readline()
        assert process.said
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def assert_names(outcome, process):
    assert outcome.status == 2, outcome.error
    assert f"(process {process.pid} on {socket.gethostname()}, since 20" in outcome.error
    assert "Traceback" not in outcome.error


@pytest.fixture
def store(tmp_path):
    return write_boxes(tmp_path / "store.h5")


def train_words(store, out, *more):
    return ("train", "--stage", 1, "--store", store, "--out", out, "--preset", "test", *more)


def test_a_training_a_prepare_an_estimate_and_a_reproduce_are_refused(
    photos, store, posegen, holder, tmp_path
):
    run, figures = tmp_path / "run", tmp_path / "figures"
    process = holder(run)
    assert_names(posegen(*train_words(store, run)), process)
    assert os.listdir(run) == [".lock"]
    out = tmp_path / "other.h5"
    process = holder(tmp_path / ".other.h5.parts", "lock")
    assert_names(posegen("prepare", photos, out, "--preset", "test"), process)
    process = holder(tmp_path, ".photos.csv.lock")
    assert_names(posegen("estimate", photos, tmp_path / "photos.csv"), process)
    process = holder(figures)
    words = ("reproduce", "--preset", "test", "--runs", tmp_path / "runs", "--figures", figures)
    assert_names(posegen(*words), process)
    assert not (tmp_path / "runs" / ".lock").exists(), "what it had locked before is free again"


def test_two_evaluations_into_one_folder(photos, posegen, holder, tmp_path):
    out = tmp_path / "scores"
    words = ("evaluate", "--generated", photos, "--target", photos, "--out", out)
    process = holder(out)
    assert_names(posegen(*words), process)
    process.kill()
    process.wait()
    assert posegen(*words).status == 0
    assert sorted(os.listdir(out)) == ["images.csv", "scores.csv", "scores.json", "scores.md"]


@pytest.mark.parametrize("command", ["scores", "weights", "train"])
@pytest.mark.parametrize("place", ["figures", "runs/evaluate", "link"])
def test_by_hand_into_what_is_being_reproduced(photos, store, posegen, holder, tmp_path, command, place):
    "Into its figures, or into the folder of one of its steps, by whatever name; beside them all is free."
    runs, figures, out = tmp_path / "runs", tmp_path / "figures", tmp_path / place
    (runs / "evaluate").mkdir(parents=True)
    (runs / "evaluate" / "started.json").write_text("{}")
    (tmp_path / "link").symlink_to(runs / "evaluate")
    process = holder(f"{runs},{figures}", program=REPRODUCES)

    def words(out):
        return {
            "scores": ("evaluate", "--generated", photos, "--target", photos, "--out", out),
            "weights": ("evaluate", "--store", store, "--stage1", tmp_path, "--out", out),
            "train": train_words(store, out),
        }[command]

    before = sorted(os.listdir(out))
    assert_names(posegen(*words(out)), process)
    assert sorted(os.listdir(out)) == before, "nothing was written"
    if command == "scores":
        assert posegen(*words(tmp_path / "mine")).status == 0
        process.kill()
        process.wait()
        assert posegen(*words(out)).status == 0


def test_a_reproduce_into_a_folder_where_somebody_evaluates(posegen, holder, tmp_path):
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    process = holder(figures)
    outcome = posegen("reproduce", "--preset", "test", "--runs", runs, "--figures", figures)
    assert_names(outcome, process)
    assert os.listdir(figures) == [".lock"] and not list(runs.glob("*"))


def test_a_fork_does_not_hold_the_lock_of_a_killed_process(holder, tmp_path):
    process = holder(tmp_path, program=FORKS)
    with pytest.raises(UserError, match=f"process {process.pid} on"):
        lock_folder(tmp_path, "busy")
    process.kill()
    process.wait()
    try:
        lock_folder(tmp_path, "busy").close()
    finally:
        os.kill(int(process.said), signal.SIGKILL)


def test_one_whose_parent_is_gone_is_waited_for(tmp_path, monkeypatch):
    "It may be about to notice: the process that is started anew after a kill gets the place."
    program = HOLD.replace("time.sleep(600)", "time.sleep(1)")
    middle = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE)
child.stdout.readline()
"""
    subprocess.run([sys.executable, "-c", middle, program, str(tmp_path), ".lock"], check=True)
    monkeypatch.setattr(locks, "PATIENCE", 0)
    with pytest.raises(UserError, match="busy"):
        lock_folder(tmp_path, "busy")
    monkeypatch.setattr(locks, "PATIENCE", 60)
    lock_folder(tmp_path, "busy").close()


def test_a_finished_run_is_overwritten_only_when_asked(store, posegen, tmp_path):
    out = tmp_path / "run"
    assert posegen(*train_words(store, out)).status == 0
    weights = (out / "stage1.safetensors").read_bytes()
    other = train_words(store, out, "--set", "seed=1")
    refused = posegen(*other)
    assert refused.status == 2 and "seed 0 there, 1 here" in refused.error and "--overwrite" in refused.error
    assert (out / "stage1.safetensors").read_bytes() == weights
    assert sorted(os.listdir(out)) == ["losses.jsonl", "stage1.json", "stage1.safetensors"]
    longer = train_words(store, out, "--set", f"stage1_steps={preset('test').stage1_steps + 1}")
    assert posegen(*longer).status == 2
    assert posegen(*other, "--overwrite").status == 0
    seeded = (out / "stage1.safetensors").read_bytes()
    assert seeded != weights
    fresh = tmp_path / "fresh"
    assert posegen(*train_words(store, fresh, "--set", "seed=1")).status == 0
    assert (fresh / "stage1.safetensors").read_bytes() == seeded
