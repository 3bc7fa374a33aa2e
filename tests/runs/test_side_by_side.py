"Jobs side by side: who waits for whom, how many threads each has, whose line is whose, and what stops them."

import itertools
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from bounded import bounded

from posegen.core import UserError, preset
from posegen.runs import execute as executing
from posegen.runs.execute import JobFailed, choose_at_once, run_jobs, side_by_side
from posegen.runs.graph import report_jobs
from posegen.runs.job import Job
from posegen.runs.seeds import seed_jobs

# a needs nothing; b and c need a; d needs b; e needs all
NEEDS = dict(a="", b="a", c="a", d="b", e="abcd")


def write_notebook(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in ("out = ''", *sources)]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(tmp_path / "toy.ipynb", "pass")
    return [
        Job(name, notebook, dict(out=f"runs/{name}"), (f"runs/{name}/result",), tuple(needs))
        for name, needs in NEEDS.items()
    ]


def write(job):
    Path(job.outputs[0]).write_text(job.name)


class Recorder:
    "Executes jobs by writing their results, and keeps what began and ended when."

    def __init__(self, wait=None, fail=()):
        self.events, self.lock, self.wait, self.fail = [], threading.Lock(), wait or {}, fail

    def __call__(self, job):
        with self.lock:
            self.events.append(f"+{job.name}")
        if job.name in self.wait:
            self.wait[job.name].wait(10)
        if job.name in self.fail:
            with self.lock:
                self.events.append(f"!{job.name}")
            raise self.fail[job.name]
        write(job)
        with self.lock:
            self.events.append(f"-{job.name}")


# The schedule


def test_one_place_is_the_list_in_its_order(jobs):
    done = Recorder()
    stamps = run_jobs(jobs, run=done)
    assert done.events == [sign + name for name in NEEDS for sign in "+-"]
    assert list(stamps) == list(NEEDS) and all(stamp["ran"] for stamp in stamps.values())


@pytest.mark.parametrize("at_once", [2, 3, 9])
def test_a_job_starts_when_all_that_it_needs_has_ended(jobs, at_once):
    done = Recorder()
    stamps = run_jobs(jobs, run=done, at_once=at_once)
    assert list(stamps) == list(NEEDS), "in the order of the list, whoever ended first"
    assert sorted(done.events) == sorted(sign + name for name in NEEDS for sign in "+-")
    for name, needs in NEEDS.items():
        for need in needs:
            assert done.events.index(f"-{need}") < done.events.index(f"+{name}")


def test_two_independent_jobs_overlap(jobs):
    meeting = threading.Barrier(2)
    run_jobs(jobs, run=Recorder(dict(b=meeting, c=meeting)), at_once=2)
    with pytest.raises(threading.BrokenBarrierError):  # alone, the first one waits in vain
        alone = threading.Barrier(2, timeout=0.2)

        def run(job):
            if job.name in "bc":
                alone.wait()
            write(job)

        run_jobs(jobs, force=True, run=run, at_once=1)


def test_a_place_that_is_free_goes_to_the_first_that_is_ready(jobs):
    "While c is at work, b ends and d, which needs only b, takes its place."
    d_has_begun = threading.Event()

    def run(job):
        if job.name == "c":
            assert d_has_begun.wait(10)
        if job.name == "d":
            d_has_begun.set()
        write(job)

    assert run_jobs(jobs, run=run, at_once=2)["e"]["ran"]


def test_no_more_than_were_allowed_run_at_once(jobs):
    done, slow = Recorder(), threading.Event()
    done.wait = dict.fromkeys([f"f{n}" for n in range(7)], slow)
    threading.Timer(0.3, slow.set).start()
    free = [Job(f"f{n}", jobs[0].notebook, dict(out=f"runs/f{n}"), (f"runs/f{n}/result",)) for n in range(7)]
    run_jobs([*free, *jobs], run=done, at_once=3)
    at_work = itertools.accumulate(1 if event[0] == "+" else -1 for event in done.events)
    assert max(at_work) == 3, "and that many do"


def test_only_what_changed_runs_again_side_by_side_too(jobs):
    run_jobs(jobs, run=write, at_once=2)
    done = Recorder()
    assert not any(stamp["ran"] for stamp in run_jobs(jobs, run=done, at_once=2).values())
    Path("runs/b/result").write_text("altered")
    Path("runs/c/result").unlink()
    stamps = run_jobs(jobs, run=done, at_once=2)
    assert [name for name, stamp in stamps.items() if stamp["ran"]] == ["b", "c"], "the same results again"
    assert run_jobs(jobs, force=True, run=write, at_once=2)["a"]["ran"]


# What fails


