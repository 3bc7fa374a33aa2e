"The command line: what it says about bad input, and that it does what it is told to."

import json
import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from posegen.core import Terminated
from posegen.training import run as training

COMMANDS = ("reproduce", "prepare", "estimate", "export", "train", "evaluate", "transfer", "info")


def assert_one_sentence(outcome, pattern, status=2):
    "Exit status, and exactly one line on standard error that matches."
    assert outcome.status == status, outcome.error
    assert outcome.error.count("\n") == 1 and outcome.error.startswith("posegen: "), outcome.error
    assert re.search(pattern, outcome.error), outcome.error


@pytest.fixture
def store(photos, posegen, tmp_path):
    "A small store, made from the photos."
    path = tmp_path / "photos.h5"
    assert posegen("prepare", photos, path, "--preset", "test").status == 0
    return path


def train(posegen, store, out, *words):
    return posegen("train", "--preset", "test", "--stage", 1, "--store", store, "--out", out, *words)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(posegen, command):
    outcome = posegen(command, "--help")
    assert outcome.status == 0 and re.search(f"example:\n +posegen {command}", outcome.out)


def test_bad_words(posegen):
    assert_one_sentence(posegen("reprduce"), 'No such command "reprduce"; did you mean "reproduce"')
    assert_one_sentence(posegen("prepare"), "SOURCE")
    assert_one_sentence(posegen("reproduce", "--sed", "1"), 'option --sed; did you mean "--seeds"')
    assert_one_sentence(posegen("reproduce", "--seeds", "many"), '--seeds.*"many" is not a whole number')
    assert_one_sentence(posegen("train", "--stage", "3"), "--stage.*2")
    assert_one_sentence(posegen("train", "--stage", "1"), "--store")
    assert_one_sentence(posegen("estimate", "a", "b", "--person", "tallest"), "--person.*tallest.*largest")
    assert_one_sentence(posegen(), "[Mm]issing command")
    assert_one_sentence(posegen("reproduce", "--preset", "quik"), 'no preset "quik"; did you mean "quick"')
    assert_one_sentence(posegen("reproduce", "--set", "n_citic=3"), 'did you mean "n_critic"')
    assert_one_sentence(posegen("reproduce", "--set", "seed"), "FIELD=VALUE")
    assert_one_sentence(posegen("reproduce", "--set", "seed=one"), "seed takes int")
    assert_one_sentence(posegen("reproduce", "--data", "nowhere"), "no data at nowhere")


# Preparing


def edit_table(photos, old, new):
    table = photos / "keypoints.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))


def cut(path, keep=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def a_row_without_image(photos):
    edit_table(photos, "frame_03.png", "frame_99.png")


def a_word_for_a_number(photos):
    edit_table(photos, "frame_03.png: [", "frame_03.png: [left, ")


def test_a_row_without_its_image_is_warned_of_or_refused(photos, posegen, tmp_path):
    a_row_without_image(photos)
    told = '1 names in the keypoint files have no image in the folder, for example "frame_99.png"'
    words = ("prepare", photos, tmp_path / "out.h5", "--preset", "test")
    assert_one_sentence(posegen(*words, "--rule", "missing=refuse"), f"{told}: add the images or remove")
    done = posegen(*words)
    assert done.status == 0 and f"warning: {told}." in done.out


@pytest.mark.parametrize(
    "spoil, pattern",
    [
        (
            lambda photos: edit_table(photos, "name:keypoints_y:keypoints_x", "name:keypoints_x:keypoints_y"),
            r"keypoints.csv begins with .* must be",
        ),
        (a_word_for_a_number, r"keypoints.csv, line 5: .* not a list of numbers"),
        (lambda photos: cut(photos / "frame_03.png"), r"frame_03.png is damaged or cut short"),
        (lambda photos: (photos / "frame_03.png").write_text("no pixels"), r"frame_03.png is not an image"),
        (lambda photos: (photos / "keypoints.csv").unlink(), r"holds no keypoints for the 20 images"),
    ],
)
def test_a_bad_folder(photos, posegen, tmp_path, spoil, pattern):
    spoil(photos)
    assert_one_sentence(posegen("prepare", photos, tmp_path / "out.h5", "--preset", "test"), pattern)
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob(".*part*")), "something was left behind"


