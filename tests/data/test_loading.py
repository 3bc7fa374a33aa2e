"Batches from other processes: the same bits, no process left behind, nobody waits forever."

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from bounded import bounded

from posegen.core import UserError, preset
from posegen.data import loading
from posegen.data import store as data
from posegen.data.examples import Example
from posegen.data.loading import TrainingBatches
from posegen.data.pairs import PairDataset
from posegen.data.store import open_store
from posegen.data.writing import write_store

PROGRAM = """
import hashlib, multiprocessing, os, signal, sys, time
import torch
from posegen.core import preset
from posegen.data.loading import TrainingBatches
from posegen.data.pairs import PairDataset
from posegen.data.store import open_store

asked = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: asked.append(1))
pairs = PairDataset(open_store(sys.argv[1]))
batches = TrainingBatches(pairs, preset("test", batch_size=4), torch.device("cpu"), workers=int(sys.argv[2]))
batches.position = int(sys.argv[3])
if "late" in sys.argv:                 # on a busy machine the second process may begin long after the first
    set_num_threads = torch.set_num_threads
    def late(number):                  # what a loading process of torch's calls first
        if multiprocessing.current_process().name.endswith("2"):
            time.sleep(1.5)
        set_num_threads(number)
    torch.set_num_threads = late
print(hashlib.sha256(next(batches).target.numpy().tobytes()).hexdigest())
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
if "wait" in sys.argv:
    while not asked:
        time.sleep(0.01)
    for _ in range(20):
        next(batches)
    print("twenty more")
"""


@pytest.fixture(autouse=True)
def nobody_waits_for_long(monkeypatch):
    "Processes that give no batch count as stuck after two minutes, not ten."
    monkeypatch.setattr(loading, "PATIENCE", 120 // loading.CHECK_SECONDS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    "A store of random images: three people to train on with four images of 32 pixels each, one to test on."
    path = tmp_path_factory.mktemp("loading") / "store.h5"
    write_store(path, (example(person, view) for person in range(4) for view in range(4)), 32, "random noise")
    return path


def example(person, view, size=32):
    random = np.random.default_rng([person, view])
    keypoints = np.concatenate([random.uniform(0, size, (18, 2)), np.ones((18, 1))], 1).astype(np.float32)
    return Example(
        random.integers(0, 255, (size, size, 3), np.uint8),
        keypoints,
        f"{person}/{view}.png",
        "test" if person == 3 else "train",
        person,
        person,
    )


def batches_of(path, config=None, **options):
    config = config or preset("test", batch_size=4)
    return TrainingBatches(PairDataset(open_store(path)), config, torch.device("cpu"), **options)


def started(path, workers, position, *words):
    "A program with loading processes of its own."
    quiet = {"PYTHONWARNINGS": "ignore"}  # torch warns of more processes than cores
    return bounded([sys.executable, "-c", PROGRAM, path, workers, position, *words], env=quiet)


def first_lines(program):
    "The digest of its first batch, and its loading processes."
    digest = program.stdout.readline().strip()
    return digest, [int(number) for number in program.stdout.readline().split()]


def alive(process):
    "Whether a process runs; one that ended and waits to be asked for its status (Z) does not."
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def left_after(workers, seconds):
    "Those of the processes that still run after so many seconds; they are ended then."
    ends = time.monotonic() + seconds
    while any(map(alive, workers)) and time.monotonic() < ends:
        time.sleep(0.1)
    left = [worker for worker in workers if alive(worker)]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    return left


@pytest.mark.parametrize("words", [(), ("late",)], ids=["all ready", "one not yet ready"])
def test_a_killed_program_leaves_no_process_behind(path, words):
    with started(path, 2, 0, "wait", *words) as program:
        _, workers = first_lines(program)
        assert len(workers) == 2 and all(map(alive, workers))
        program.kill()
        program.wait(60)
        assert left_after(workers, 30) == []


@pytest.mark.parametrize("words", [(), ("late",)], ids=["all ready", "one not yet ready"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_left_to_the_main_process(path, number, words):
    with started(path, 2, 0, "wait", *words) as program:
        _, workers = first_lines(program)
        os.killpg(program.pid, number)  # as a terminal does at Ctrl-C, a cluster that ends a job
        out, error = program.communicate()
        assert (out, error, program.returncode) == ("twenty more\n", "", 0)
        assert left_after(workers, 10) == []


def test_another_process_resumes_with_the_same_bits(path):
    batches = batches_of(path)
    batches.position = 11
    expected = hashlib.sha256(next(batches).target.numpy().tobytes()).hexdigest()
    for workers in (0, 1, 2):
        with started(path, workers, 11) as program:
            digest, processes = first_lines(program)
            _, error = program.communicate()  # it ends although its loader is still open
        assert (digest, error, program.returncode, len(processes)) == (expected, "", 0, workers)


def test_a_program_that_hangs_is_ended_with_its_children():
    child = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], start_new_session=True)"
    )
    with bounded([sys.executable, "-c", child], seconds=3, stdin=subprocess.PIPE) as program:
        assert program.stdout.read() == ""  # which ends when nobody holds the pipe any more
        assert program.wait(10) == -signal.SIGKILL


