"The site of `make docs`, on a project of two small chapters; and the check of its links."

import importlib.util
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from posegen.core import UserError
from posegen.runs.graph import report_jobs

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

NEEDED = [
    name
    for name in ("sphinx", "myst_nb", "furo", "latex2mathml", "ziamath")
    if not importlib.util.find_spec(name)
]
needs_sphinx = pytest.mark.skipif(
    bool(NEEDED), reason=f'not installed: {", ".join(NEEDED)} (pip install -e ".[docs]")'
)

README = """# tiny

A [chapter](nbs/00_first.ipynb), a [table](figures/table2.md), the [figures](figures), [its source](posegen).
"""
FIRST = [
    """# First: what comes first

Where $x^2$ is less than \\$5, `01_second` and the chapter *Second* go on:

$$\\overline{x} \\leq \\frac12$$""",
    "#| default_exp first",
    "#| hide\nhidden_from_readers = 1",
    "#| export\nimport os",
    """import matplotlib.pyplot as plt
with open("executions.txt", "a") as log: log.write("x")
print("six times seven is", 6 * 7)
plt.plot([1, 2]);""",
]
SECOND = [
    "# Second: what comes next\n\nAs [before](00_first.ipynb).",
    "import tempfile\nprint(tempfile.mkdtemp() + '/a.txt')",
    "# On\n\n**Next:** [00_room](room/00_room.ipynb), a room.",
]
DOOR = ["# The room\n\n> What it is for.\n\n- [01_inside](01_inside.ipynb)", "#| default_exp room.__init__"]
INSIDE = ["# Inside: what a room holds\n\nAs [before](../00_first.ipynb).", "#| default_exp room.inside"]
MODULE = """__all__ = ["LIMIT", "scale", "Point"]
LIMIT = 3

def scale(
    size: int,          # pixels of a side
    factor: float = 2,
) -> "Point":
    "`size` times `factor`; raises `ValueError` below 0."

def _hidden(): "Not for readers."

class Point:
    "Where something is."
    x: float = 0.0      # pixels from the left

    def moved(self, by: float) -> float:
        "The place `by` pixels on."
"""


