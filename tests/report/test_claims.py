"The claims of the report: a whole tiny run of all seeds' jobs, without kernels, and what the table then says."

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from posegen.core import UserError
from posegen.data.store import open_store
from posegen.report.claims import (
    FAILS,
    HOLDS,
    UNDECIDED,
    effect,
    is_exchangeable,
    more_than,
    optimal_discriminator,
)
from posegen.runs import execute as executing
from posegen.runs.execute import run_jobs
from posegen.runs.job import is_unchanged
from posegen.runs.seeds import seed_jobs
from posegen.system.provenance import notebook_cells

CLAIMS = ["a", "b", "c1", "c2", "c3", "d", "e", "f", "g", "h", "i", "j"]


def execute(job, place=None):
    "A notebook in this process: all that a kernel would add is time."
    cells = [cell for cell in notebook_cells(job.notebook) if cell["type"] == "code"]
    names = {"__name__": "__main__"}
    exec(cells[0]["source"], names)
    names.update(job.parameters)
    for cell in cells[1:]:
        exec(cell["source"], names)
    plt.close("all")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    "The folder in which the jobs of one seed of the preset `test` and the claims have run, and the jobs."
    folder = tmp_path_factory.mktemp("claims")
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executing, "execute", execute)
        patch.setattr(effect, "__defaults__", (200,))  # fewer resamples: only that they repeat is tested
        os.chdir(folder)
        try:
            jobs = list({job.name: job for group in seed_jobs("test", 1) for job in group}.values())
            run_jobs(jobs)
            yield folder, jobs
        finally:
            os.chdir(before)


def read(folder, table="claims"):
    with open(folder / f"{table}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_tiny_run_writes_a_row_for_each_claim(tiny):
    folder, jobs = tiny
    rows = read(folder / "figures/test/claims")
    assert [row["No."] for row in rows] == CLAIMS
    assert {row["verdict"] for row in rows} == {UNDECIDED}  # one seed decides nothing
    for path in jobs[-1].outputs:
        assert Path(path).stat().st_size > 0


def test_a_second_call_runs_nothing(tiny, monkeypatch):
    monkeypatch.setattr(executing, "execute", execute)
    _, jobs = tiny
    assert not any(stamp["ran"] for stamp in run_jobs(jobs).values())


def test_same_results_same_tables_and_figures(tiny):
    "And three equal seeds may decide: here the notebook gets the one seed three times."
    folder, jobs = tiny
    written = []
    for attempt in ("first", "second"):
        figures = folder / attempt
        parameters = dict(
            jobs[-1].parameters,
            folders=jobs[-1].parameters["folders"] * 3,
            figures=str(figures),
            out=str(figures / "out"),
        )
        execute(replace(jobs[-1], parameters=parameters))
        written.append({path.name: path.read_bytes() for path in sorted(figures.glob("*.*"))})
    assert len(written[0]) == 10 and written[0] == written[1]
    rows = {row["No."]: row for row in read(folder / "first")}
    assert rows["d"]["verdict"] in (HOLDS, FAILS, UNDECIDED) and rows["h"]["verdict"] == FAILS
    for row in read(folder / "first", "measurements"):
        values = [float(value) for value in row["each seed"].split(",")]
        assert values == [values[0]] * 3


def test_seconds_are_no_result(tiny):
    "Durations differ from run to run, so nothing may be computed from them: they are notes, not outputs."
    _, jobs = tiny
    curves = next(job for job in jobs if job.name == "trial-curves")
    assert [Path(path).name for path in curves.outputs] == ["trial.json"]
    assert [Path(path).name for path in curves.notes] == ["seconds.json"]
    assert "seconds" not in Path(curves.outputs[0]).read_text()
    clocks = json.loads(Path(curves.notes[0]).read_text())["triplet"]
    assert all(later["wall"] >= earlier["wall"] for earlier, later in zip(clocks, clocks[1:]))


def test_an_arm_is_stale_when_its_world_changes(tiny):
    _, jobs = tiny
    by_name = {job.name: job for job in jobs}
    results = {job.name: {path: "same" for path in job.outputs} for job in jobs}
    arm, plain = by_name["arm-background"], by_name["arm-plain"]
    assert arm.key(results) != arm.key({**results, "worlds": {"background.h5": "other"}})
    assert plain.key(results) == plain.key({**results, "worlds": {"background.h5": "other"}})
    assert not is_unchanged(arm, "another key")


def test_the_embedded_people_are_exchangeable(tiny):
    folder, _ = tiny
    data = open_store(folder / "runs/test/prepare/store.h5")
    assert is_exchangeable(data.pairs)
    assert not is_exchangeable(open_store(folder / "runs/test/worlds/one_direction.h5").pairs)
    count = [np.bincount(data.pairs[:, column], minlength=len(data)) / len(data.pairs) for column in (0, 1)]
    assert optimal_discriminator(*count, np.zeros(len(data))) == pytest.approx(2 / 3)


def test_one_direction_tells_condition_from_target():
    "Image 0 is always the condition and image 1 the target: the best answers are 0 and 1, not 2/3."
    assert optimal_discriminator(np.array([1, 0.0]), np.array([0, 1.0]), np.zeros(2)).tolist() == [0, 1]


@pytest.mark.parametrize(
    "rows, verdict",
    [
        ([[1, 2], [1, 2], [1, 2]], HOLDS),
        ([[-1, -2], [-1, -2], [-1, -2]], FAILS),
        ([[1, 2], [1, 2], [-1, -1]], UNDECIDED),
        ([[1, 2], [1, 2]], UNDECIDED),
        ([[3, -2], [3, -2], [3, -2]], UNDECIDED),
    ],
)
def test_verdicts(rows, verdict):
    assert more_than(effect(lambda mean: float(mean), [(np.array(row, float),) for row in rows])) == verdict


def test_a_world_needs_what_it_changes(tiny, tmp_path):
    from posegen.report.trials import write_world

    folder, _ = tiny
    with pytest.raises(UserError, match="cannot be made from it"):
        write_world(
            open_store(folder / "runs/test/worlds/one_direction.h5"), "common_closeups", tmp_path / "x.h5"
        )
    assert not list(tmp_path.iterdir())
