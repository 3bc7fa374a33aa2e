"""Notebooks as the site needs them: read, executed where something has changed, with the outputs kept.

Outputs are kept by code cell, so a change of the prose executes nothing.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbformat import NotebookNode

from posegen.core import UserError
from posegen.system.processes import end_with_parent
from posegen.system.provenance import code_hash, text_hash

if TYPE_CHECKING:
    from nbclient import NotebookClient

Notebooks = dict[Path, NotebookNode]

NO_CHAPTERS = ("experiments/", ".")  # how their paths below nbs/ begin
# directives of cells that are not executed
SKIPPED = {"cuda", "slow", "notest", "eval: false"}


def directives(source: str) -> set[str]:
    "What the `#|` lines of a cell say: `{'export'}`."
    return {line[2:].strip() for line in source.splitlines() if line.startswith("#|")}


def code_of(notebook: NotebookNode) -> list[str]:
    "The sources of the code cells."
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook: NotebookNode) -> list[list]:
    "The outputs of each code cell."
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def title_of(notebook: NotebookNode) -> str:
    "The first heading, or an empty text."
    found = (
        re.search(r"^# (.+)$", cell.source, re.M) for cell in notebook.cells if cell.cell_type == "markdown"
    )
    return next((match[1].strip() for match in found if match), "")


def module_of(notebook: NotebookNode) -> str:
    "The module that a chapter exports (`pose`, `data.store`; `data` for a door), or an empty text."
    found = (re.search(r"^#\|\s*default_exp\s+(\S+)", source, re.M) for source in code_of(notebook))
    return next((match[1].removesuffix(".__init__") for match in found if match), "")


def chapters(root: Path) -> Notebooks:
    "All notebooks but the experiments, in the order of their Next lines from the first; then those without one."
    folder = root / "nbs"
    paths = sorted(
        (
            path
            for path in folder.rglob("*.ipynb")
            if not path.relative_to(folder).as_posix().startswith(NO_CHAPTERS)
        ),
        key=lambda path: (path.parent != folder, path.stem != "index", path.relative_to(folder)),
    )
    remaining = {path: nbformat.read(path, 4) for path in paths}
    ordered: Notebooks = {}
    path = folder / "index.ipynb"
    while path in remaining:
        ordered[path] = remaining.pop(path)
        path = next_of(path, ordered[path])
    return ordered | remaining


def next_of(path: Path, notebook: NotebookNode) -> Path:
    "The notebook that the Next line at the end leads to; the folder itself if there is none."
    last = notebook.cells[-1].source if notebook.cells else ""
    found = re.search(r"^\*\*Next:\*\* \[\w+\]\(([^)]+)\)", last, re.M)
    return Path(os.path.normpath(path.parent / (found[1] if found else "")))


def room_of(page: str) -> str:
    "`data` for `nbs/data/01_store.ipynb`, an empty text for a chapter on top."
    return "/".join(Path(page).parts[1:-1])


def is_door(page: str) -> bool:
    "Whether this chapter opens a room: `nbs/data/00_data.ipynb`."
    return bool(room_of(page)) and Path(page).name.startswith("00_")


def execution_key(notebook: NotebookNode, root: Path) -> str:
    "SHA-256 of all that outputs depend on: code, used modules and assets, versions of packages."
    code, pins = code_of(notebook), root / "constraints.txt"
    used = [code_hash(code), pins.read_text() if pins.exists() else "", sys.version]
    return text_hash(json.dumps([code, used]))


def client_of(notebook: NotebookNode, folder: Path, sockets: str) -> "NotebookClient":
    "What executes a notebook in `folder`, with a kernel that is reached through files in `sockets`."
    from nbclient import NotebookClient
    from traitlets.config import Config

    # not through ports: of those that are free, another program may take one before the kernel does
    reached = Config(KernelManager=dict(transport="ipc", ip=os.path.join(sockets, "kernel")))
    return NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        skip_cells_with_tag="skip-execution",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        config=reached,
        resources=dict(metadata=dict(path=str(folder))),
    )


def execute(path: Path, notebook: NotebookNode, root: Path, kept: Path) -> tuple[float, str]:
    """Execute a notebook in its folder and keep its outputs in `kept`, unless they are there already.

    Returns the seconds it took when it was executed, and the error that stopped it, or "".
    """
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from .kernels import forked_kernels

    key = execution_key(notebook, root)
    if kept.exists() and (known := json.loads(kept.read_text()))["key"] == key:
        return known["seconds"], ""
    for cell in notebook.cells:
        if cell.cell_type == "code" and directives(cell.source) & SKIPPED:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "skip-execution"]
    os.environ.update(PYTHONPATH=str(root), PYDEVD_DISABLE_FILE_VALIDATION="1")
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as sockets, forked_kernels():
            client_of(notebook, path.parent, sockets).execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return time.monotonic() - began, re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    content = dict(key=key, seconds=round(time.monotonic() - began, 1), outputs=outputs_of(notebook))
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(content))
    return content["seconds"], ""


def execute_all(notebooks: Notebooks, root: Path, cache: Path, workers: int) -> dict[Path, list[list]]:
    """Execute notebooks side by side and return the outputs of their code cells.

    Prints the seconds that each took when it was executed; raises `UserError` if any of them failed.
    """
    kept = {path: cache / path.relative_to(root).with_suffix(".json") for path in notebooks}
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the notebooks share the cores
    failed = []
    with ProcessPoolExecutor(workers, initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        tasks = {
            path: pool.submit(execute, path, notebook, root, kept[path])
            for path, notebook in notebooks.items()
        }
        for path, task in tasks.items():
            seconds, error = task.result()
            name = path.relative_to(root / "nbs").as_posix()
            print(f"{name:32} {seconds:5.1f} s", flush=True)
            if error:
                failed.append(name)
                print(f"{name} failed:\n{error}\n", file=sys.stderr)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(notebooks)} notebooks could not be executed: "
            f"{', '.join(failed)}; their errors are above."
        )
    return {path: json.loads(kept[path].read_text())["outputs"] for path in notebooks}


@contextmanager
def experiments_running(root: Path, work: Path) -> Iterator[None]:
    """Run the report's experiments with the preset `test` meanwhile; like every run, this does only what has changed.

    At the end they are done, or after an error stopped. Raises `UserError` if they fail."""
    log = work / "experiments.log"
    print(
        f"experiments with the preset test; minutes the first time, then what has changed (log: {log})",
        flush=True,
    )
    command = (
        "import sys; from posegen.cli import main; from posegen.system.processes import end_with_parent; "
        f"end_with_parent({os.getpid()}); sys.exit(main(sys.argv[1:]))"
    )
    place = work.relative_to(root) if work.is_relative_to(root) else work  # the notebooks print it
    words = ["reproduce", "--preset", "test"]
    words += ["--runs", str(place / "runs"), "--figures", str(place / "figures")]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", command, *words],
            cwd=root,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(PYTHONPATH=str(root)),
        )
    try:
        yield
        failed = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if failed:
        raise UserError(f"The experiments failed with the preset test; the log is {log}.")


def outputs_of_runs(notebooks: Notebooks, runs: Path) -> dict[Path, tuple[str, list[list]]]:
    """Preset and outputs of experiments, from the executed notebooks in a folder of runs.

    Only of those whose code is the present one.
    """
    found = {}
    for executed in sorted(runs.rglob("executed.ipynb"), key=lambda path: (len(path.parts), path)):
        done = nbformat.read(executed, 4)
        done.cells = [
            cell for cell in done.cells if "injected-parameters" not in cell.metadata.get("tags", [])
        ]
        call = done.metadata.get("papermill", {})
        name, preset = Path(call.get("input_path", "")).name, call.get("parameters", {}).get("preset", "")
        for path, notebook in notebooks.items():
            if path.name == name and code_of(done) == code_of(notebook):
                found.setdefault(path, (preset, outputs_of(done)))
    return found
