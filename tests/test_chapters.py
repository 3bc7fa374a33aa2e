"The chapters as readers meet them: a picture, links that lead somewhere, a way from the first to the last."

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "nbs"
if not NOTEBOOKS.is_dir():
    pytest.skip("the notebooks are not here: posegen was installed without them", allow_module_level=True)
CHAPTERS = {path.name: nbformat.read(path, 4) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
EXPERIMENTS = {
    path.name: nbformat.read(path, 4) for path in sorted((NOTEBOOKS / "experiments").glob("*.ipynb"))
}


def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def next_of(notebook):
    found = re.match(r"\*\*Next:\*\* \[\w+\]\(([\w/]+\.ipynb)\), ", notebook.cells[-1].source)
    return found and found[1]


def test_every_chapter_has_a_title_and_a_picture():
    for name, notebook in CHAPTERS.items():
        assert re.match(r"# \D", notebook.cells[0].source), name
        tagged = [cell for cell in notebook.cells if "picture" in cell.metadata.get("tags", [])]
        assert 1 <= len(tagged) <= 2, name


def test_one_reads_from_the_first_chapter_to_the_last():
    read, name = [], "index.ipynb"
    while name in CHAPTERS and name not in read:
        read.append(name)
        name = next_of(CHAPTERS[name])
    assert read == ["index.ipynb", *(name for name in CHAPTERS if name != "index.ipynb")]
    assert name == "experiments/10_prepare.ipynb"


@pytest.mark.parametrize(
    "folder, notebooks", [(NOTEBOOKS, CHAPTERS), (NOTEBOOKS / "experiments", EXPERIMENTS)]
)
def test_links_lead_to_files(folder, notebooks):
    for name, notebook in notebooks.items():
        for target in re.findall(r"\]\(([^)#\s]+)\)", "\n".join(prose(notebook))):
            assert re.match("https?:", target) or (folder / target).is_file(), f"{name}: {target}"


def test_the_first_notebook_names_every_other():
    text = "\n".join(prose(CHAPTERS["index.ipynb"]))
    for name in CHAPTERS:
        assert name == "index.ipynb" or f"]({name})" in text, name
    for name in EXPERIMENTS:
        assert f"](experiments/{name})" in text, name


def test_answers_are_folded_away():
    "GitHub and the site show Markdown inside of <details> only after an empty line."
    for name, notebook in CHAPTERS.items():
        for source in prose(notebook):
            assert (
                source.count("<details>") == source.count("</details>") == source.count("</summary>\n\n")
            ), name


def test_only_key_pictures_are_stored():
    for name, notebook in (CHAPTERS | EXPERIMENTS).items():
        for cell in notebook.cells:
            if cell.get("outputs"):
                assert "picture" in cell.metadata.get("tags", []), name
                assert all("image/png" in output["data"] for output in cell.outputs), name
        assert len(nbformat.writes(notebook)) < 300_000, f"{name} is larger than 300 KB"