def test_a_failure_lets_the_others_finish_and_starts_nothing(jobs, capsys):
    b_has_failed = threading.Event()
    done = Recorder()

    def run(job):
        if job.name == "b":
            try:
                raise JobFailed("b failed in cell [2]")
            finally:
                b_has_failed.set()
        if job.name == "c":
            assert b_has_failed.wait(10)
            time.sleep(0.2)  # the failure is told while c is still at work
        done(job)

    with pytest.raises(JobFailed, match=r"^b failed in cell \[2\]$"):
        run_jobs(jobs, run=run, at_once=2)
    assert done.events == ["+a", "-a", "+c", "-c"], "neither d, which needs b, nor e"
    assert Path("runs/c/stamp.json").exists() and not Path("runs/b/stamp.json").exists()
    shown = capsys.readouterr().out
    assert "b failed in cell [2]" in shown and "waiting for c" in shown
    stamps = run_jobs(jobs, run=write, at_once=2)
    assert [name for name, stamp in stamps.items() if stamp["ran"]] == ["b", "d", "e"]


def test_of_two_failures_the_first_one_counts(jobs, capsys):
    first = threading.Event()

    def run(job):
        if job.name == "b":
            assert first.wait(10)
            time.sleep(0.2)
            raise JobFailed("the second")
        if job.name == "c":
            first.set()
            raise UserError("the first")
        write(job)

    with pytest.raises(UserError, match="^the first$"):
        run_jobs(jobs, run=run, at_once=2)


def test_a_failure_is_told_at_once_only_where_others_go_on(jobs, capsys):
    with pytest.raises(JobFailed):
        run_jobs(jobs, run=Recorder(fail=dict(a=JobFailed("a failed"))), at_once=2)
    assert "a failed" not in capsys.readouterr().out, "the command says it at its end"


# How many at once, and with how many threads


def test_who_can_stand_beside_another():
    assert side_by_side(report_jobs("test")) >= {"stage2-pair", "stage2-triplet", "stage2-wgan_triplet"}
    assert not side_by_side(report_jobs("test")) & {"prepare", "evaluate", "report"}
    groups = seed_jobs("test", 2)
    every = list({job.name: job for group in groups for job in group}.values())
    assert {job.name for job in every} - side_by_side(every) == {"prepare", "claims"}


@pytest.fixture
def machine(monkeypatch):
    "Pretends to be a machine with so many cores, so much free memory, and a GPU or none."

    def pretend(cores=2, memory=64, gpu=False):
        monkeypatch.setattr(executing, "cpu_count", lambda: cores)
        monkeypatch.setattr(executing, "free_memory", lambda: memory << 30)
        kind = type("device", (), dict(type="cuda" if gpu else "cpu"))
        monkeypatch.setattr(executing, "best_device", lambda: kind)

    return pretend


@pytest.mark.parametrize(
    "of_machine, name, options, expected",
    [
        (dict(), "quick", {}, (2, 1)),
        (dict(cores=1), "quick", {}, (1, 1)),
        (dict(cores=64), "quick", {}, (4, 1)),
        (dict(cores=64, memory=5), "quick", {}, (2, 1)),
        (dict(memory=0), "quick", {}, (1, 1)),
        (dict(), "quick", dict(wanted=1), (1, 1)),
        (dict(), "quick", dict(wanted=3), (3, 1)),
        (dict(cores=8), "quick", dict(wanted=2), (2, 1)),
        (dict(gpu=True), "quick", {}, (1, None)),
        (dict(cores=8, gpu=True), "quick", dict(wanted=2), (2, 4)),
        (dict(), "quick", dict(processes=2), (1, None)),
        (dict(), "quick", dict(processes=2, wanted=1), (1, None)),
        (dict(), "paper", {}, (1, None)),
        (dict(cores=8), "paper", dict(wanted=3), (3, 2)),
        (dict(cores=2), "paper", dict(wanted=3), (3, 1)),
    ],
)
def test_how_many_run_at_once(machine, of_machine, name, options, expected):
    machine(**of_machine)
    assert choose_at_once(preset(name), **options) == expected


@pytest.mark.parametrize("options", [dict(wanted=0), dict(wanted=-1), dict(wanted=2, processes=2)])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(UserError, match="--at-once|give 1 or more"):
        choose_at_once(preset("quick"), **options)


def test_the_command_refuses_it_in_one_sentence(posegen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (
        ("--at-once", "0"),
        ("--at-once", "-2"),
        ("--at-once", "two"),
        ("--at-once", "2", "--processes", "2"),
        ("--at-once", "0", "--seeds", "2"),
    ):
        outcome = posegen("reproduce", "--preset", "test", *words)
        assert outcome.status == 2 and outcome.error.count("\n") == 1, outcome.error
        assert words[1] in outcome.error or "--at-once" in outcome.error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [(), ("--seeds", "2")])