def test_two_ranks_are_one_process(path):
    one = batches_of(path)
    ranks = [batches_of(path, workers=1, rank=rank, processes=2) for rank in range(2)]
    for _ in range(20):  # into the second epoch of 18 batches
        whole, parts = next(one), [next(rank) for rank in ranks]
        for name in ("condition", "target", "pose", "mask"):
            for rank, part in enumerate(parts):
                assert torch.equal(getattr(whole, name)[rank::2], getattr(part, name))
    for rank in ranks:
        rank.close()


def test_batches_that_nobody_needs_any_more_leave_no_process_behind(path):
    batches = batches_of(path, workers=2)
    next(batches)
    workers = [worker.pid for worker in batches._loader._workers]
    del batches
    assert left_after(workers, 0.5) == []


def test_a_batch_of_float64(path):
    batch = next(batches_of(path, preset("test", batch_size=4, precision="float64"), workers=1))
    assert {part.dtype for part in (batch.condition, batch.target, batch.pose, batch.mask)} == {torch.float64}


def test_a_damaged_image_is_told_of_in_the_same_words(path, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "IN_MEMORY_SHARE", 0)
    whole, damaged = path.read_bytes(), tmp_path / "damaged.h5"
    where = open_store(path).file["images"].id.get_chunk_info_by_coord((2, 0, 0, 0)).byte_offset + 100
    damaged.write_bytes(whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 :])
    sentences = []
    for workers in (0, 2):
        batches = batches_of(damaged, workers=workers)
        with pytest.raises(UserError) as error:
            for _ in range(18):  # an epoch has every image
                next(batches)
        sentences.append((str(error.value), batches.position))
    assert sentences[0] == sentences[1]
    assert f'{damaged} is damaged (image 2, "0/2.png", cannot be read' in sentences[0][0]


def test_a_killed_loading_process_ends_the_run_with_a_sentence(path, monkeypatch):
    monkeypatch.setattr(loading, "CHECK_SECONDS", 0.5)

    class Killed(PairDataset):
        def batch(self, index):
            os.kill(os.getpid(), signal.SIGKILL)

    batches = TrainingBatches(Killed(open_store(path)), preset("test"), torch.device("cpu"), workers=1)
    with pytest.raises(UserError, match="A process that loads batches was ended from outside"):
        next(batches)


class Stuck(PairDataset):
    "Whose loading process hears nothing any more, as one that waits for a lock that nobody will release."

    def __init__(self, path):
        super().__init__(open_store(path))
        self.reached = multiprocessing.get_context("fork").Event()

    def batch(self, index):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.reached.set()
        time.sleep(600)


class Slow(PairDataset):
    def batch(self, index):
        time.sleep(0.7)
        return super().batch(index)


class Faulty(PairDataset):
    def batch(self, index):
        raise RuntimeError("a mistake in the program")


def test_a_stuck_loading_process_ends_the_run_with_a_sentence(path, monkeypatch):
    monkeypatch.setattr(loading, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(loading, "PATIENCE", 5)
    batches = TrainingBatches(Stuck(path), preset("test"), torch.device("cpu"), workers=2)
    batches._loader = batches._start()
    workers = [worker.pid for worker in batches._loader._workers]
    with pytest.raises(UserError, match="processes that load batches gave none"):
        next(batches)
    assert left_after(workers, 0.5) == []


def test_stuck_loading_processes_do_not_keep_a_closed_loader_from_ending(path, monkeypatch):
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)  # how long torch waits
    batches = TrainingBatches(Stuck(path), preset("test"), torch.device("cpu"), workers=1)
    batches._loader = batches._start()
    (worker,) = batches._loader._workers
    assert batches.dataset.reached.wait(60)
    del batches
    assert left_after([worker.pid], 0.5) == []


def test_a_slow_loading_process_is_waited_for(path, monkeypatch):
    expected = next(batches_of(path)).target
    monkeypatch.setattr(loading, "CHECK_SECONDS", 0.2)
    slow = Slow(open_store(path))
    batches = TrainingBatches(slow, preset("test", batch_size=4), torch.device("cpu"), workers=1)
    assert torch.equal(next(batches).target, expected)
    batches.close()


def test_a_mistake_in_a_loading_process_comes_out_as_it_is(path):
    batches = TrainingBatches(Faulty(open_store(path)), preset("test"), torch.device("cpu"), workers=1)
    with pytest.raises(RuntimeError, match="a mistake in the program"):
        next(batches)
    batches.close()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="needs Linux's account of memory")
def test_images_in_memory_are_shared(tmp_path):
    size, views = 256, 300
    blank = np.zeros((size, size, 3), np.uint8)
    examples = (
        Example(blank, np.ones((18, 3), np.float32), f"{split}/{view}.png", split, person, person)
        for person, split in enumerate(("train", "test"))
        for view in range(views)
    )
    write_store(tmp_path / "store.h5", examples, size, "black images")
    batches = batches_of(tmp_path / "store.h5", workers=1)
    assert batches.dataset.store.in_memory
    next(batches)
    worker = batches._loader._workers[0].pid
    text = Path(f"/proc/{worker}/smaps_rollup").read_text()
    own = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1000
    batches.close()
    images = 2 * views * size * size * 3 / 1e6  # 118 MB, which a copy would take beside all else
    assert own < 0.75 * images, f"{own:.0f} MB of its own"
