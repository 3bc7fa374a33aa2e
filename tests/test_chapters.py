"The chapters as readers meet them: a sentence, a picture, links that lead somewhere, a way from the first to the last."

import os
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "nbs"
if not NOTEBOOKS.is_dir():
    pytest.skip("the notebooks are not here: posegen was installed without them", allow_module_level=True)
FIRST, LAST = "index.ipynb", "experiments/10_prepare.ipynb"
EVERY = {
    path.relative_to(NOTEBOOKS).as_posix(): nbformat.read(path, 4)
    for path in sorted(NOTEBOOKS.rglob("*.ipynb"))
    if not any(part.startswith(".") for part in path.relative_to(NOTEBOOKS).parts)
}
CHAPTERS = {name: notebook for name, notebook in EVERY.items() if not name.startswith("experiments/")}
EXPERIMENTS = {name: notebook for name, notebook in EVERY.items() if name.startswith("experiments/")}
# What has no look
NOTHING_TO_SEE = {
    "animate",
    "contest",
    "entry",
    "execute",
    "files",
    "finished",
    "kernels",
    "locks",
    "options",
    "output",
    "progress",
    "schema",
    "side_files",
    "weights",
}
DOORS = {name: CHAPTERS[name] for name in CHAPTERS if re.fullmatch(r"\w+/00_\w+\.ipynb", name)}


def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def links(name, source):
    "Where the links of a text lead that are no addresses: paths below nbs/."
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", source)
    folder = os.path.dirname(name)
    return [os.path.normpath(os.path.join(folder, one)) for one in targets if not re.match("https?:", one)]


def next_of(name):
    source = CHAPTERS[name].cells[-1].source
    found = re.match(
        r"\*\*Next:\*\* \[(\w+)\]\([\w./]+/?\1\.ipynb\), |\*\*Next:\*\* \[(\w+)\]\(\2\.ipynb\), ", source
    )
    return links(name, source)[0] if found else None


def way():
    "The chapters that one comes through, from the first on, and where the last one leads."
    read, name = [], FIRST
    while name in CHAPTERS and name not in read:
        read.append(name)
        name = next_of(name)
    return read, name


def test_every_chapter_has_a_title_and_says_what_it_is():
    for name, notebook in CHAPTERS.items():
        assert re.match(r"# \D", notebook.cells[0].source), name
        assert name == FIRST or re.match(r"# .+\n\n> \S.+", notebook.cells[0].source), name


def test_every_chapter_has_a_picture():
    for name, notebook in CHAPTERS.items():
        tagged = [cell for cell in notebook.cells if "picture" in cell.metadata.get("tags", [])]
        assert len(tagged) <= 2, name
        stem = Path(name).stem.split("_", 1)[-1]
        assert tagged or name in DOORS or stem in NOTHING_TO_SEE, name


def test_one_reads_from_the_first_chapter_to_the_last():
    read, last = way()
    assert sorted(read) == sorted(CHAPTERS), "not on the way: " + ", ".join(sorted(set(CHAPTERS) - set(read)))
    assert last == LAST


def test_one_reads_a_room_from_its_door_on():
    read, _ = way()
    for door in DOORS:
        room = os.path.dirname(door)
        inside = sorted((name for name in CHAPTERS if os.path.dirname(name) == room), key=number)
        start = read.index(door)
        assert read[start : start + len(inside)] == inside, room


def number(name):
    return int(os.path.basename(name).split("_")[0])


def test_every_room_has_a_door_that_names_its_chapters():
    rooms = {os.path.dirname(name) for name in CHAPTERS} - {""}
    assert rooms == {os.path.dirname(door) for door in DOORS}
    for door, notebook in DOORS.items():
        inside = [
            name for name in CHAPTERS if os.path.dirname(name) == os.path.dirname(door) and name != door
        ]
        listed = [line for text in prose(notebook) for line in text.splitlines() if line.startswith("- [")]
        assert [links(door, line)[0] for line in listed] == sorted(inside, key=number), door
        assert all(re.fullmatch(r"- \[(\w+)\]\(\1\.ipynb\): .+", line) for line in listed), door


def test_no_two_chapters_of_a_room_have_one_number():
    places = [(os.path.dirname(name), number(name)) for name in CHAPTERS if name != FIRST]
    assert len(places) == len(set(places)), sorted(place for place in places if places.count(place) > 1)


def test_links_lead_to_files():
    for name, notebook in EVERY.items():
        for target in links(name, "\n".join(prose(notebook))):
            assert (NOTEBOOKS / target).is_file(), f"{name}: {target}"


def test_the_first_notebook_names_every_other():
    named = set(links(FIRST, "\n".join(prose(CHAPTERS[FIRST]))))
    assert not set(EVERY) - named - {FIRST}


def test_answers_are_folded_away():
    "GitHub and the site show Markdown inside of <details> only after an empty line."
    for name, notebook in CHAPTERS.items():
        for source in prose(notebook):
            assert (
                source.count("<details>") == source.count("</details>") == source.count("</summary>\n\n")
            ), name


def test_only_key_pictures_are_stored():
    for name, notebook in EVERY.items():
        for cell in notebook.cells:
            if cell.get("outputs"):
                assert "picture" in cell.metadata.get("tags", []), name
                assert all("image/png" in output["data"] for output in cell.outputs), name
        assert len(nbformat.writes(notebook)) < 300_000, f"{name} is larger than 300 KB"
