"The runner on toy notebooks: what runs again and what does not, and what happens when something goes wrong."

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from posegen.core import ADVERSARY_NAMES, UserError, preset
from posegen.runs import execute as executing
from posegen.runs import job as jobs_module
from posegen.runs import manifest
from posegen.runs.execute import JobFailed, run_jobs
from posegen.runs.graph import fields_of, report_jobs
from posegen.runs.job import Job, experiments_folder, is_unchanged, source_hash
from posegen.system.provenance import notebook_cells

WRITE = "from pathlib import Path\nPath(out).mkdir(parents=True, exist_ok=True)\n"


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def in_process(monkeypatch):
    "Executes notebooks without a kernel: enough where only the choice of what to run is tested."

    def execute(job, place=None):
        cells = notebook_cells(job.notebook)
        names = {}
        exec(cells[0]["source"], names)
        names.update(job.parameters)
        for cell in cells[1:]:
            exec(cell["source"], names)

    monkeypatch.setattr(executing, "execute", execute)


@pytest.fixture
def graph(tmp_path, monkeypatch):
    "Two jobs: `double` writes twice its number, `add` adds one to that. Returns a function that makes them."
    monkeypatch.chdir(tmp_path)
    double = write_notebook(
        tmp_path / "double.ipynb",
        "number = 1\nout = ''",
        WRITE + "Path(out, 'number').write_text(str(2 * number))",
    )
    add = write_notebook(
        tmp_path / "add.ipynb",
        "source = ''\nstep = 1\nout = ''",
        WRITE + "Path(out, 'number').write_text(str(int(Path(source).read_text()) + step))",
    )

    def jobs(number=1, step=1):
        return [
            Job("double", double, dict(number=number, out="runs/double"), ("runs/double/number",)),
            Job(
                "add",
                add,
                dict(source="runs/double/number", step=step, out="runs/add"),
                ("runs/add/number",),
                ("double",),
            ),
        ]

    return jobs


def which_ran(jobs, **options):
    return [name for name, stamp in run_jobs(jobs, **options).items() if stamp["ran"]]


def test_only_what_changed_runs_again(graph, in_process):
    assert which_ran(graph()) == ["double", "add"]
    assert Path("runs/add/number").read_text() == "3"
    assert which_ran(graph()) == []
    assert which_ran(graph(step=5)) == ["add"]
    assert Path("runs/add/number").read_text() == "7"
    assert which_ran(graph(number=2, step=5)) == ["double", "add"]
    assert Path("runs/add/number").read_text() == "9"
    assert which_ran(graph(number=2, step=5), force=True) == ["double", "add"]


def test_a_notebook_counts_with_its_source_not_with_its_outputs(graph, in_process):
    run_jobs(graph())
    notebook = nbformat.read("add.ipynb", 4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="looked at")]
    notebook.cells[1].execution_count = 7
    nbformat.write(notebook, "add.ipynb")
    assert which_ran(graph()) == []
    notebook.cells[1].source += "\n# changed"
    nbformat.write(notebook, "add.ipynb")
    assert which_ran(graph()) == [], "a comment"
    notebook.cells[1].source += "\nlen(out)"
    nbformat.write(notebook, "add.ipynb")
    assert which_ran(graph()) == ["add"]


def test_the_package_counts_where_it_is_used(graph, in_process, monkeypatch):
    run_jobs(graph())
    used = []
    monkeypatch.setattr(
        jobs_module, "notebook_code_hash", lambda path: used.append(path.name) or "another package"
    )
    assert which_ran(graph()) == ["double", "add"]
    assert used[:2] == ["double.ipynb", "add.ipynb"]


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.unlink(), lambda path: path.write_text("10"), lambda path: path.write_text("")],
)
def test_a_missing_or_altered_output_is_made_again(graph, in_process, damage):
    run_jobs(graph())
    damage(Path("runs/add/number"))
    assert which_ran(graph()) == ["add"]
    assert Path("runs/add/number").read_text() == "3"


