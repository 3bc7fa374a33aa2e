"""What lies in the user's folder or profile does not reach our processes, and a home without room stops nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bounded import ROOT, run_bounded
from boxes import write_boxes
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


DRAW = """
import matplotlib.pyplot as plt
import numpy as np
from posegen.report.curves import loss_curves
from posegen.report.style import save_figure
figure = plt.figure(figsize=(1, 1))
figure.add_subplot().plot([1, 2])
figure.savefig(f"{out}/bare.png")
curves = {"loss": {"G1": (np.arange(3), np.array([1.0, 0.5, 0.2]))}}
save_figure(loss_curves(curves, "note"), f"{out}/styled", vector=True)
"""
# of matplotlib; the last one changes the size of what is written
SETTINGS = "lines.linewidth: 9\naxes.facecolor: red\nfont.size: 20\naxes.grid: True\nsavefig.bbox: tight\n"


@pytest.fixture
def notebook(tmp_path):
    "A notebook that imports random, without anything else in its folder."
    return write_notebook(tmp_path / "elsewhere" / "a.ipynb", CELL)


def write_notebook(path, *code):
    cells = [nbformat.v4.new_code_cell('out = ""', metadata=dict(tags=["parameters"]))]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells + [*map(nbformat.v4.new_code_cell, code)]), path)
    return path


@pytest.fixture
def hostile(tmp_path):
    "A working folder with modules of the names of Python's, and a profile of IPython, that tell if they are run."
    folder, trace = tmp_path / "mine", tmp_path / "was run"
    told = f"open({str(trace)!r}, 'a').write(__name__)\nraise SystemExit('this is not the module')\n"
    names = ("random", "tempfile", "queue", "ipykernel_launcher", "numpy", "sitecustomize", "usercustomize")
    for name in (
        *names,
        "ipython_config",
        "ipython_kernel_config",
        "jupyter_config",
        "conftest",
        "matplotlib",
    ):
        (folder / f"{name}.py").parent.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(told)
    for place in ("profile_default/startup/00-first.py", "profile_default/ipython_kernel_config.py"):
        path = tmp_path / "home/.ipython" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told)
    (tmp_path / "startup.py").write_text(told)
    for place in (folder, tmp_path / "home/.config/matplotlib"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "matplotlibrc").write_text(SETTINGS)
    environment = dict(
        HOME=str(tmp_path / "home"), PYTHONSTARTUP=str(tmp_path / "startup.py"), MPLBACKEND="nosuch"
    )
    return folder, environment, trace


def test_a_kernel_sees_nothing_of_the_folder_and_the_profile(notebook, hostile, tmp_path):
    folder, environment, trace = hostile
    done = run_bounded(
        [sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / "out"], cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "all is well: random" in done.stdout and not trace.exists()


def test_figures_do_not_heed_the_settings_of_folder_and_profile(hostile, tmp_path):
    "To the last bit the same figures, with a `matplotlibrc` in both and without."
    folder, environment, _ = hostile
    notebook = write_notebook(tmp_path / "elsewhere" / "b.ipynb", DRAW)
    (tmp_path / "clean").mkdir()
    clean = dict(HOME=str(tmp_path / "clean"), XDG_CONFIG_HOME=str(tmp_path / "clean"))
    environment = environment | dict(XDG_CONFIG_HOME=str(tmp_path / "home/.config"))
    for place, where, given in (("a", tmp_path / "clean", clean), ("b", folder, environment)):
        words = [sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / place]
        done = run_bounded(words, cwd=where, env=given | dict(MPLBACKEND="agg"))
        assert done.returncode == 0, done.stderr
    for name in ("bare.png", "styled.png", "styled.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert Image.open(tmp_path / "a" / "bare.png").size == (100, 100)


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


def test_a_training_with_logs_sees_no_settings_of_figures(hostile, tmp_path):
    pytest.importorskip("tensorboard")
    folder, environment, trace = hostile
    store = write_boxes(tmp_path / "store.h5")
    words = ("train", "--stage", "1", "--store", store, "--preset", "test", "--tensorboard", "--out", "g1")
    done = run_bounded([*MAIN, *words], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert not trace.exists() and list((folder / "g1" / "tensorboard").iterdir())


def test_a_kernel_that_cannot_begin_is_one_sentence(tmp_path):
    "Its Python is given another ipykernel by a place that the user has named for modules."
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "ipykernel.py").write_text("raise SystemExit('not the kernel')")
    store = write_boxes(tmp_path / "store.h5")
    words = ("--store", store, "--preset", "test", "--stage1", tmp_path / "g1", "--out", tmp_path / "e")
    environment = dict(PYTHONPATH=os.pathsep.join([str(tmp_path / "place"), str(ROOT)]))
    done = run_bounded([*MAIN, "evaluate", *words], env=environment)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "could not begin" in done.stderr and "PYTHONPATH" in done.stderr


@pytest.mark.parametrize("home", ["a file", "nowhere", "forbidden"])
def test_a_home_where_nothing_can_be_written(notebook, tmp_path, home):
    place = dict(forbidden=Path("/proc")).get(home, tmp_path / home)
    if home == "a file":
        place.touch()
    inherited = {"IPYTHONDIR": "", "XDG_CACHE_HOME": "", "JUPYTER_RUNTIME_DIR": "", "HOME": str(place)}
    done = run_bounded([sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / "out"], env=inherited)
    assert done.returncode == 0, done.stderr
    assert "all is well" in done.stdout


IN_FULL_HOME = """
mount -t tmpfs -o size=4k,nr_inodes="$1" posegen "$HOME" || exit 77
if [ "$1" != 1 ]; then mkdir -p "$HOME/.cache/matplotlib" "$HOME/.config/matplotlib" "$HOME/.ipython" "$HOME/.local"; fi
head -c 100000 /dev/zero > "$HOME/all that fits" 2>/dev/null
shift
exec "$@"
"""


@pytest.mark.parametrize("inodes", [1, 9], ids=["no folder can be made", "folders are there"])
def test_a_home_without_room(tmp_path, inodes):
    "In a file system of its own, of one page that is full."
    own = ["unshare", "-rm", "sh", "-c", IN_FULL_HOME, "sh", inodes]
    home = tmp_path / "home"
    home.mkdir()
    try_out = [*map(str, own), "true"]
    if (
        not shutil.which("unshare")
        or subprocess.run(try_out, env={**os.environ, "HOME": str(home)}).returncode
    ):
        pytest.skip("no file system can be mounted here")
    notebook = write_notebook(tmp_path / "elsewhere" / "b.ipynb", CELL, DRAW)
    inherited = dict.fromkeys(("IPYTHONDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "JUPYTER_RUNTIME_DIR"), "")
    command = [*own, sys.executable, "-P", "-c", EXECUTE, notebook, tmp_path / "out"]
    done = run_bounded(command, env=inherited | dict(HOME=str(home)))
    assert done.returncode == 0, done.stderr
    assert "all is well" in done.stdout and "Kernel died" not in done.stderr
    assert (tmp_path / "out" / "styled.png").stat().st_size > 1000


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
