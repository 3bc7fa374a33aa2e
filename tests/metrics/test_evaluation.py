"Experiments 4 and 5 on a tiny run: same bytes twice, baselines and intervals, provenance, clear sentences."

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

import posegen
from posegen.core import UserError, preset, warping_changes
from posegen.data.prepare import prepare
from posegen.data.store import open_store
from posegen.report.origins import trace
from posegen.report.rows import CONDITION_ROW, NEAREST_ROW
from posegen.report.table import read_table
from posegen.runs.job import experiments_folder
from posegen.system.files import file_hash
from posegen.system.provenance import notebook_cells
from posegen.training.stages import train_stage1, train_stage2

matplotlib.use("agg")
CONFIG = preset("test", train_people=4, test_people=4, evaluation_pairs=24)
OVERRIDES = dict(train_people=4, test_people=4, evaluation_pairs=24)
SCRIPT = "import json, sys; from test_evaluation import both; both(**json.loads(sys.argv[1]))"


def execute(name, **parameters):
    "Run an experiment's cells here, without a kernel; what it prints is dropped."
    names = {"__name__": name}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in notebook_cells(experiments_folder() / name):
            if cell["type"] == "code":
                exec(compile(cell["source"], name, "exec"), names)
                if "parameters" in cell["tags"]:
                    assert set(parameters) <= set(names)
                    names.update(preset="test", overrides=OVERRIDES, **parameters)
    return names


def evaluate(inputs, out, **changes):
    execute("40_evaluate.ipynb", **{**inputs, **changes}, out=str(out / "evaluate"))
    return json.loads((out / "evaluate/evaluation.json").read_text())


def report(inputs, out, **changes):
    execute(
        "50_report.ipynb",
        **{**inputs, **changes},
        evaluation=str(out / "evaluate"),
        figures=str(out / "figures"),
        out=str(out / "report"),
    )


def both(inputs, out):
    "Both experiments; called in a process of its own."
    evaluate(inputs, Path(out))
    report(inputs, Path(out))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    "A store of rendered people, G1 and two second stages: the parameters of both experiments."
    folder = tmp_path_factory.mktemp("inputs")
    prepare("embedded", folder / "store.h5", CONFIG)
    store = open_store(folder / "store.h5")
    train_stage1(CONFIG, store, folder / "stage1")
    for adversary in ("triplet", "wgan_triplet"):
        train_stage2(CONFIG, adversary, store, folder / "stage1", folder / adversary)
    copying = CONFIG.replace(**warping_changes(CONFIG))
    train_stage1(copying, store, folder / "warping")
    train_stage2(copying, "triplet", store, folder / "warping", folder / "warping-triplet")
    return dict(
        store=str(folder / "store.h5"),
        stage1=str(folder / "stage1"),
        stage2={name: str(folder / name) for name in ("triplet", "wgan_triplet")},
        warping=str(folder / "warping"),
        warping_stage2={"triplet": str(folder / "warping-triplet")},
    )


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    "Folders of two runs of both experiments, each in a new process, on the same inputs."
    root, tests = Path(posegen.__file__).parents[1], Path(__file__).parent
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), str(tests)]))
    folders = [tmp_path_factory.mktemp("run") for _ in range(2)]
    for folder in folders:
        arguments = json.dumps(dict(inputs=inputs, out=str(folder)))
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, arguments],
            env=environment,
            cwd=folder,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return folders


def test_the_same_inputs_give_the_same_bytes(finished):
    first, second = finished
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(second)) for path in second.rglob("*") if path.is_file())
    assert {"figures/table2.csv", "figures/figure5.svg", "evaluate/examples.npz"} <= set(names)
    different = [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]
    assert different == ["report/files.json"]  # it lists paths


def test_baselines_in_every_table_and_intervals_in_its_cells(finished):
    for number in (2, 3, 4):
        rows = {row["Set"]: row for row in read_table(finished[0] / f"figures/table{number}.csv")}
        assert {CONDITION_ROW, NEAREST_ROW, "G1", "Triplet", "WGAN-triplet", "Target"} <= set(rows)
        ours = [name for name in rows["G1"] if "ours" in name and ":" not in name]
        assert all(rows[CONDITION_ROW][name] for name in ours)
        assert not any(rows[CONDITION_ROW][name] for name in rows["G1"] if "published" in name)
        if number != 3:
            for name in ours:
                parts = (name + part for part in (": 95% low", "", ": 95% high"))
                low, value, high = (float(rows["G1"][part]) for part in parts)
                assert low <= value <= high
    assert " [" in (finished[0] / "figures/table2.md").read_text()


@pytest.mark.parametrize("kind", ["ssim", "gradient", "agreement", "score"])
def test_within_noise_is_said_exactly_where_the_interval_holds_zero(finished, kind):
    said = set()
    for row in read_table(finished[0] / f"figures/{kind}_difference.csv"):
        for name in row:
            if f"{name}: 95% low" in row and row[name]:
                holds = float(row[f"{name}: 95% low"]) <= 0 <= float(row[f"{name}: 95% high"])
                assert row.get(f"{name}: note", "") == ("within noise" if holds else "")
                said.add(holds)
    assert False in said  # some difference is clear: Target - G1


