"What a wheel of posegen holds, and that it works outside of a checkout."

import json
import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email.parser import Parser

import packaged
import pytest
from packaged import ROOT

import posegen

ASSETS = [
    path.relative_to(ROOT / "posegen/assets")
    for path in (ROOT / "posegen/assets").rglob("*")
    if path.is_file()
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return packaged.install(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def files(installed):
    "Name in the wheel -> content."
    (path,) = installed.parent.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def metadata(files):
    (name,) = (name for name in files if name.endswith("METADATA"))
    return Parser().parsestr(files[name].decode())


def test_the_wheel_holds_the_package_and_nothing_else(files, installed):
    checkout = installed.parent / "checkout"
    wanted = {path.relative_to(checkout).as_posix(): path for path in (checkout / "posegen").rglob("*.py")}
    wanted |= {
        f"posegen/experiments/{path.name}": path for path in (checkout / "nbs/experiments").glob("*.ipynb")
    }
    wanted |= {f"posegen/assets/{path}": checkout / "posegen/assets" / path for path in ASSETS}
    wanted["posegen/py.typed"] = checkout / "posegen/py.typed"
    assert {name for name in files if ".dist-info/" not in name} == set(wanted)
    assert {
        "posegen/runs/graph.py",
        "posegen/experiments/10_prepare.ipynb",
        "posegen/assets/people.npz",
    } <= set(wanted)
    for name, path in wanted.items():
        assert files[name] == path.read_bytes(), f"{name} is not {path}"


def test_the_metadata(metadata):
    settings = ConfigParser(delimiters=["="], interpolation=None)
    settings.read(ROOT / "settings.ini")
    assert metadata["Version"] == settings["DEFAULT"]["version"] == posegen.__version__
    assert set(metadata.get_all("Provides-Extra")) == {
        "dev",
        "docs",
        "estimator",
        "mp4",
        "notebook",
        "tensorboard",
    }
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert "torch>=2.13" in needed and not any("nbdev" in line or "pytest" in line for line in needed)
    assert metadata.get_payload().startswith("# posegen")


def test_the_licences(files, metadata):
    assert metadata["License-Expression"] == "Apache-2.0 AND CC0-1.0"
    licences = {name.split("/licenses/")[1] for name in files if "/licenses/" in name}
    assert licences == {
        "LICENSE",
        "NOTICE",
        "posegen/assets/ESTIMATOR_LICENSE.txt",
        "posegen/assets/PEOPLE_LICENSE.txt",
    }
    notice = (ROOT / "NOTICE").read_text()
    for path in ASSETS:
        if "LICENSE" not in path.name:
            assert path.parts[0] in notice, f"NOTICE does not say where {path} comes from"


CODE = """
import json, sys, time
began = time.process_time(), time.perf_counter()
import posegen.networks
took = [time.process_time() - began[0], time.perf_counter() - began[1]]
from posegen.people import render_people
from posegen.runs.job import experiments_folder
from posegen.transfer import PoseTransfer

models = [PoseTransfer.from_pretrained(name).size for name in ("embedded", "embedded128")]
person = next(iter(render_people(1, views=1, size=32, seed=0, progress=False)))
print(json.dumps(dict(took=took, file=posegen.__file__, experiments=str(experiments_folder()), models=models,
                      image=person.images.shape)))
"""


def test_it_works_in_an_empty_folder(installed, tmp_path):
    environment = dict(os.environ, PYTHONPATH=str(installed))
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["file"] == str(installed / "posegen/__init__.py")
    assert told["experiments"] == str(installed / "posegen/experiments")
    assert told["models"] == [64, 128] and told["image"] == [1, 32, 32, 3]
    print("import posegen.networks: {:.1f} s of processor time, {:.1f} s in all".format(*told["took"]))
    said = subprocess.run(
        [installed / "bin/posegen", "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0 and "reproduce" in said.stdout