def test_another_result_upstream_makes_out_of_date_what_follows(graph, in_process, tmp_path):
    write_notebook(
        tmp_path / "double.ipynb",
        "number = 1\nout = ''",
        WRITE + "import random\nPath(out, 'number').write_text(str(random.random())[2:9])",
    )
    run_jobs(graph())
    before = Path("runs/add/number").read_text()
    Path("runs/double/number").unlink()
    assert which_ran(graph()) == ["double", "add"]
    after = Path("runs/add/number").read_text()
    assert after == str(int(Path("runs/double/number").read_text()) + 1) and after != before


def test_the_same_result_upstream_does_not(graph, in_process):
    run_jobs(graph())
    Path("runs/double/number").unlink()
    assert which_ran(graph()) == ["double"]
    assert which_ran(graph()) == []


def test_a_note_is_kept_but_nothing_is_computed_from_it(graph, in_process):
    def jobs():
        first, second = graph()
        write_notebook(
            first.notebook,
            "number = 1\nout = ''",
            WRITE + "import time\n"
            "Path(out, 'number').write_text('2')\nPath(out, 'note').write_text(str(time.time()))",
        )
        return [replace(first, notes=("runs/double/note",)), second]

    run_jobs(jobs())
    Path("runs/double/note").unlink()
    assert which_ran(jobs()) == ["double"]


def test_another_torch_counts(graph, in_process, monkeypatch):
    run_jobs(graph())
    installed = jobs_module.package_version
    known = lambda name: "99" if name == "torch" else installed(name)
    monkeypatch.setattr(jobs_module, "package_version", known)
    stamps = run_jobs(graph())
    assert [stamp["ran"] for stamp in stamps.values()] == [True, True]
    assert stamps["double"]["versions"]["torch"] == "99"


def test_a_copied_output_is_still_the_same(graph, in_process):
    run_jobs(graph())
    os.utime("runs/add/number", (1, 1))
    assert which_ran(graph()) == []


def test_a_damaged_stamp_means_that_the_job_runs_again(graph, in_process):
    run_jobs(graph())
    Path("runs/add/stamp.json").write_text('{"key": ')
    assert which_ran(graph()) == ["add"]


def changed_stamp(name, value):
    "A change of one entry of a stamp, or, for `size`, `time` and `sha256`, of each of its outputs."

    def change(stamp):
        parts = [stamp] if name in stamp else stamp["outputs"].values()
        for part in parts:
            if value is None:
                del part[name]
            else:
                part[name] = value

    return change


STAMPS = [
    (name, None) for name in ("key", "seconds", "finished", "sources", "versions", "notebook", "outputs")
]
STAMPS += [("outputs", []), ("outputs", {"a": None}), ("outputs", {"a": {}}), ("outputs", "a"), ("key", 1)]
STAMPS += [("seconds", "1"), ("seconds", float("nan")), ("seconds", float("inf")), ("seconds", -1)]
STAMPS += [("size", "8"), ("time", []), ("sha256", 7), ("sha256", "0" * 63), ("size", None), ("sha256", None)]


@pytest.mark.parametrize(("name", "value"), STAMPS)
def test_a_stamp_that_no_success_leaves_is_none(graph, in_process, name, value):
    run_jobs(graph())
    path = Path("runs/double/stamp.json")
    whole = path.read_bytes()
    stamp = json.loads(whole)
    changed_stamp(name, value)(stamp)
    path.write_text(json.dumps(stamp))
    assert which_ran(graph()) == ["double"]
    assert json.loads(path.read_bytes())["outputs"].keys() == json.loads(whole)["outputs"].keys()
    assert Path("runs/add/number").read_text() == "3"


@pytest.mark.parametrize("seconds", ["a", None, [1], float("nan"), float("inf"), -5])
def test_seconds_that_are_none_count_for_nothing(graph, in_process, seconds):
    "Those of a stopped call, beside its checkpoint."
    run_jobs(graph())
    started = Path("runs/add/started.json")
    started.write_text(json.dumps({**json.loads(started.read_text()), "seconds": seconds}))
    Path("runs/add/checkpoint").touch()
    Path("runs/add/stamp.json").unlink()
    stamps = run_jobs(graph())
    assert stamps["add"]["ran"] and 0 <= stamps["add"]["seconds"] < 60