def test_no_such_source(posegen, tmp_path):
    assert_one_sentence(posegen("prepare", "nowhere", tmp_path / "out.h5"), 'no source "nowhere"')


def test_a_store_cut_in_half(store, posegen, tmp_path):
    cut(store)
    assert_one_sentence(posegen("info", store), "photos.h5 is cut short")
    assert_one_sentence(train(posegen, store, tmp_path / "g1"), "photos.h5 is cut short")
    assert_one_sentence(
        posegen(
            "reproduce",
            "--preset",
            "test",
            "--data",
            store,
            "--runs",
            tmp_path / "runs",
            "--figures",
            tmp_path / "figures",
        ),
        "photos.h5 is cut short",
    )


MAIN = "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))"


def full_disk(limit, *words):
    "Run posegen in a process that cannot write files of more than `limit` bytes, as on a full disk."

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limit_files,
    )


def test_a_full_disk_leaves_nothing_under_the_final_name(photos, store, tmp_path):
    for words in (
        ("prepare", photos, tmp_path / "new" / "out.h5"),
        ("train", "--stage", 1, "--store", store, "--out", tmp_path / "new"),
    ):
        done = full_disk(20_000, *words, "--preset", "test")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert "no room on the disk" in done.stderr
        assert not list((tmp_path / "new").iterdir())


def test_a_place_that_cannot_be_written(photos, posegen, tmp_path):
    (tmp_path / "file").touch()
    assert_one_sentence(posegen("prepare", photos, tmp_path / "file" / "out.h5", "--preset", "test"), "file")


# Training