def write_notebook(path, cells):
    "A notebook whose cells are Markdown where they begin with a heading."
    make = {True: nbformat.v4.new_markdown_cell, False: nbformat.v4.new_code_cell}
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [make[source.startswith("# ")](source) for source in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "A folder with two chapters, a room with a third, their modules, a table and a README."
    root = tmp_path_factory.mktemp("project")
    write_notebook(root / "nbs" / "00_first.ipynb", FIRST)
    write_notebook(root / "nbs" / "01_second.ipynb", SECOND)
    write_notebook(root / "nbs" / "room" / "00_room.ipynb", DOOR)
    write_notebook(root / "nbs" / "room" / "01_inside.ipynb", INSIDE)
    (root / "posegen" / "room").mkdir(parents=True)
    (root / "posegen" / "first.py").write_text('"""The first."""\n' + MODULE)
    (root / "posegen" / "room" / "__init__.py").write_text('"What it is for."\n')
    (root / "posegen" / "room" / "inside.py").write_text(MODULE)
    (root / "figures").mkdir()
    (root / "figures" / "table2.md").write_text(
        "**Table 2. Similarity**\n\n| set | SSIM |\n| --- | --- |\n| G1 | 0.78 |\n"
    )
    (root / "figures" / "table2.csv").write_text("set,SSIM\nG1,0.78\n")
    (root / "README.md").write_text(README)
    return root


def build(root):
    "Build the site; returns its folder."
    import build_docs

    return build_docs.build(root, root / "work", 1, root / "runs")


@pytest.fixture(scope="module")
def site(project):
    return build(project)


def executions(root):
    return len((root / "nbs" / "executions.txt").read_text())


@needs_sphinx
def test_chapter_is_shown_with_outputs(site):
    text = (site / "nbs" / "00_first.html").read_text()
    assert "six times seven is 42" in text
    assert "hidden_from_readers" not in text and "#|" not in text and "default_exp" not in text
    assert "Show the imports" in text
    assert list((site / "_images").glob("*.png")), "the plot is a picture of the site"
    assert text.count("<math") == 2 and text.count("\\frac") == 1  # for a screen reader
    assert text.count('href="01_second.html"') >= 3  # in backticks, in italics, and as the next page


@needs_sphinx
def test_links_lead_to_pages(site):
    front = (site / "index.html").read_text()
    for link in ("nbs/00_first.html", "results.html#figures-table2", "results.html"):
        assert f'href="{link}"' in front
    assert 'href="00_first.html"' in (site / "nbs" / "01_second.html").read_text()
    assert "0.78" in (site / "results.html").read_text()
    assert (site / "_static" / "math.woff").stat().st_size > 100_000


@needs_sphinx
def test_the_margin_shows_rooms(site):
    front = (site / "index.html").read_text()
    first, second, room, inside = (
        front.index(f'href="nbs/{page}.html"', front.index("sidebar-tree"))
        for page in ("00_first", "01_second", "room/00_room", "room/01_inside")
    )
    assert first < second < room < inside
    assert "toctree-l2" in front[room:inside] and "toctree-l1" not in front[room:inside]
    assert "01 Inside" in front[inside : inside + 60]
    for name in ("LIMIT", "Point.moved"):
        assert f'id="posegen.room.inside.{name}"' in (site / "api" / "posegen.room.inside.html").read_text()
    assert 'href="posegen.room.inside.html"' in (site / "api" / "posegen.room.html").read_text()
    assert (
        'rel="next"'
        in (site / "nbs" / "01_second.html").read_text().split('href="room/00_room.html"')[0][-400:]
    )


@needs_sphinx
def test_no_page_names_a_folder_of_this_machine(site):
    assert "…/a.txt" in (site / "nbs" / "01_second.html").read_text()


@needs_sphinx
def test_package_is_described(site):
    text = (site / "api" / "posegen.first.html").read_text()
    for name in ("LIMIT", "scale", "Point", "Point.moved"):
        assert f'id="posegen.first.{name}"' in text
    assert "pixels of a side" in text and "pixels from the left" in text and "_hidden" not in text


@needs_sphinx
def test_all_modules_are_told_in_one_table(site):
    text = (site / "api" / "modules.html").read_text()
    assert text.index("posegen.first") < text.index("posegen.room") < text.index("posegen.room.inside")
    assert text.count("<tr") == 4 and "What it is for." in text
    assert 'href="api/modules.html"' in (site / "index.html").read_text()


def test_verdicts_stand_before_the_long_table(tmp_path):
    from docs.pages import results_page

    (tmp_path / "claims.csv").write_text('No.,claim,evidence,verdict\na,it is faster,"long, words",holds\n')
    (tmp_path / "claims.md").write_text("| No. | claim | evidence | verdict |\n| --- | --- | --- | --- |\n")
    page = results_page(tmp_path, "Claims", "figures/claims")
    assert "| a | it is faster | holds |" in page
    assert page.index("| it is faster |") < page.index("## ")


def test_a_widget_is_shown_as_its_kept_picture():
    from docs.pages import WIDGET, shown_outputs

    picture = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
    widget = nbformat.v4.new_output("display_data", {WIDGET: {}})
    cell = nbformat.v4.new_code_cell("editor", outputs=[picture])
    assert shown_outputs(cell, [widget], "") == [picture]
    kept, html = shown_outputs(cell, [widget], "<p>here</p>")
    assert kept == picture and html.data == {"text/html": "<p>here</p>"}
    (words,) = shown_outputs(nbformat.v4.new_code_cell("editor"), [widget], "")
    assert "make lab" in words.data["text/markdown"]
    assert shown_outputs(cell, [], "<p>here</p>") == []


@needs_sphinx
def test_only_changed_code_is_executed(project, site):
    assert executions(project) == 1
    path = project / "nbs" / "00_first.ipynb"
    write_notebook(path, [FIRST[0] + "\n\nMore prose.", *FIRST[1:]])
    assert "More prose." in (build(project) / "nbs" / "00_first.html").read_text()
    assert executions(project) == 1
    write_notebook(path, [*FIRST, "1 + 1"])
    build(project)
    assert executions(project) == 2


@needs_sphinx
def test_build_fails_with_a_sentence(project, site):
    write_notebook(project / "nbs" / "02_bad.ipynb", ["# Bad", "1 / 0"])
    with pytest.raises(UserError, match="1 of 5 notebooks could not be executed: 02_bad.ipynb"):
        build(project)
    write_notebook(project / "nbs" / "02_bad.ipynb", ["# Bad\n\nSee [there](09_nowhere.ipynb)."])
    for _ in range(2):  # and again: nothing is taken for good
        with pytest.raises(UserError, match="nbs/02_bad.ipynb.*09_nowhere.ipynb"):
            build(project)
    (project / "nbs" / "02_bad.ipynb").unlink()
    assert not (build(project) / "nbs" / "02_bad.html").exists()


def test_annotations_name_the_module_that_is_meant():
    from docs.reference import reference_page

    source = (
        "from matplotlib.figure import Figure\nfrom ..studio.cutting import Piece\n"
        "def draw(pieces: list[Piece]) -> Figure: 'Draws.'"
    )
    page = reference_page("posegen.report.figures", source, "../nbs/report/11_figures.ipynb", "Plots")
    assert "draw(pieces: list[~posegen.studio.cutting.Piece]) -> ~matplotlib.figure.Figure" in page


@pytest.mark.parametrize(
    "body, problem",
    [
        ('<a href="b.html">b</a> <a href="b.html#there">b</a> <a href="#here" id="here">c</a>', ""),
        ('<a href="https://example.org/x">elsewhere</a> <a href="sub/">folder</a>', ""),
        ('<a href="c.html">c</a>', "a.html refers to c.html, which does not exist."),
        ('<a href="b.html#nowhere">b</a>', "a.html refers to b.html#nowhere, but that page has no #nowhere."),
        ('<img src="picture.png">', "a.html refers to picture.png, which does not exist."),
        (
            '<script src="https://cdn.example.org/x.js"></script>',
            "a.html loads https://cdn.example.org/x.js, and the site must work without network.",
        ),
        ("<pre>/home/somebody/posegen/x.h5</pre>", "a.html names a folder of this machine, /home/somebody/."),
    ],
)
def test_check(tmp_path, body, problem):
    from docs.check import check_site

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("<a href='../a.html'>a</a>")
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>')
    (tmp_path / "a.html").write_text(f"<html><body>{body}</body></html>")
    assert check_site(tmp_path, ["/home/somebody/"]) == ([problem] if problem else [])


def test_run_is_shown_only_if_its_notebook_is_the_present_one(tmp_path):
    from docs.notebooks import outputs_of_runs

    write_notebook(tmp_path / "10_prepare.ipynb", ["# Prepare", "print(1)"])
    done = nbformat.read(tmp_path / "10_prepare.ipynb", 4)
    done.metadata["papermill"] = dict(input_path="anywhere/10_prepare.ipynb", parameters=dict(preset="quick"))
    done.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    done.cells.insert(1, nbformat.v4.new_code_cell("out = 'x'", metadata=dict(tags=["injected-parameters"])))
    (tmp_path / "runs" / "prepare").mkdir(parents=True)
    nbformat.write(done, tmp_path / "runs" / "prepare" / "executed.ipynb")
    path = tmp_path / "10_prepare.ipynb"
    preset, outputs = outputs_of_runs({path: nbformat.read(path, 4)}, tmp_path / "runs")[path]
    assert preset == "quick" and outputs[0][0]["text"] == "1\n"
    write_notebook(path, ["# Prepare", "print(2)"])
    assert outputs_of_runs({path: nbformat.read(path, 4)}, tmp_path / "runs") == {}


def test_a_forked_kernel_is_like_a_new_one(tmp_path):
    "Its folder, its search path, its pictures and what it does at its end; and none is left."
    from docs.notebooks import execute

    cells = [
        "import atexit, os, sys\nprint(os.getcwd(), '' in sys.path, 'posegen' in sys.modules, 'torch' in sys.modules)",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "atexit.register(lambda: open('ended', 'w').close())\nopen('pid', 'w').write(str(os.getpid()));",
    ]
    write_notebook(tmp_path / "one.ipynb", cells)
    notebook = nbformat.read(tmp_path / "one.ipynb", 4)
    _, error = execute(tmp_path / "one.ipynb", notebook, ROOT, tmp_path / "kept.json")
    assert not error, error
    assert notebook.cells[0].outputs[0].text.split() == [str(tmp_path), "True", "False", "True"]
    assert "image/png" in notebook.cells[1].outputs[-1].data
    assert (tmp_path / "ended").exists()
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_kernel_that_dies_is_an_error(tmp_path):
    from docs.notebooks import execute

    write_notebook(tmp_path / "one.ipynb", ["import os\nos.abort()"])
    notebook = nbformat.read(tmp_path / "one.ipynb", 4)
    _, error = execute(tmp_path / "one.ipynb", notebook, ROOT, tmp_path / "kept.json")
    assert "died" in error.lower() and not (tmp_path / "kept.json").exists()


def test_every_experiment_has_a_way_onto_the_site():
    import build_docs

    from docs.pages import RESULTS

    steps = {job.notebook.stem for job in report_jobs("test")}
    asked = {name for names, _ in build_docs.ASKED_FOR.values() for name in names}
    there = {path.stem for path in (ROOT / "nbs" / "experiments").glob("*.ipynb")}
    assert there == steps | asked | {Path(build_docs.INTERACTIVE).stem} and not steps & asked
    assert {page for _, page in build_docs.ASKED_FOR.values()} < {
        f"results{where.removeprefix('figures').replace('/', '-')}" for where in RESULTS
    }


def test_outputs_name_no_folder_of_the_clone():
    from docs.pages import readable

    said = readable(
        nbformat.v4.new_output("stream", text=f"weights {ROOT.resolve()}/posegen/assets/a.safetensors")
    )
    assert said.text == "weights posegen/assets/a.safetensors"


@needs_sphinx
def test_the_projects_own_pages_are_built_without_a_warning(tmp_path):
    import build_docs

    from docs.check import check_site, machine_folders
    from docs.notebooks import chapters, outputs_of
    from docs.pages import make_pages

    paths = sorted((ROOT / "nbs" / "experiments").glob("*.ipynb"))
    notebooks = chapters(ROOT) | {path: nbformat.read(path, 4) for path in paths}
    outputs = {path: [[] for _ in outputs_of(notebook)] for path, notebook in notebooks.items()}
    make_pages(ROOT, tmp_path / "source", notebooks, outputs, {}, {})
    build_docs.run_sphinx(tmp_path / "source", tmp_path / "site", tmp_path, 2)
    assert check_site(tmp_path / "site", machine_folders(ROOT)) == []


TREE = """<p class="caption"><span class="caption-text">Chapters</span></p>
<ul class="current">
<li class="toctree-l1"><a class="reference internal" href="../index.html">Start</a></li>
<li class="toctree-l1 current"><a class="reference internal" href="00_room.html">Room</a><ul class="current">
<li class="toctree-l2 current"><a class="current reference internal" href="#">Inside</a></li>
</ul>
</li>
</ul>
<ul>
<li class="toctree-l1"><a class="reference internal" href="../../api/room.html">room</a></li>
<li class="toctree-l1"><a class="reference external" href="https://example.org">elsewhere</a></li>
</ul>
"""  # as Sphinx makes it for nbs/room/01_inside.html


def test_the_tree_of_pages_is_made_once():
    from docs.sidebar import Sidebar

    sidebar = Sidebar(TREE, "nbs/room/01_inside.html")
    assert sidebar.of("nbs/room/01_inside.html") == TREE
    plain = TREE.replace(' class="current"', "").replace(' current"', '"').replace('"current ', '"')
    plain = plain.replace('"#"', '"01_inside.html"')
    top = plain.replace("../../api", "../api").replace("../index", "index")
    top = top.replace('"00_room', '"room/00_room').replace('"01_inside', '"room/01_inside')
    assert sidebar.of("nbs/gone.html") == top
    first = top.replace('href="index.html"', 'href="#"').replace("<ul>", '<ul class="current">', 1)
    first = first.replace('toctree-l1"', 'toctree-l1 current"', 1).replace(
        '"reference', '"current reference', 1
    )
    assert sidebar.of("nbs/index.html") == first
    door = sidebar.of("nbs/room/00_room.html")
    assert door.count("current") == 3 and 'current reference internal" href="#">Room' in door
    assert 'href="nbs/room/00_room.html"' in sidebar.of("index.html")
    assert sidebar.of("search.html").count("current") == 0
