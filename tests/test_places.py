"""Places that are not as one expects: pipes and devices, names of any kind, full disks, listeners who leave.

Nothing hangs, nothing is lost that was computed, and what cannot be is told in one sentence before the work.
"""

import csv
import os
import re
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from bounded import at_most, bounded, run_bounded
from boxes import write_boxes
from PIL import Image

from posegen.core import UserError
from posegen.photos.images import read_image
from posegen.report.watching import TensorBoardLog
from posegen.runs.execute import execute
from posegen.runs.job import Job
from posegen.system import locks
from posegen.system.files import atomic_path, make_folder, open_regular, read_json
from posegen.system.locks import lock_folder

MAIN = (sys.executable, "-c", "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))")
ASCII = {"PYTHONIOENCODING": "ascii"}
TORCHRUN = dict(RANK="0", LOCAL_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="29500")
NO_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def assert_one_sentence(outcome, pattern):
    assert outcome.status == 2, outcome.error
    *_, line = outcome.error.splitlines()
    assert line.startswith("posegen: ") and re.search(pattern, line), outcome.error
    assert "Traceback" not in outcome.error and "\x1b" not in outcome.error


def pictures(folder, names, seed=0, size=64):
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(generator.integers(0, 255, (size, size, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def two(tmp_path):
    "Two folders of three images with the same names, one of them a formula."
    names = ("a.png", "=1+1.png", "é.png")
    return pictures(tmp_path / "généré", names), pictures(tmp_path / "target", names, seed=1)


@pytest.fixture
def store(photos, posegen, tmp_path):
    path = tmp_path / "s.h5"
    assert posegen("prepare", photos, path, "--preset", "test").status == 0
    return path


# Whoever listens


@pytest.mark.parametrize("environment", [ASCII, NO_LOCALE], ids=["ascii", "no locale"])
def test_output_that_is_not_utf_8(two, tmp_path, environment):
    "The tables are the same bytes, and what is said is ASCII."
    words = ("evaluate", "--generated", two[0], "--target", two[1], "--out")
    usual = run_bounded([*MAIN, *words, tmp_path / "usual"])
    plain = run_bounded([*MAIN, *words, tmp_path / "plain"], env=environment)
    assert (usual.returncode, plain.returncode) == (0, 0), plain.stderr
    assert plain.stdout.isascii() and plain.stderr.isascii() and "**" in plain.stdout
    for name in ("scores.md", "scores.csv", "scores.json", "images.csv"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "usual" / name).read_bytes()
    assert "généré" in (tmp_path / "plain" / "scores.md").read_text(encoding="utf-8")


def closed_after_a_line(words):
    "Status and standard error of a program whose reader takes one line and goes, as `head -1` does."
    with bounded([*MAIN, *map(str, words)]) as program:
        first = program.stdout.readline()
        program.stdout.close()
        error = program.stderr.read()
        return first, program.wait(), error


def test_a_reader_who_leaves(store, tmp_path):
    for words in (("info", store), ("--help",)):
        first, status, error = closed_after_a_line(words)
        assert first and (status, error) == (0, ""), error


def test_a_reader_who_leaves_does_not_stop_a_training(store, tmp_path):
    words = ("train", "--stage", 1, "--store", store, "--preset", "test", "--set", "stage1_steps=30", "--out")
    _, status, error = closed_after_a_line((*words, tmp_path / "left"))
    assert (status, error) == (0, ""), error
    assert run_bounded([*MAIN, *words, tmp_path / "heard"]).returncode == 0
    left, heard = (tmp_path / name / "stage1.safetensors" for name in ("left", "heard"))
    assert left.read_bytes() == heard.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_output_to_a_full_device(store, tmp_path):
    with open("/dev/full", "w") as full:
        done = run_bounded([*MAIN, "export", store, tmp_path / "a.csv"], stdout=full)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "not all of the output could be written (No space left on device)" in done.stderr
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 21


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_both_outputs_to_a_full_device(store, tmp_path):
    "Nothing can be said, but the status can: no traceback of the sentence itself, which would be 1."
    with open("/dev/full", "w") as full:
        done = run_bounded([*MAIN, "export", store, tmp_path / "a.csv"], stdout=full, stderr=full)
        bad = run_bounded(
            [*MAIN, "export", tmp_path / "none.h5", tmp_path / "b.csv"], stdout=full, stderr=full
        )
    assert (done.returncode, bad.returncode) == (2, 2)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 21 and not (tmp_path / "b.csv").exists()


def run_closed(closed, *words):
    "The status of posegen where a shell has closed these streams, as some daemons do."
    line = shlex.join([*MAIN, *map(str, words)])
    return run_bounded(["sh", "-c", f"exec {line} {closed}"], stdout=None, stderr=None).returncode


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_from_the_start(photos, store, tmp_path, closed):
    "Nothing that is printed ends in a file of ours, and the status tells of mistakes."
    assert run_closed(closed, "export", tmp_path / "none.h5", tmp_path / "none.csv") == 2
    assert run_closed(closed, "export", store, tmp_path / "a.csv") == 0
    assert run_closed(closed, "prepare", photos, tmp_path / "t.h5", "--preset", "test") == 0
    assert run_closed("", "export", tmp_path / "t.h5", tmp_path / "t.csv") == 0
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_kernels_where_every_stream_is_closed(store, tmp_path):
    options = ("--preset", "test", "--store", store)
    assert run_closed("", "train", "--stage", 1, *options, "--out", tmp_path / "g1") == 0
    words = ("evaluate", *options, "--stage1", tmp_path / "g1", "--out", tmp_path / "e")
    assert run_closed("<&- >&- 2>&-", *words) == 0
    assert read_json(tmp_path / "e" / "evaluation.json")


def test_kernels_write_utf_8_in_any_locale(store, posegen, tmp_path):
    "What a notebook writes is the same to the last byte."
    assert (
        posegen("train", "--stage", 1, "--preset", "test", "--store", store, "--out", tmp_path / "g1").status
        == 0
    )
    words = ("evaluate", "--preset", "test", "--store", store, "--stage1", tmp_path / "g1", "--out")
    for place, environment in (("a", {}), ("b", NO_LOCALE)):
        done = run_bounded([*MAIN, *words, tmp_path / place], env=environment)
        assert done.returncode == 0, done.stderr
    found = [(tmp_path / place / "evaluation.json").read_bytes() for place in "ab"]
    assert found[0] == found[1] and not found[0].isascii()


# Where it is started


@pytest.mark.parametrize(
    "words", ["info s.h5", "export s.h5 o.csv", "evaluate --generated a --target b --out o"]
)
def test_a_working_folder_that_is_gone(tmp_path, words):
    (tmp_path / "gone").mkdir()
    command = ["sh", "-c", 'rmdir "$PWD"; exec "$0" "$@"', *MAIN, *words.split()]
    done = run_bounded(command, cwd=tmp_path / "gone")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "posegen: The folder that this was started in is not there"
    )


@pytest.mark.parametrize("name", ["SOURCE_DATE_EPOCH", "LOKY_MAX_CPU_COUNT"])
@pytest.mark.parametrize("told", ["banana", "", "2.5", "1e3"])
def test_numbers_in_the_environment_that_are_none(posegen, store, monkeypatch, name, told):
    monkeypatch.setenv(name, told)
    assert_one_sentence(posegen("info", store), f'{name} is "{re.escape(told)}" in the environment')
    monkeypatch.setenv(name, "1")
    assert posegen("info", store).status == 0


@pytest.mark.parametrize("asked", [dict(OMP_NUM_THREADS="8"), dict(OMP_NUM_THREADS="", MKL_NUM_THREADS="8")])
def test_a_limit_of_threads_below_their_number(tmp_path, asked):
    "torch would wait without end for threads that it does not get; the weights are those of one thread."
    store, weights = write_boxes(tmp_path / "s.h5"), []
    for place, environment in (("a", dict(OMP_NUM_THREADS="1")), ("b", dict(asked, OMP_THREAD_LIMIT="1"))):
        words = ("train", "--stage", 1, "--preset", "test", "--store", store, "--out", tmp_path / place)
        done = run_bounded([*MAIN, *words], env=environment)
        assert done.returncode == 0, done.stderr
        weights.append((tmp_path / place / "stage1.safetensors").read_bytes())
    assert weights[0] == weights[1]


# Names
# Names
# Names


@pytest.mark.parametrize(
    "name", ["a\x1b[31m.h5", "\x1b]0;owned\x07.h5", "a\rposegen: done.h5", "\x9b2J.h5", "a\u202eb.h5"]
)
def test_sequences_in_a_name_are_shown_not_obeyed(posegen, tmp_path, name):
    (tmp_path / name).write_bytes(b"no store")
    for words in (
        ("info", tmp_path / name),
        ("info", tmp_path / ("none" + name)),
        ("export", tmp_path / name, "o.csv"),
    ):
        outcome = posegen(*words)
        assert outcome.status == 2 and outcome.error.count("\n") == 1
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", outcome.error + outcome.out)


def test_sequences_in_what_is_said_of_a_whole_folder(photos, posegen, tmp_path):
    folder = photos.rename(tmp_path / "ph\x1b[31mo")
    outcome = posegen("prepare", folder, tmp_path / "s.h5", "--preset", "test")
    assert outcome.status == 0 and "\x1b" not in outcome.out and r"\x1b[31mo" in outcome.out


@pytest.mark.parametrize("first", ["=", "+", "-", "@"])
def test_a_formula_is_a_text_in_the_table_of_images(posegen, tmp_path, first):
    name = f"{first}cmd|' -C calc'!A0"
    for number, side in enumerate(("generated", "target")):
        pictures(tmp_path / side, [f"{name}.png", "b.png"], seed=number)
    outcome = posegen(
        "evaluate",
        "--generated",
        tmp_path / "generated",
        "--target",
        tmp_path / "target",
        "--out",
        tmp_path / "o",
    )
    assert outcome.status == 0, outcome.error
    rows = list(csv.DictReader((tmp_path / "o" / "images.csv").read_text(encoding="utf-8").splitlines()))
    assert sorted(row["name"] for row in rows) == sorted(["b", "'" + name])
    assert all(float(row["L1"]) > 0 for row in rows)


def test_names_that_are_no_utf_8(photos, two, posegen, tmp_path):
    strange = os.fsdecode(b"n\xff.png")
    shutil.copy(photos / "frame_03.png", photos / strange)
    outcome = posegen("prepare", photos, tmp_path / "s.h5", "--preset", "test")
    assert outcome.status == 0 and "its name holds characters that are no text" in outcome.out
    for folder in two:
        shutil.copy(folder / "a.png", folder / strange)
    outcome = posegen("evaluate", "--generated", two[0], "--target", two[1], "--out", tmp_path / "o")
    assert outcome.status == 0, outcome.error
    assert "n\\xff," in (tmp_path / "o" / "images.csv").read_text(encoding="utf-8")
    for words in (("info", os.fsdecode(b"\xff.h5")), ("prepare", photos, tmp_path / os.fsdecode(b"\xff.h5"))):
        assert_one_sentence(posegen(*words), r"\\xff.h5 is not in UTF-8")


def test_braces_and_percent_signs_in_a_path(tmp_path, monkeypatch):
    folder = tmp_path / "a{0}b{x}%s%(y)d"
    folder.mkdir()
    cells = [
        nbformat.v4.new_code_cell('out = ""', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("from pathlib import Path\nPath(out, 'done').write_text('done')"),
    ]
    notebook = folder / "note{0}book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    job = Job("braces", notebook, dict(out=str(folder)))
    execute(job)
    assert (folder / "done").read_text() == "done" and job.executed.is_file()


# Pipes and devices

PIPES = [
    "info pipe",
    "info pipe.h5",
    "info pipe.json",
    "info pipe.safetensors",
    "info pipe.pt",
    "export pipe.h5 o.csv",
    "export s.h5 pipe.csv",
    "export s.h5 null.csv",
    "prepare photos pipe.h5",
    "prepare pipe x.h5",
    "prepare pipe.h5 x.h5",
    "prepare zero.h5 x.h5",
    "prepare photos x.h5 --keypoints pipe.csv",
    "estimate pipe o.csv",
    "estimate photos pipe.csv",
    "train --stage 1 --store pipe.h5 --out g1",
    "train --stage 1 --store s.h5 --out pipe",
    "train --stage 1 --store s.h5 --out file",
    "train --stage 1 --store s.h5 --out file/below",
    "train --stage 2 --store s.h5 --stage1 pipe --out g2",
    "transfer pipe.jpg --pose photos/frame_03.png --out o.png",
    "transfer zero.jpg --pose photos/frame_03.png --out o.png",
    "transfer photos/frame_03.png --pose photos/frame_04.png --out o.png --model pipe",
    "evaluate --generated pipe --target photos",
    "evaluate --generated photos --target photos --keypoints pipe.csv",
    "evaluate --generated photos --target photos --out pipe",
    "evaluate --generated photos --target photos --out file",
    "evaluate --store s.h5 --stage1 g1 --out file",
    "evaluate --store s.h5 --stage1 g1 --out pipe",
    "reproduce --preset test --data pipe.h5 --runs r --figures f",
    "reproduce --preset test --data s.h5 --runs r --figures file",
    "reproduce --preset test --data s.h5 --runs pipe --figures f",
]


@pytest.mark.parametrize("line", PIPES)
def test_a_pipe_or_a_device_is_refused_before_the_work(store, photos, posegen, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    for suffix in ("", ".h5", ".csv", ".json", ".jpg", ".pt", ".safetensors"):
        os.mkfifo(f"pipe{suffix}")
    os.symlink("/dev/zero", "zero.jpg")
    os.symlink("/dev/zero", "zero.h5")
    os.symlink("/dev/null", "null.csv")
    Path("file").touch()
    words = line.split()
    if words[0] in ("train", "prepare", "evaluate") and "--generated" not in words:
        words += ["--preset", "test"]
    with at_most(60):
        outcome = posegen(*words)
    assert_one_sentence(outcome, "pipe|zero|null|file")
    assert "/4" not in outcome.out, "it trained first"
    assert os.path.islink("null.csv") and os.path.isfile("file") and not os.path.getsize("file")


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "loop"])
def test_what_is_no_file_is_never_opened(tmp_path, kind):
    path = tmp_path / "x.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        import socket

        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    for read in (open_regular, read_image):
        with at_most(5), pytest.raises(UserError, match="x.png"):
            read(path)
    with at_most(5):
        assert read_json(path) == {}


def test_a_pipe_among_the_images(two, photos, posegen, tmp_path):
    os.mkfifo(photos / "frame_99.png")
    with at_most(60):
        outcome = posegen("prepare", photos, tmp_path / "s.h5", "--preset", "test")
    assert outcome.status == 0 and "not a file" in outcome.out
    for folder in two:
        os.mkfifo(folder / "z.png")
    with at_most(60):
        outcome = posegen("evaluate", "--generated", two[0], "--target", two[1])
    assert outcome.status == 0 and "z.png" in outcome.out + outcome.error  # left out, and said


# What a kill leaves

WRITE = """
import sys, time
from posegen.system.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(bytes(100))
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_with_the_next_start(tmp_path):
    with bounded([sys.executable, "-c", WRITE, tmp_path / "figure4.png"]) as program:
        program.stdout.readline()
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    (left,) = tmp_path.iterdir()
    assert re.fullmatch(r"\.\d+@.+\.part\.figure4\.png", left.name)
    with atomic_path(tmp_path / "figure5.png") as temporary:
        temporary.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["figure5.png"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    with bounded([sys.executable, "-c", WRITE, tmp_path / "figure4.png"]) as program:
        program.stdout.readline()
        with atomic_path(tmp_path / "figure5.png") as temporary:
            temporary.touch()
        assert len([path for path in tmp_path.iterdir() if ".part." in path.name]) == 1


def test_a_table_that_was_finished_before_the_kill(photos, posegen, tmp_path, capsys):
    "An estimate that was killed after its table was written is done; a table of other images is not its own."
    table = tmp_path / "t.csv"
    (photos / "keypoints.csv").rename(table)
    before = table.read_bytes()
    os.utime(table, ns=(time.time_ns() + 10**9,) * 2)
    outcome = posegen("estimate", photos, table)
    assert outcome.status == 0 and "holds the keypoints of these images already" in outcome.out
    assert "poses: 20" in outcome.out and table.read_bytes() == before
    (photos / "frame_19.png").unlink()
    assert_one_sentence(posegen("estimate", photos, table), "exists already")


# Places that are full, forbidden, or know no locks


def test_a_folder_that_may_not_be_written(store, posegen, tmp_path, monkeypatch):
    forbidden = tmp_path / "figures"
    forbidden.mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != forbidden and real(path, mode))
    with pytest.raises(UserError, match="Nothing can be written in .*figures"):
        make_folder(forbidden)
    words = ("--preset", "test", "--data", store, "--runs", tmp_path / "r", "--figures", forbidden)
    assert_one_sentence(posegen("reproduce", *words), "Nothing can be written in .*figures")
    assert not (tmp_path / "r" / "stage1").exists()


def test_a_read_only_file_system(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    with pytest.raises(UserError, match=r"a.txt cannot be written \(Read-only file system\)"):
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.touch()
            monkeypatch.setattr(os, "replace", read_only)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [37, 38, 95])
def test_a_file_system_without_locks_gets_a_warning(tmp_path, monkeypatch, capsys, code):
    import fcntl

    def without(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", without)
    monkeypatch.setattr(locks, "_warned", set())  # it is said once for a file system
    lock_folder(tmp_path, "busy").close()
    assert "cannot be locked in this place" in capsys.readouterr().out


def test_a_full_disk_ends_the_logs_of_tensorboard_and_not_the_training(store, posegen, tmp_path, monkeypatch):
    class Full:
        def __init__(self, *_, **__): ...

        def add_scalar(self, *_):
            raise OSError(28, "No space left on device")

        add_images = flush = close = add_scalar

    pytest.importorskip("tensorboard")
    made = TensorBoardLog.__init__

    def begun(self, folder):
        made(self, folder)
        self._open = Full

    monkeypatch.setattr(TensorBoardLog, "__init__", begun)
    words = (
        "train",
        "--stage",
        1,
        "--store",
        store,
        "--preset",
        "test",
        "--tensorboard",
        "--out",
        tmp_path / "g1",
    )
    outcome = posegen(*words)
    assert outcome.status == 0, outcome.error
    assert outcome.out.count("warning: the logs for TensorBoard") == 1 and "No space left" in outcome.out
    assert len((tmp_path / "g1" / "losses.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "environment, sentence",
    [
        (dict(WORLD_SIZE="4"), "WORLD_SIZE is set .* but not RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        (dict(WORLD_SIZE="2", RANK="0"), "but not LOCAL_RANK"),
        (dict(LOCAL_RANK="0"), "LOCAL_RANK is set"),
        (dict(WORLD_SIZE="0"), 'WORLD_SIZE is "0"'),
        (dict(WORLD_SIZE="many"), 'WORLD_SIZE is "many"'),
        (dict(LOCAL_WORLD_SIZE="0"), 'LOCAL_WORLD_SIZE is "0"'),
        (dict(RANK="-1"), 'RANK is "-1"'),
        (dict(OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="1"), "OMPI_COMM_WORLD_SIZE is set .* torchrun"),
        (dict(PMI_SIZE="2", PMI_RANK="0", WORLD_SIZE="1"), "PMI_SIZE is set"),
        (dict(MV2_COMM_WORLD_SIZE="two"), 'MV2_COMM_WORLD_SIZE is "two"'),
        (dict(TORCHRUN, RANK="2"), "RANK is 2 of a WORLD_SIZE of 2"),
        (dict(TORCHRUN, MASTER_PORT="http"), 'MASTER_PORT is "http"'),
        (dict(TORCHRUN, MASTER_PORT="99999"), 'MASTER_PORT is "99999"'),
        (dict(TORCHRUN, MASTER_ADDR="nowhere.invalid"), 'MASTER_ADDR is "nowhere.invalid"'),
    ],
    ids=str,
)
def test_processes_that_only_the_environment_knows(
    store, posegen, tmp_path, monkeypatch, environment, sentence
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert posegen("info", store).status == 0
    words = ("train", "--stage", 1, "--store", store, "--preset", "test", "--out", tmp_path / "g1")
    assert_one_sentence(posegen(*words), sentence)


@pytest.mark.parametrize("what", ["a file", "forbidden"])
def test_a_figures_folder_that_cannot_be_written(posegen, tmp_path, monkeypatch, what):
    "One sentence before hours of work; nothing is begun, and with the folder mended nothing stands in the way."
    figures, runs = tmp_path / "figures", tmp_path / "runs"
    if what == "a file":
        figures.write_text("mine")
    else:
        figures.mkdir()
        real = os.access
        monkeypatch.setattr(os, "access", lambda path, *mode: Path(path) != figures and real(path, *mode))
    outcome = posegen("reproduce", "--preset", "test", "--runs", runs, "--figures", figures)
    pattern = {
        "a file": "figures is a file, where a folder is needed",
        "forbidden": "Nothing can be written in",
    }
    assert_one_sentence(outcome, pattern[what])
    assert not list(runs.glob("*")) and (what == "forbidden" or figures.read_text() == "mine")


def test_a_disk_that_is_full_when_a_figure_is_written(tmp_path, monkeypatch):
    "A sentence, no half-written file under any name; with room the same call goes well."
    from posegen.report.style import new_figure, save_figure

    figure = new_figure(1, 1)

    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as disk, pytest.raises(UserError, match="no room on the disk"):
        disk.setattr(type(figure), "savefig", full)
        save_figure(figure, tmp_path / "figure4")
    assert list(tmp_path.iterdir()) == []
    save_figure(figure, tmp_path / "figure4")
    assert (tmp_path / "figure4.png").stat().st_size > 100