@pytest.mark.parametrize("wish, status", [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_stop_resume_and_another_configuration(store, posegen, tmp_path, monkeypatch, wish, status):
    @contextmanager
    def interrupted():
        yield lambda: wish

    out = tmp_path / "g1"
    with monkeypatch.context() as pressed:
        pressed.setattr(training, "interruption", interrupted)
        assert_one_sentence(train(posegen, store, out), "same command goes on", status=status)
    assert "after step 1" in posegen("info", out / "checkpoint.pt").out
    assert_one_sentence(
        train(posegen, store, out, "--set", "width=8"), "another configuration.*width 4 there, 8 here"
    )
    outcome = train(posegen, store, out)
    assert outcome.status == 0 and "resumed at step 1 of 4" in outcome.out

    g2 = tmp_path / "g2"
    stage2 = ("train", "--preset", "test", "--stage", 2, "--store", store, "--out", g2)
    assert_one_sentence(posegen(*stage2), "--stage1")
    assert_one_sentence(posegen(*stage2, "--stage1", out, "--set", "width=8"), "another configuration.*width")
    assert_one_sentence(posegen(*stage2, "--stage1", tmp_path / "none"), "no stage1 weights in .*none")
    assert_one_sentence(posegen(*stage2, "--stage1", out, "--adversary", "tripel"), 'did you mean "triplet"')
    assert posegen(*stage2, "--stage1", out, "--adversary", "triplet").status == 0
    assert (g2 / "stage2.safetensors").exists()
    evaluate = ("evaluate", "--preset", "test", "--store", store, "--stage1", out, "--out", tmp_path / "new")
    assert_one_sentence(posegen(*evaluate, "--stage2", f"triple={g2}"), 'not "triple"')
    assert_one_sentence(posegen(*evaluate, "--stage2", f"triplet={tmp_path}"), "no stage2 weights")


@pytest.mark.parametrize(
    "function, words, promise",
    [
        ("reproduce", (), "the same command goes on from there"),
        ("reproduce", ("--force",), "the same command without --force goes on from there"),
        ("prepare", ("embedded", "out.h5"), "the same command goes on from there"),
        ("evaluate", ("--store", "s", "--stage1", "g1", "--out", "o"), "starts again from the beginning"),
    ],
)
def test_what_is_promised_after_control_c(posegen, monkeypatch, function, words, promise):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    place = {
        "reproduce": "runs.manifest.reproduce",
        "prepare": "data.prepare.prepare",
        "evaluate": "runs.graph.evaluation_alone",
    }[function]
    monkeypatch.setattr(f"posegen.{place}", stopped)
    assert_one_sentence(posegen(function, *words), promise, status=130)


def test_info(store, posegen, tmp_path):
    outcome = posegen("info", store)
    assert outcome.status == 0 and "20 images of 32 x 32 pixels" in outcome.out
    assert "overfitting check" in outcome.out
    out = tmp_path / "g1"
    assert train(posegen, store, out).status == 0
    outcome = posegen("info", out)
    assert outcome.status == 0 and "preset test, seed 0" in outcome.out
    assert "width: 4 (report: 128)" in outcome.out
    cut(out / "stage1.safetensors")
    assert_one_sentence(posegen("info", out / "stage1.safetensors"), "damaged")
    (tmp_path / "note.txt").write_text("hello")
    assert_one_sentence(posegen("info", tmp_path / "note.txt"), "nothing that posegen writes")
    assert_one_sentence(posegen("info", tmp_path / "nowhere"), "There is no")
    (tmp_path / "broken.json").write_text("{")
    assert_one_sentence(posegen("info", tmp_path / "broken.json"), "damaged")
    (tmp_path / "broken.pt").write_text("{")
    assert_one_sentence(posegen("info", tmp_path / "broken.pt"), "no training checkpoint")


def test_several_values_stand_behind_one_option(posegen, tmp_path):
    evaluate = ("evaluate", "--store", "s", "--stage1", "g1", "--out", tmp_path, "--stage2")
    assert_one_sentence(posegen(*evaluate, "triplet=a", "triple=b"), 'not "triple"')
    assert_one_sentence(posegen(*evaluate), "--stage2")
    assert_one_sentence(posegen(*evaluate, "--preset", "test"), "--stage2")


def test_a_failed_notebook_and_a_mistake_of_ours(posegen, monkeypatch):
    from posegen.runs.execute import JobFailed

    def fail(error):
        def failing(*arguments, **options):
            raise error

        monkeypatch.setattr("posegen.runs.manifest.reproduce", failing)

    fail(JobFailed("stage1 failed; see its notebook."))
    assert_one_sentence(posegen("reproduce"), "stage1 failed", status=1)
    fail(ZeroDivisionError("a mistake"))
    with pytest.raises(ZeroDivisionError):
        posegen("reproduce")


def test_help_is_quick_because_it_loads_nothing_heavy():
    code = (
        "import sys; from posegen.cli import main\n"
        "assert main(['--help']) == 0 and not {'torch', 'numpy', 'h5py', 'matplotlib', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_the_shell_completes_commands_and_options():
    def completions(words):
        asked = {"_POSEGEN_COMPLETE": "complete_bash", "COMP_WORDS": f"posegen {words}", "COMP_CWORD": "1"}
        asked["COMP_CWORD"] = str(len(words.split()))
        command = [sys.executable, "-c", MAIN]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **asked}, timeout=60
        )
        return done.stdout.split()

    assert "reproduce" in completions("repr")
    assert "--seeds" in completions("reproduce --se")


def test_info_on_a_run_of_an_earlier_version(posegen, tmp_path):
    "Its stamps name a revision, and no sources."
    stamp = dict(
        key="k", seconds=75, finished="2026-11-28", revision="97c1a27", outputs={"a.csv": dict(size=9)}
    )
    (tmp_path / "report").mkdir()
    (tmp_path / "report/stamp.json").write_text(json.dumps(stamp))
    outcome = posegen("info", tmp_path)
    assert outcome.status == 0 and "1 min 15 s" in outcome.out and "sources unknown" in outcome.out


@pytest.mark.parametrize("number", ["-4", "513", "100000", "many"])
@pytest.mark.parametrize(
    "words", ["prepare a b.h5", "estimate a b.csv", "evaluate", "train --stage 1 --store a --out g"]
)
def test_processes_that_help_are_counted_first(posegen, number, words):
    outcome = posegen(*words.split(), "--workers", number)
    assert outcome.status == 2 and "--workers" in outcome.error and outcome.error.count("\n") == 1
    assert "not a whole number" in outcome.error or "are asked for; give 0 to 512" in outcome.error


@pytest.mark.parametrize("number", ["0", "-1", "3", "200"])
def test_processes_that_cannot_share_a_batch(posegen, tmp_path, number):
    words = ("train", "--stage", 1, "--store", "a.h5", "--preset", "test", "--out", tmp_path / "g")
    outcome = posegen(*words, "--processes", number)
    assert outcome.status == 2 and outcome.error.count("\n") == 1, outcome.error
    assert "cannot share in equal parts" in outcome.error or "ask for 1 or more" in outcome.error
    assert not (tmp_path / "g").exists()
