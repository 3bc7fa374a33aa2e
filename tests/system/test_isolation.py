"""What lies in the user's folder or profile does not reach our processes, and a home without room stops nothing."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from bounded import run_bounded
from PIL import Image

MAIN = (sys.executable, "-P", "-c", "import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))")
EXECUTE = """
import sys
from pathlib import Path
from posegen.runs.execute import execute
from posegen.runs.job import Job
Path(sys.argv[2]).mkdir()
execute(Job("tried", Path(sys.argv[1]), dict(out=sys.argv[2])))
"""
CELL = """
import random, sys
assert random.random() < 1 and "" not in sys.path
print("all is well:", random.__name__, flush=True)
"""


@pytest.fixture
def notebook(tmp_path):
    "A notebook that imports random, without anything else in its folder."
    cells = [nbformat.v4.new_code_cell('out = ""', metadata=dict(tags=["parameters"]))]
    path = tmp_path / "elsewhere" / "a.ipynb"
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(CELL)]), path)
    return path


@pytest.fixture
def hostile(tmp_path):
    "A working folder with modules of the names of Python's, and a profile of IPython, that tell if they are run."
    folder, trace = tmp_path / "mine", tmp_path / "was run"
    told = f"open({str(trace)!r}, 'a').write(__name__)\nraise SystemExit('this is not the module')\n"
    for name in ("random", "tempfile", "queue", "ipykernel_launcher", "numpy"):
        (folder / f"{name}.py").parent.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(told)
    for place in ("profile_default/startup/00-first.py", "profile_default/ipython_kernel_config.py"):
        path = tmp_path / "home/.ipython" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told)
    (tmp_path / "startup.py").write_text(told)
    environment = dict(HOME=str(tmp_path / "home"), PYTHONSTARTUP=str(tmp_path / "startup.py"))
    return folder, environment, trace


def test_a_kernel_sees_nothing_of_the_folder_and_the_profile(notebook, hostile, tmp_path):
    folder, environment, trace = hostile
    done = run_bounded(
        [sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / "out"], cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "all is well: random" in done.stdout and not trace.exists()


def test_an_empty_place_in_the_python_path_is_not_the_working_folder_for_a_kernel(
    notebook, hostile, tmp_path
):
    "`export PYTHONPATH=$PYTHONPATH:/place` gives one where nothing was before."
    folder, environment, trace = hostile
    words = ["-P", "-c", "import os; os.environ['PYTHONPATH'] = ':' + os.environ['PYTHONPATH']\n" + EXECUTE]
    done = run_bounded([sys.executable, *words, notebook, tmp_path / "out"], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert "all is well: random" in done.stdout and not trace.exists()


def test_workers_see_nothing_of_the_folder(hostile, tmp_path):
    folder, environment, trace = hostile
    for number in range(2):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), "white").save(path)
    words = ("evaluate", "--generated", "../photos", "--target", "../photos", "--workers", "2")
    done = run_bounded([*MAIN, *words], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert "PSNR" in done.stdout and not trace.exists()


@pytest.mark.parametrize("home", ["a file", "nowhere", "forbidden"])
def test_a_home_where_nothing_can_be_written(notebook, tmp_path, home):
    place = dict(forbidden=Path("/proc")).get(home, tmp_path / home)
    if home == "a file":
        place.touch()
    inherited = {"IPYTHONDIR": "", "XDG_CACHE_HOME": "", "JUPYTER_RUNTIME_DIR": "", "HOME": str(place)}
    done = run_bounded([sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / "out"], env=inherited)
    assert done.returncode == 0, done.stderr
    assert "all is well" in done.stdout


def test_no_private_folder_is_left(notebook, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    left = temporary / f"posegen-kernel-{2**22 + 1}@{os.uname().nodename}-abc"
    left.mkdir()
    (left / "kernel.json").touch()
    others = temporary / f"posegen-kernel-{2**22 + 1}@elsewhere-abc"
    others.mkdir()
    command = [sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / "out"]
    done = run_bounded(command, env=dict(TMPDIR=str(temporary)))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in temporary.glob("posegen*")] == [others.name]
