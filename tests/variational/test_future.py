"The report's future work in the graph: its jobs, what makes them run again, and what the command refuses."

from pathlib import Path

import pytest

from posegen.cli import main
from posegen.core import UserError, preset
from posegen.runs.graph import report_jobs
from posegen.runs.job import check_parameters
from posegen.runs.seeds import APART, APART_GROUPS, LONG, apart_folder, apart_steps, future_jobs
from posegen.variational.model import Settings


@pytest.mark.parametrize("name", ["test", "quick", "gpu", "paper"])
def test_every_job_comes_after_what_it_needs_and_has_only_known_parameters(name):
    done = set()
    for job in future_jobs(name):
        assert set(job.needs) <= done, job.name
        check_parameters(job.notebook, job.parameters)
        done.add(job.name)
    assert len(done) == 3 + 3 * (len(APART_GROUPS) + 1) + 1


def test_the_first_jobs_are_those_of_the_report():
    "So that nothing of it is trained twice."
    known = {job.name: job for job in report_jobs("quick")}
    for job in future_jobs("quick")[:3]:
        assert job == known[job.name]


def test_every_variant_is_one_that_the_model_takes():
    for settings in APART.values():
        Settings.from_dict(settings)
    for share in (25, 10, 5):
        together, alone = (Settings.from_dict(APART[f"labels{share}{end}"]) for end in ("", "-alone"))
        assert together.labelled == alone.labelled == share / 100
        assert together.unlabelled and not alone.unlabelled


def test_what_is_compared_has_as_many_steps():
    for name in ("test", "quick", "gpu"):
        config = preset(name)
        assert len({apart_steps(config, variant) for variant in LONG}) == 1
        assert len({apart_steps(config, variant) for variant in APART if variant not in LONG}) == 1
        assert apart_steps(config, "main") >= apart_steps(config, "short") >= 2


def test_seeds_share_the_data_and_nothing_else():
    jobs = {job.name: job for job in future_jobs("quick", dict(seed=5))}
    mains = [jobs[name] for name in ("apart-main", "seed 6: apart-main", "seed 7: apart-main")]
    assert [job.parameters["overrides"]["seed"] for job in mains] == [5, 6, 7]
    assert len({job.parameters["store"] for job in mains}) == 1 and len({job.folder for job in mains}) == 3
    assert jobs["seed 6: apart-refined"].needs == ("prepare", "seed 6: apart-main")


def test_every_variant_is_trained_once_a_seed_where_its_folder_is_said_to_be():
    assert sorted(sum(APART_GROUPS.values(), ())) == sorted(APART)
    jobs = {job.name: job for job in future_jobs("quick")}
    for variant in APART:
        written = str(apart_folder("runs/quick/seed_1", variant) / "judgement.npz")
        (job,) = [job for job in jobs.values() if written in job.outputs]
        assert job.name.startswith("seed 1: ") and variant in job.parameters["variants"]
        assert job.parameters["variants"][variant] == APART[variant]
        assert job.parameters["overrides"]["stage1_steps"] == apart_steps(preset("quick"), variant)


def test_a_setting_makes_its_own_job_run_again_and_no_other(monkeypatch):
    def keys():
        jobs = future_jobs("test")[3:-1]
        return {job.name: job.key({need: {"x": "1"} for need in job.needs}) for job in jobs}

    before = keys()
    monkeypatch.setitem(APART, "no_kl", dict(kl_weight=0.01))
    changed = {name for name, key in keys().items() if key != before[name]}
    assert changed == {"apart-controls", "seed 1: apart-controls", "seed 2: apart-controls"}


@pytest.mark.parametrize(
    "words, told",
    [
        (["--data", "photos"], "leave out --data"),
        (["--seeds", "3"], "call posegen twice"),
        (["--copying"], "call posegen twice"),
        (["--processes", "2"], "leave out --processes"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--preset", "test", "--future", *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_verdicts_without_their_trainings_say_what_to_run(tmp_path, monkeypatch):
    import nbformat
    import numpy as np

    from posegen.data import write_store
    from posegen.data.examples import Example

    monkeypatch.chdir(tmp_path)
    store = tmp_path / "store.h5"
    image, pose = np.full((32, 32, 3), 200, np.uint8), np.ones((18, 3), np.float32) * [16, 16, 1]
    examples = [
        Example(image, pose, f"{who}/{n}", "train" if who else "test", who, who)
        for who in (0, 1)
        for n in (0, 1)
    ]
    write_store(store, examples, 32, "embedded people")
    job, names = future_jobs("test")[-1], {}
    cells = [cell for cell in nbformat.read(job.notebook, 4).cells if cell.cell_type == "code"]
    exec(cells[0].source, names)
    names.update(store=str(store), folders=[str(tmp_path / "nowhere")], out=str(tmp_path / "out"))
    with pytest.raises(UserError, match="posegen reproduce --preset quick --future"):
        exec(cells[1].source, names)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["store.h5"]