@pytest.mark.parametrize("processes", [3, 0, -1, 200])
def test_processes_that_cannot_share_a_batch_are_refused_before_anything(tmp_path, processes):
    place = dict(runs=str(tmp_path / "runs"), figures=str(tmp_path / "figures"))
    with pytest.raises(
        UserError, match="Config.batch_size is 4, which|processes cannot train; ask for 1 or more"
    ):
        manifest.reproduce("test", processes=processes, **place)
    assert not list(tmp_path.iterdir())


def test_leftovers(graph, in_process, capsys):
    run_jobs(graph())
    Path("runs/add/checkpoint").touch()
    run_jobs(graph(step=2))
    assert not Path("runs/add/checkpoint").exists(), "the checkpoint of another job must not be resumed"
    Path("runs/add/checkpoint").touch()
    Path("runs/add/stamp.json").unlink()
    run_jobs(graph(step=2))
    assert Path("runs/add/checkpoint").exists(), "an interrupted job goes on from its checkpoint"
    run_jobs(graph(step=2), force=True)
    assert not Path("runs/add/checkpoint").exists(), "--force starts from nothing"


def test_the_seconds_of_all_sessions_count(graph, monkeypatch):
    job, clock, stop = graph()[0], [0.0], [True]
    monkeypatch.setattr(executing.time, "monotonic", lambda: clock[0])

    def execute(job, place=None):
        clock[0] += 10
        (job.folder / "checkpoint.pt").touch()
        if stop.pop():
            raise KeyboardInterrupt
        (job.folder / "checkpoint.pt").unlink()
        (job.folder / "number").write_text("2")

    monkeypatch.setattr(executing, "execute", execute)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([job])
    stop.append(False)
    assert run_jobs([job])["double"]["seconds"] == 20
    stop.append(False)
    assert run_jobs([job], force=True)["double"]["seconds"] == 10, "--force starts from nothing"


def test_files_of_somebody_else_are_set_aside(graph, in_process):
    Path("runs/add").mkdir(parents=True)
    Path("runs/add/diary").write_text("dear diary")
    run_jobs(graph())
    assert [path.read_text() for path in Path("runs").glob("add-before-*/diary")] == ["dear diary"]


def test_an_unknown_parameter_stops_everything_before_it_starts(graph):
    first, second = graph()
    second.parameters["sorce"] = "x"
    with pytest.raises(UserError, match=r'add.ipynb has no parameter "sorce"; did you mean "source"\?'):
        run_jobs([first, second])
    assert not Path("runs").exists()


def test_a_notebook_that_forgets_its_output(tmp_path, monkeypatch, in_process):
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(tmp_path / "lazy.ipynb", "out = ''", "pass")
    job = Job("lazy", notebook, dict(out="runs/lazy"), ("runs/lazy/result",))
    with pytest.raises(JobFailed, match="lazy ended without writing runs/lazy/result"):
        run_jobs([job])
    assert not is_unchanged(job, job.key({}))