def test_ceiling_and_floors(finished):
    agreement = json.loads((finished[0] / "evaluate/evaluation.json").read_text())["agreement"]
    silhouette = {row: value["mean"] for row, value in agreement["silhouette"]["rows"].items()}
    assert silhouette["Target"] > 0.8 > silhouette[CONDITION_ROW]
    assert agreement["colour_difference"]["rows"]["Target"]["mean"] == 0
    assert agreement["colour_overlap"]["rows"]["Target"]["mean"] == pytest.approx(1)


def test_every_number_can_be_traced(finished, inputs):
    folder = finished[0]
    tables = json.loads((folder / "report/tables.json").read_text())
    evaluation = json.loads((folder / "evaluate/evaluation.json").read_text())
    manifest = dict(
        tables=tables,
        config=evaluation["provenance"]["config"],
        seeds=dict(config=0),
        steps=dict(evaluate=dict(versions=dict(posegen=posegen.__version__), sources="f6")),
        notebooks={"40_evaluate.ipynb": "n"},
        data=dict(store_sha256=evaluation["provenance"]["data"]["sha256"]),
    )
    assert manifest["data"]["store_sha256"] == file_hash(inputs["store"])
    traced = 0
    for path in (folder / "figures").glob("*.csv"):
        if path.name not in tables:  # words, counts, settings, the training log
            assert path.stem in ("table1", "data", "deviations", "gradient_ratio")
            continue
        with path.open() as file:
            headings = next(csv.reader(file))
        for row in read_table(path):
            name = row.get("Set", row[headings[0]])
            for heading, value in row.items():
                if value and heading in tables[path.name]["columns"]:
                    record = trace(manifest, path.name, name, heading)
                    assert "published" in record or min(record["n_pairs"], record["n_people"]) > 0
                    assert "published" in record or record["metric"] and record["protocol"]
                    traced += 1
                elif "." in value and value.strip("-")[0].isdigit():  # a number that is not a count
                    assert heading.split(": 95%")[0].split(": std")[0] in tables[path.name]["columns"]
    assert traced > 200
    heading = next(name for name in tables["table2.csv"]["columns"] if "protocol report" in name)
    weights = trace(manifest, "table2.csv", "Triplet", heading)["weights"]
    assert weights == {
        "stage1": file_hash(Path(inputs["stage1"]) / "stage1.safetensors"),
        "stage2-triplet": file_hash(Path(inputs["stage2"]["triplet"]) / "stage2.safetensors"),
    }
    assert trace(manifest, "table2.csv", CONDITION_ROW, heading)["weights"] == {}
    with pytest.raises(UserError, match="no row"):
        trace(manifest, "table2.csv", "G3", heading)


def test_figures_lie_on_an_opaque_card(finished):
    figures = finished[0] / "figures"
    for number in range(1, 7):
        with Image.open(figures / f"figure{number}.png") as image:
            assert (np.asarray(image.convert("RGBA"))[..., 3] == 255).all()
        drawing = (figures / f"figure{number}.svg").read_text()
        assert "fill: #ffffff" in drawing[:4000] and "<image" in drawing
    captions = (figures / "captions.md").read_text()
    assert all(f"**Figure {number}.**" in captions for number in range(1, 7))


def test_a_folder_less_than_the_evaluation_holds(finished, inputs, tmp_path):
    with pytest.raises(UserError, match='results of WGAN-triplet, but .* no folder for "wgan_triplet"'):
        execute(
            "50_report.ipynb",
            **{**inputs, "stage2": {"triplet": inputs["stage2"]["triplet"]}},
            evaluation=str(finished[0] / "evaluate"),
            figures=str(tmp_path),
            out=str(tmp_path),
        )


def test_stage1_alone_without_an_estimator(inputs, tmp_path, monkeypatch):
    from posegen.photos import estimators

    class Missing:
        def __init__(self):
            raise UserError("the estimator is not installed.")

    monkeypatch.setattr(estimators, "MediaPipeEstimator", Missing)
    result = evaluate(inputs, tmp_path, stage2={})
    assert "pck_torso" not in result["agreement"] and "silhouette" in result["agreement"]
    report(inputs, tmp_path, stage2={})
    assert "Not measured: the estimator is not installed." in (tmp_path / "figures/agreement.md").read_text()


def test_own_images_of_one_person(inputs, photos, tmp_path):
    prepare(photos, tmp_path / "store.h5", CONFIG)
    own = dict(inputs, store=str(tmp_path / "store.h5"), stage2={})
    result = evaluate(own, tmp_path)
    assert result["label"] == "overfitting check" and "silhouette" in result["agreement_left_out"]
    assert "inside the pose mask" in result["agreement"]["colour_overlap"]["label"]
    report(own, tmp_path)
    for name in ("table2", "ssim_difference", "agreement", "reasons"):
        lines = (tmp_path / f"figures/{name}.md").read_text().splitlines()
        cells = [line for line in lines if line.startswith("|")]
        assert len(cells) > 3 and not any("[" in line or "within noise" in line for line in cells)