def test_the_command_says_and_hands_on_how_many(posegen, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    at_work = []
    meeting = threading.Barrier(3)

    def execute(job, place):
        at_work.append((job.name, place.threads, place.named))
        if job.name.startswith("stage2"):  # three at a time, or never
            meeting.wait(20)
        for path in (*job.outputs, *job.notes):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(job.name)

    monkeypatch.setattr(executing, "execute", execute)
    outcome = posegen("reproduce", "--preset", "test", "--at-once", "3", *words)
    assert outcome.status == 0 and "3 jobs at once, 1 thread for each" in outcome.out
    assert {name: rest for name, *rest in at_work}["stage2-pair"] == [1, True]
    assert {name: rest for name, *rest in at_work}["prepare"] == [None, False]


# With real kernels

TWO_JOBS = """
import signal, sys
from pathlib import Path
from posegen.core import Terminated
from posegen.runs.execute import run_jobs
from posegen.runs.job import Job

def terminate(*_):
    raise Terminated

signal.signal(signal.SIGTERM, terminate)
signal.signal(signal.SIGINT, signal.default_int_handler)
jobs = [Job(name, Path("toy.ipynb"), dict(out=f"runs/{name}"), (f"runs/{name}/done",), needs)
        for name, needs in (("first", ()), ("left", ("first",)), ("right", ("first",)), ("last", ("left", "right")))]
try:
    run_jobs(jobs, at_once=2)
except Terminated:
    sys.exit(143)
except KeyboardInterrupt:
    sys.exit(130)
"""
SAY = """import os, sys
from pathlib import Path
name = Path(out).name
keep = "OMP_NUM_THREADS MKL_NUM_THREADS POSEGEN_PROGRESS".split()
Path(out, "done").write_text(" ".join(os.environ.get(key, "-") for key in keep))
for line in range(20):
    print(name, line, flush=True)
print("aside", file=sys.stderr)
print("no end", end="")"""


def two_jobs(folder, **options):
    return bounded([sys.executable, "-c", TWO_JOBS], cwd=folder, **options)


@pytest.mark.parametrize("terminal", [True, False])
def test_threads_and_names(tmp_path, terminal, monkeypatch):
    write_notebook(tmp_path / "toy.ipynb", SAY)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    ours, theirs = os.openpty() if terminal else os.pipe()
    with two_jobs(tmp_path, stdout=theirs, stderr=theirs, text=False) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # so a terminal says that nobody writes to it any more
            pass
        assert process.wait(timeout=30) == 0, shown
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    threads = str(max(1, executing.cpu_count() // 2))
    for name in ("left", "right"):
        named = [line.partition(" | ")[2] for line in lines if line.startswith(f"{name:20} | ")]
        assert [line for line in named if line.startswith(name)] == [f"{name} {n}" for n in range(20)]
        assert "aside" in named and "no end" in named
        assert (tmp_path / f"runs/{name}/done").read_text() == f"{threads} {threads} lines"
    for name in ("first", "last"):
        assert f"{name} 19" in lines, "who runs alone needs no name"
        bar = "bar" if terminal else "-"
        assert (tmp_path / f"runs/{name}/done").read_text() == f"7 - {bar}"


TRAIN = """import os, time
from pathlib import Path
if Path(out).name != "first":
    Path(out, "process").write_text(str(os.getpid()))
    try:
        print("training", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        Path(out, "checkpoint").write_text("step 7")
        STUBBORN
Path(out, "done").write_text("done")"""


@pytest.mark.parametrize(
    "number, presses, status", [(signal.SIGINT, 1, 130), (signal.SIGTERM, 1, 143), (signal.SIGINT, 2, 130)]
)
def test_a_stop_reaches_both(tmp_path, number, presses, status):
    stubborn = "time.sleep(60)" if presses == 2 else "raise"
    write_notebook(tmp_path / "toy.ipynb", TRAIN.replace("STUBBORN", stubborn))
    checkpoints = [tmp_path / f"runs/{name}/checkpoint" for name in ("left", "right")]
    with two_jobs(tmp_path) as process:
        training = 0
        while training < 2:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            training += "training" in line
        process.send_signal(number)
        deadline = time.monotonic() + 20
        while not all(path.exists() and path.read_text() for path in checkpoints):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if presses == 2:
            process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == status
        for path in checkpoints:
            assert not psutil.pid_exists(int(path.with_name("process").read_text()))
            assert path.read_text() == "step 7" and not path.with_name("stamp.json").exists()
        assert (tmp_path / "runs/first/stamp.json").exists() and not (tmp_path / "runs/last").exists()
        assert output.count("Stopping") == 1


@pytest.mark.parametrize("seconds", [0, 0.3, 0.8, 1.5])
def test_a_stop_while_the_kernels_start(tmp_path, seconds):
    "A kernel that does not listen yet may not go on to train for hours."
    write_notebook(tmp_path / "toy.ipynb", TRAIN.replace("STUBBORN", "raise"))
    with two_jobs(tmp_path) as process:
        while "right" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    assert [path.parent.name for path in tmp_path.glob("runs/*/done")] == ["first"]


def test_work_that_was_done_while_stopping_counts(tmp_path):
    "Who ends in good order after Ctrl-C has its stamp."
    write_notebook(tmp_path / "toy.ipynb", TRAIN.replace("STUBBORN", "pass"))
    with two_jobs(tmp_path) as process:
        training = 0
        while training < 2:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            training += "training" in line
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    assert all(json.loads((tmp_path / f"runs/{n}/stamp.json").read_text()) for n in ("left", "right"))