def test_two_runs_in_one_folder(tmp_path):
    with open(tmp_path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another posegen is at work"):
            with manifest._alone_in(tmp_path):
                pass


def test_data_counts_with_its_content(tmp_path, monkeypatch):
    data, cache = tmp_path / "data", tmp_path / "cache.json"
    (data / "below").mkdir(parents=True)
    (data / "below" / "a.png").write_text("a")
    (data / "b.csv").write_text("b")
    first = source_hash(data, cache)
    os.utime(data / "b.csv", (1, 1))
    assert source_hash(data, cache) == first
    monkeypatch.setattr(jobs_module, "file_hash", lambda path: pytest.fail("hashed again"))
    assert source_hash(data, cache) == first
    monkeypatch.undo()
    (data / "b.csv").write_text("c")
    assert source_hash(data, cache) != first


# The graph of the report, with steps that only pretend

STAGE2 = [f"{kind}stage2-{name}" for kind in ("", "warping-") for name in ADVERSARY_NAMES]
STEPS = ["prepare", "stage1", "warping-stage1", *STAGE2, "evaluate", "report"]


@pytest.fixture
def steps_that_run(tmp_path, monkeypatch):
    "Reproduces the preset test with some fields changed; every step writes its name as its result."

    def execute(job, place=None):
        for path in (*job.outputs, *job.notes):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(job.name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(executing, "execute", execute)
    return lambda **overrides: which_ran(report_jobs("test", overrides=overrides))


@pytest.mark.parametrize(
    "change, expected",
    [
        (dict(evaluation_pairs=5), ["evaluate", "report"]),
        (dict(checkpoint_every=5), ["report"]),
        (
            dict(stage1_steps=5),
            ["stage1", "warping-stage1", "report"],
        ),  # what follows stays: the bytes are the same here
        (dict(views=5), ["prepare", "report"]),
        (dict(pair_reconstruction_weight=5.0), ["stage2-pair", "warping-stage2-pair", "report"]),
        (dict(stage2_steps=5), [*STAGE2, "report"]),
        (dict(stage2_decoder_width=8), [*STAGE2, "evaluate", "report"]),
        (dict(seed=5), STEPS),
    ],
)
def test_a_field_concerns_only_some_steps(steps_that_run, change, expected):
    assert steps_that_run() == STEPS
    assert steps_that_run(**change) == expected
    assert steps_that_run(**change) == []


def test_a_field_of_the_wgan_concerns_the_wgan_and_what_follows(steps_that_run, monkeypatch):
    assert steps_that_run() == STEPS
    pretend = executing.execute

    def other_weights(job, place=None):
        pretend(job)
        Path(job.outputs[0]).write_text("trained in another way")

    monkeypatch.setattr(executing, "execute", other_weights)
    critics = ["stage2-wgan_triplet", "warping-stage2-wgan_triplet"]
    assert steps_that_run(clip=0.5) == [*critics, "evaluate", "report"]


def test_the_notebooks_of_the_package_itself(tmp_path, monkeypatch):
    "Those that a wheel carries come before any that lie near it; without either, the package is incomplete."
    monkeypatch.setattr(jobs_module.posegen, "__file__", str(tmp_path / "posegen/__init__.py"))
    with pytest.raises(UserError, match="install posegen again"):
        experiments_folder()
    for folder in ("nbs/experiments", "posegen/experiments"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "10_prepare.ipynb").touch()
        assert experiments_folder() == tmp_path / folder


def test_an_unknown_field_concerns_every_step(monkeypatch):
    config = preset("test")
    later = SimpleNamespace(to_dict=lambda: {**config.to_dict(), "a_field_of_next_year": 1})
    for step in ("prepare", "stage1", *STAGE2[:3], "evaluate", "report"):
        assert "a_field_of_next_year" in fields_of(step, later)


def test_own_images_are_prepared_alike_for_any_seed():
    assert fields_of("prepare", preset("test"), "walk") == {"size": 32}


def test_the_manifest_tells_the_versions_of_each_step(steps_that_run, capsys):
    found = manifest.reproduce(preset="test")
    assert found["steps"]["prepare"]["versions"]["embreex"] and found["versions_of_last_call"]["torch"]
    assert set(found["steps"]["stage1"]["versions"]) == {"posegen", "python", "torch", "numpy"}


# With a real kernel


@pytest.mark.parametrize("terminal", [True, False])
def test_the_kernel_knows_whether_we_write_to_a_terminal(tmp_path, terminal):
    write_notebook(
        tmp_path / "train.ipynb",
        "out = ''",
        "import os, sys\n"
        + WRITE
        + "Path(out, 'done').write_text(os.environ.get('POSEGEN_PROGRESS', 'lines'))\n"
        "for step in (1, 2):\n    print(f'\\rstep {step}', end='', file=sys.stderr, flush=True)",
    )
    ours, theirs = os.openpty() if terminal else os.pipe()
    process = subprocess.Popen([sys.executable, "-c", ONE_JOB], cwd=tmp_path, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1000):
            shown += chunk
    except OSError:  # so a terminal says that nobody writes to it any more
        pass
    assert process.wait(timeout=20) == 0, shown
    assert b"\rstep 1" in shown and b"\rstep 2" in shown
    assert (tmp_path / "runs/train/done").read_text() == ("bar" if terminal else "lines")


def test_the_kernel_is_this_python_in_this_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(
        tmp_path / "where.ipynb",
        "out = ''",
        "import json, os, sys, warnings, posegen\nprint('hello from the kernel')\n"
        "warnings.warn('IProgress not found. Please update jupyter and ipywidgets.')\n"
        + WRITE
        + "where = [sys.executable, os.getcwd(), posegen.__file__]\n"
        "Path(out, 'where').write_text(json.dumps(where))",
    )
    run_jobs([Job("where", notebook, dict(out="runs/where"), ("runs/where/where",))])
    import posegen

    where = json.loads(Path("runs/where/where").read_text())
    assert where == [sys.executable, str(tmp_path), posegen.__file__]
    printed = capsys.readouterr()
    assert "hello from the kernel" in printed.out
    assert "IProgress" not in printed.out + printed.err, "tqdm's advice to whoever has no ipywidgets"
    assert Path("runs/where/executed.ipynb").exists()


def test_the_failing_cell_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(tmp_path / "bad.ipynb", "out = ''", "x = 0", "1 / x")
    job = Job("bad", notebook, dict(out="runs/bad"))
    with pytest.raises(JobFailed) as failure:
        run_jobs([job])
    assert str(failure.value) == (
        "bad failed in cell [4] of runs/bad/executed.ipynb: ZeroDivisionError: division by zero"
    )
    executed = nbformat.read("runs/bad/executed.ipynb", 4)
    assert any(cell.get("execution_count") == 4 and cell.source == "1 / x" for cell in executed.cells)
    assert not Path("runs/bad/stamp.json").exists()


def test_what_the_user_can_mend_stays_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(
        tmp_path / "user.ipynb",
        "out = ''",
        "from posegen.core import UserError\nraise UserError('There is no store x.h5.')",
    )
    with pytest.raises(UserError, match=r"^There is no store x.h5.$"):
        run_jobs([Job("user", notebook, dict(out="runs/user"))])


def test_a_kernel_that_dies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = write_notebook(tmp_path / "dies.ipynb", "out = ''", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(JobFailed, match="dies ended without a word"):
        run_jobs([Job("dies", notebook, dict(out="runs/dies"))])


ONE_JOB = """
import sys
from pathlib import Path
from posegen.runs.execute import run_jobs
from posegen.runs.job import Job
run_jobs([Job("train", Path("train.ipynb"), dict(out="runs/train"), ("runs/train/done",))])
"""


def hear_control_c():
    "What runs in the background of a shell is started deaf to Ctrl-C, and so would be the processes it starts."
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("presses", [1, 2])
def test_control_c_reaches_the_notebook(tmp_path, presses):
    stubborn = "time.sleep(60)" if presses == 2 else "raise"
    write_notebook(
        tmp_path / "train.ipynb",
        "out = ''",
        "import time\n" + WRITE + "try:\n    print('training', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    Path(out, 'checkpoint').write_text('step 7')\n"
        f"    {stubborn}\n",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ONE_JOB],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_control_c,
    )
    while "training" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()
    checkpoint = tmp_path / "runs/train/checkpoint"
    process.send_signal(signal.SIGINT)
    for _ in range(100):
        if checkpoint.exists() and checkpoint.read_text():
            break
        time.sleep(0.1)
    if presses == 2:
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode != 0 and "KeyboardInterrupt" in error
    assert checkpoint.read_text() == "step 7"
    assert not (tmp_path / "runs/train/stamp.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        "20_stage1",
        "30_stage2",
        "40_evaluate",
        "50_report",
        "55_worlds",
        "56_trial",
        "57_copying",
        "58_variant",
        "59_variants",
        "60_claims",
        "65_apart",
        "66_future",
    ],
)
def test_an_experiment_without_its_data_says_what_to_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    with pytest.raises(UserError, match="10_prepare|40_evaluate|posegen reproduce"):
        for cell in nbformat.read(experiments_folder() / f"{name}.ipynb", as_version=4).cells:
            if cell.cell_type == "code":
                exec(cell.source, names)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
