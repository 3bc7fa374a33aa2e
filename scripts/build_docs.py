"""Build the site: every chapter with its outputs, the experiments, the results in figures/, the API.

    python scripts/build_docs.py            # writes build/docs/site/index.html (`make docs`)

A notebook is executed only when its code, the modules that it uses or the packages have changed; what can be
used again lies beside the site. The pages need no network: formulas are MathML, with a font beside them.
The build fails when a link or a picture leads nowhere, or when a page names a folder of this machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs.check import check_site, machine_folders  # noqa: E402
from docs.notebooks import Notebooks, chapters, execute_all, experiments_running, outputs_of, outputs_of_runs  # noqa: E402
from docs.pages import make_pages  # noqa: E402
from posegen.core import UserError  # noqa: E402
from posegen.system.processes import end_with_parent  # noqa: E402

INTERACTIVE = "70_explore.ipynb"  # the only experiment that is no step of a run
# experiments that `posegen reproduce` runs only if it is asked to, as they take long: by option, with their results
ASKED_FOR = {
    "--seeds 3": (("55_worlds", "56_trial", "60_claims"), "results-claims"),
    "--copying": (("57_copying", "58_variant", "59_variants"), "results-copying"),
    "--future": (("65_apart", "66_future"), "results-future"),
}
NOT_RUN = (
    "*Not run for this site, so without outputs: `posegen reproduce --preset quick {}` runs it. "
    "[What came out](../../{}.md).*"
)
TESTED = (
    "*Shown as it ran with the preset `test`: a few steps, only to prove that everything works. "
    "What the experiments find is on the page [Results](../../results.md).*"
)


def build(root: Path, work: Path, workers: int, runs: Path) -> Path:
    """Build the site of the project in `root`; returns its folder, in `work` beside what can be used again.

    Experiments are shown from `runs` where the present notebooks ran there, otherwise with the preset `test`, and those
    in `ASKED_FOR` without outputs.
    Raises `UserError` if a notebook fails, Sphinx warns, or the check finds something.
    """
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # all that runs here shares the cores: waiting threads take them
    paths = sorted((root / "nbs" / "experiments").glob("*.ipynb"))
    notebooks = chapters(root) | {path: nbformat.read(path, 4) for path in paths}
    steps = {
        path: notebook
        for path, notebook in notebooks.items()
        if path.parent.name == "experiments" and path.name != INTERACTIVE
    }
    alone = {path: notebook for path, notebook in notebooks.items() if path not in steps}
    site = work / "site"
    shown, asked = outputs_of_runs(steps, runs), not_run(steps)
    remaining = {path: steps[path] for path in steps if path not in shown and path not in asked}
    watched = dict(initializer=end_with_parent, initargs=(os.getpid(),))
    with ProcessPoolExecutor(1, **watched) as aside:  # each of the three leaves a core idle at times
        widgets = aside.submit(editors, [*alone], root, work)
        with experiments_running(root, work) if remaining else nullcontext():
            outputs = execute_all(alone, root, work / "outputs", workers)
    shown |= outputs_of_runs(remaining, work / "runs")
    outputs |= {path: [[] for _ in outputs_of(steps[path])] for path in asked}
    outputs |= {path: found for path, (_, found) in shown.items()}
    notes = asked | notes_on(steps, outputs, shown)
    for gone in make_pages(root, work / "source", notebooks, outputs, notes, widgets.result()):
        (site / gone).with_suffix(".html").unlink(missing_ok=True)
    run_sphinx(work / "source", site, work, workers)
    for made in (work / "editor", work / "runtime") if (work / "editor").is_dir() else ():
        kept = shutil.ignore_patterns("key")
        shutil.copytree(made, site / "_static" / "network", ignore=kept, dirs_exist_ok=True)
    if problems := check_site(site, machine_folders(root)):
        print("\n".join(problems), file=sys.stderr)
        raise UserError(problems[0] + (f" ({len(problems) - 1} more are above.)" if problems[1:] else ""))
    return site


def not_run(steps: Notebooks) -> dict[Path, str]:
    "Notes on the experiments that are shown without outputs, by path."
    return {
        path: NOT_RUN.format(option, page)
        for path in steps
        for option, (names, page) in ASKED_FOR.items()
        if path.stem in names
    }


def notes_on(steps: Notebooks, outputs: dict, shown: dict[Path, tuple[str, list]]) -> dict[Path, str]:
    "Where the outputs of experiments come from, by path; raises `UserError` if there are none."
    if missing := [path.name for path in steps if path not in outputs]:
        raise UserError(
            f"{missing[0]} was changed while the experiments ran, or is no step of them; build again."
        )
    return {
        path: TESTED if preset == "test" else f"*Shown as it ran with the preset `{preset}`.*"
        for path, (preset, _) in shown.items()
        if preset
    }


def editors(paths: list[Path], root: Path, work: Path) -> dict[Path, str]:
    "The pose editor that runs in its page, as HTML by the notebook's path; its files lie in `work`."
    path = next((path for path in paths if path.name == INTERACTIVE), None)
    if path is None:
        return {}
    from docs.network import editor_html, fetch_runtime, make_editor  # imports torch, which takes seconds

    if missing := fetch_runtime(work / "runtime"):
        shutil.rmtree(work / "editor", ignore_errors=True)
        print(f"without the network in its page: {missing}", flush=True)
    else:
        make_editor(work / "editor")
    return {path: editor_html(path.relative_to(root).as_posix(), missing)}


def run_sphinx(source: Path, site: Path, work: Path, workers: int) -> None:
    "HTML from the pages, made by several processes; raises `UserError` with the first warning."
    make_font(work / "font" / "math.woff")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        "-c",
        str(ROOT / "docs"),
        "-d",
        str(work / "doctrees"),
        "-j",
        str(workers),
        "-q",
        "-W",
        "--keep-going",
        str(source),
        str(site),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | dict(POSEGEN_DOCS_FONT=str(work / "font"))
    )
    if done.returncode:
        shutil.rmtree(work / "doctrees", ignore_errors=True)  # or the next build would not warn again
        said = done.stderr.replace(f"{source}{os.sep}", "").strip() or "no message"
        print(said, file=sys.stderr)
        raise UserError(f"Sphinx could not build the site: {said.splitlines()[0]}")


def make_font(path: Path) -> None:
    "STIX Two Math (Open Font License), which comes with ziamath, compressed for the web."
    if not path.exists():
        from fontTools.ttLib import TTFont

        package = Path(find_spec("ziamath").origin).parent  # importing it takes a second
        font = TTFont(package / "fonts" / "STIXTwoMath-Regular.ttf")
        font.flavor = "woff"
        path.parent.mkdir(parents=True, exist_ok=True)
        font.save(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="notebooks that run side by side (default: 2)")
    parser.add_argument(
        "--runs",
        type=Path,
        default=ROOT / "runs" / "quick",
        help="run whose experiments are shown (default: runs/quick; else the preset test)",
    )
    options = parser.parse_args()
    began = time.monotonic()
    try:
        site = build(ROOT, ROOT / "build" / "docs", options.workers, options.runs)
    except UserError as error:
        print(f"build_docs: {error}", file=sys.stderr)
        return 1
    pages = sum(1 for _ in site.rglob("*.html"))
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    print(f"{pages} pages, {size:.0f} MB in {time.monotonic() - began:.0f} s: {site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
