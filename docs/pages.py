"The pages of the site as Sphinx reads them: chapters with outputs, results with captions, prose with links."

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from nbformat import NotebookNode

from .notebooks import Notebooks, directives, is_door, module_of, room_of, title_of
from .reference import overview_page, reference_page, sentence_of

LONG_TEST = 12  # lines; longer tests are folded away
WIDGET = "application/vnd.jupyter.widget-view+json"
RESULTS = {
    "figures": "Results",
    "figures/claims": "The report's claims",
    "figures/copying": "The G1 that copies: seeds and variants",
    "figures/future": "Pose and appearance apart",
    "figures/gpu": "Results on a GPU",
}
PROSE = ("CONTRIBUTING.md", "CHANGELOG.md")  # beside the README, where they are
FILES = ("LICENSE", "NOTICE")
OVERVIEW = "api/modules.md"
REPORT_FIRST = [f"table{number}" for number in range(1, 5)] + [f"figure{number}" for number in range(1, 7)]


def make_pages(
    root: Path,
    source: Path,
    notebooks: Notebooks,
    outputs: dict[Path, list[list]],
    notes: dict[Path, str],
    widgets: dict[Path, str],
) -> list[Path]:
    """Write the sources of all pages into `source`; `notes` are put below the titles of experiments.

    `widgets`: HTML that works in the page in place of the widget of which the notebook keeps a picture.

    Returns the pages that were there before and are no more. Unchanged pages are left alone, so that Sphinx
    sees what has changed.
    """
    paths = {str(path.relative_to(root)): path for path in notebooks}
    names = ChapterNames({page: notebooks[path] for page, path in paths.items()})
    pages, reference, sentences = {}, [], {}
    for page, path in paths.items():
        note, module = notes.get(path, ""), module_of(notebooks[path])
        where = root / "posegen" / (module or "_").replace(".", "/")
        code = text_of(where / "__init__.py") or text_of(where.with_suffix(".py"))
        if module and code:
            reference.append(f"api/posegen.{module}.md")
            pages[reference[-1]] = reference_page(
                f"posegen.{module}", code, os.path.relpath(page, "api"), title_of(notebooks[path])
            )
            sentences[f"posegen.{module}"] = sentence_of(code)
            note = f"Module [`posegen.{module}`]({os.path.relpath(reference[-1], os.path.dirname(page))})"
        shown = chapter_page(notebooks[path], outputs[path], names, page, note, widgets.get(path, ""))
        if is_door(page):
            inside = [names.entries[other] for other in paths if in_room(other, page)]
            shown.cells.append(nbformat.v4.new_markdown_cell(toctree(inside), id="room"))
        pages[page] = nbformat.writes(shown)
    doors = {f"api/posegen.{room_of(page)}.md" for page in paths if is_door(page)}
    rooms = {door: [page for page in reference if page.startswith(door.removesuffix("md"))] for door in doors}
    for door, inside in rooms.items():
        if door in pages:
            pages[door] += toctree([f"/{page}" for page in inside if page != door], hidden=False)
    reference = [
        page for page in reference if page in rooms or not any(page in some for some in rooms.values())
    ]
    if reference:
        pages[OVERVIEW] = overview_page(sentences)
        reference.insert(0, OVERVIEW)
    results = {
        where: f"results{where.removeprefix('figures').replace('/', '-')}.md"
        for where in RESULTS
        if any((root / where).glob("*.md"))
    }
    for where, page in results.items():
        pages[page] = results_page(root / where, RESULTS[where], where)
        copy([path for path in (root / where).glob("*.*") if path.suffix != ".md"], source / where)
    prose = [name for name in PROSE if (root / name).exists()]
    copy([root / name for name in FILES if (root / name).exists()], source)
    targets = link_targets(root, [*pages, *prose], results)
    for name in ("README.md", *prose):
        copy_pictures(root, text_of(root / name), source)
        text = names.link(prose_page(text_of(root / name), targets, root), "")
        pages[name.replace("README", "index")] = text
    alone = {
        page: entry for page, entry in names.entries.items() if not any(in_room(page, door) for door in paths)
    }
    pages["index.md"] += contents(alone, list(results.values()), reference, prose)
    return write_pages(source, pages)


def write_pages(source: Path, pages: dict[str, str]) -> list[Path]:
    for page, content in pages.items():
        path = source / page
        if text_of(path) != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    gone = [
        path
        for path in [*source.rglob("*.md"), *source.rglob("*.ipynb")]
        if str(path.relative_to(source)) not in pages
    ]
    for path in gone:
        path.unlink()
    return [path.relative_to(source) for path in gone]


def copy(paths: list[Path], folder: Path) -> None:
    "Copy files that differ."
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        to = folder / path.name
        if not to.exists() or to.read_bytes() != path.read_bytes():
            shutil.copyfile(path, to)


def copy_pictures(root: Path, text: str, source: Path) -> None:
    "Copy the pictures that a text of the project shows to where its page looks for them."
    for path in re.findall(r'(?:<img [^>]*?src="|\]\()([^")\s]+\.(?:png|svg|gif|jpe?g))', text):
        if (root / path).is_file():
            copy([root / path], source / os.path.dirname(path))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


# Links


def contents(entries: dict[str, str], results: list[str], reference: list[str], prose: list[str]) -> str:
    "The table of contents in the margin."
    experiments = [entry for page, entry in entries.items() if "experiments" in page]
    parts = {
        "Chapters": [entry for entry in entries.values() if entry not in experiments],
        "Experiments": experiments,
        "Results": results,
        "Package": reference,
        "Project": prose,
    }
    return "".join(toctree(pages, caption) for caption, pages in parts.items() if pages)


def toctree(pages: list[str], caption: str = "", hidden: bool = True) -> str:
    "A part of the table of contents: below a caption, or below the page that it stands on."
    options = [":hidden:"] * hidden + [f":caption: {caption}"] * bool(caption)
    return "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def in_room(page: str, door: str) -> bool:
    "Whether a page is a chapter of the room that the page `door` opens."
    return is_door(door) and page != door and room_of(page) == room_of(door)


def link_targets(root: Path, pages: list[str], results: dict[str, str]) -> dict[str, str]:
    "Where a link of the README leads: path in the repository -> page, with an anchor for a table."
    experiments = [page for page in pages if "experiments" in page]
    tables = {
        f"{where}/{path.name}": f"{page}#{anchor(where, path.stem)}"
        for where, page in results.items()
        for path in (root / where).glob("*.md")
    }
    return (
        {page: page for page in pages}
        | {name: name for name in FILES if (root / name).exists()}
        | tables
        | results
        | ({"nbs/experiments": experiments[0]} if experiments else {})
    )


def prose_page(text: str, targets: dict[str, str], root: Path) -> str:
    """README.md or its like as a page: links go where the site has what they name.

    What only the repository has, a folder or a source file, is named without a link.
    """

    def linked(found: re.Match) -> str:
        words, path = found[1], found[2].rstrip("/")
        if path in targets:
            return f"[{words}]({targets[path]})"
        return words if not urlsplit(path).scheme and (root / path).exists() else found[0]

    return outside_code(text, lambda plain: re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", linked, plain))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    "Apply `change` to Markdown outside of fences and indented code."
    parts = re.split(r"(^```[\s\S]*?^```|(?:^(?: {4}|\t).*\n?)+)", text, flags=re.M)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


class ChapterNames:
    """What a chapter is called: `08_estimators` or its file; in italics also *Pose estimators*, *Estimators*.

    `entries` are the lines in the margin: `03 Pose estimators`.
    """

    def __init__(self, notebooks: dict[str, NotebookNode]):
        self.stems: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.entries: dict[str, str] = {}
        for page, notebook in notebooks.items():
            stem = Path(page).stem
            short = re.sub(r"^(\d+|Experiment \w+:) ", "", title_of(notebook)).split(":")[0]
            module = module_of(notebook).split(".")[-1].replace("_", " ")
            for name in (short, short.removeprefix("The ").capitalize(), module.capitalize()):
                self.titles.setdefault(name, page)
            self.stems.setdefault(stem, page)
            number = f"{stem.split('_')[0]} " if stem[0].isdigit() and not is_door(page) else ""
            self.entries[page] = f"{number}{short[:1].upper()}{short[1:]} </{page}>"

    def link(self, text: str, folder: str) -> str:
        "Markdown in which chapters that are named in backticks or italics are links, seen from `folder`."

        def linked(found: re.Match) -> str:
            known = self.stems if found[1] == "`" else self.titles | self.stems
            page = known.get(found[2].removesuffix(".ipynb"))
            return f"[{found[0]}]({os.path.relpath(page, folder or '.')})" if page else found[0]

        name = r"(?<![\w*`\[])([`*])([\w ]+(?:\.ipynb)?)\1(?![\w*`\]])"
        return outside_code(text, lambda plain: re.sub(name, linked, plain))


# Chapters


def chapter_page(
    notebook: NotebookNode, outputs: list[list], names: ChapterNames, page: str, note: str, widget: str = ""
) -> NotebookNode:
    """A notebook as it is shown: no hidden cells or directives, but outputs, links and a note below its title.

    A widget is shown as the picture of it that the notebook keeps, with the HTML `widget` below; or else as words.
    """
    cells, remaining = [], iter(outputs)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = names.link(cell.source, os.path.dirname(page))
            if note and text.startswith("# "):
                title, _, rest = text.partition("\n")
                text, note = f"{title}\n\n{note}\n{rest}", ""
            cells.append(nbformat.v4.new_markdown_cell(text))
        elif cell.cell_type == "code":
            shown = code_cell(cell.source, shown_outputs(cell, next(remaining), widget))
            cells.extend([shown] if shown else [])
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same page for the same notebook
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(language_info=dict(name="python")))


def code_cell(source: str, outputs: list) -> NotebookNode | None:
    "A code cell for readers, or None if it is not for them; imports and long tests are folded away."
    said = {word.split()[0] for word in directives(source) if word}
    source = "\n".join(line for line in source.splitlines() if not line.startswith("#|")).strip("\n")
    if not source or said & {"hide", "default_exp"}:
        return None
    cell = nbformat.v4.new_code_cell(source, outputs=outputs)
    statements = [line for line in source.splitlines() if line and not line.startswith((" ", ")", "#"))]
    if all(line.startswith(("import ", "from ")) for line in statements):
        fold(cell, "imports")
    elif (
        source.count("\n") >= LONG_TEST
        and not outputs
        and "export" not in said
        and any(line.startswith(("test_", "assert")) for line in statements)
    ):
        fold(cell, "tests")
    return cell


def fold(cell: NotebookNode, what: str) -> None:
    cell.metadata.update(
        tags=["hide-input"],
        mystnb=dict(code_prompt_show=f"Show the {what}", code_prompt_hide=f"Hide the {what}"),
    )


def shown_outputs(cell: NotebookNode, outputs: list, widget: str) -> list[NotebookNode]:
    "The outputs of a cell as a page can show them; in place of a widget its kept picture, with the HTML `widget`."
    if cell.outputs and any(WIDGET in output.get("data", {}) for output in outputs):
        html = nbformat.v4.new_output("display_data", {"text/html": widget})
        return [*cell.outputs, *([html] if widget else [])]
    return [readable(output) for output in outputs]


def readable(output: NotebookNode | dict) -> NotebookNode:
    "An output that a page can show: without this machine's folders, and of a widget only a word."
    text = json.dumps(output, ensure_ascii=False).replace(f"{Path(__file__).resolve().parents[1]}/", "")
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/(tmp\w+/)?", "…/", text)
    output = nbformat.from_dict(json.loads(text))
    if WIDGET in output.get("data", {}):
        word = "*(Here is a widget; it works in JupyterLab: `make lab`.)*"
        return nbformat.v4.new_output("display_data", {"text/markdown": word})
    return output


# Results


def results_page(folder: Path, title: str, where: str) -> str:
    "The tables and figures of a folder with their captions, and from which run they are."
    captions = dict(re.findall(r"^`(.+?)\.png`: (.+)$", text_of(folder / "captions.md"), re.M))
    stems = {path.stem for path in folder.iterdir() if path.suffix in (".png", ".md")} - {"captions"}
    order = {stem: number for number, stem in enumerate(REPORT_FIRST)}
    parts = [f"# {title}", provenance(folder, where), verdicts(folder / "claims.csv")]
    for stem in sorted(stems, key=lambda stem: (order.get(stem, len(order)), stem)):
        parts += result(folder, stem, where, captions.get(stem, ""))
    return "\n\n".join(part for part in parts if part) + "\n"


def verdicts(path: Path) -> str:
    "The report's claims and what became of them, in one look: from the long table, if there is one."
    if not path.exists():
        return ""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [[row[name] for name in ("No.", "claim", "verdict")] for row in csv.DictReader(file)]
    lines = [["No.", "claim", "verdict"], ["---"] * 3, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def result(folder: Path, stem: str, where: str, caption: str) -> list[str]:
    "One table or figure: heading, content, files."
    text = text_of(folder / f"{stem}.md")
    bold = re.match(r"\*\*(.+?)\*\*\n", text)
    name = heading(stem, bold[1] if bold else caption)
    parts = [f"({anchor(where, stem)})=", f"## {name}", text]
    if (folder / f"{stem}.png").exists():
        alternative = re.sub(r"[*\[\]`]", "", caption) or name
        parts += [f"![{alternative}]({where}/{stem}.png)", caption]
    kinds = [kind for kind in ("csv", "svg", "png") if (folder / f"{stem}.{kind}").exists()]
    links = ", ".join(f"[{kind.upper()}]({where}/{stem}.{kind})" for kind in kinds)
    return [*parts, f"Files: {links}" if links else ""]


def anchor(where: str, stem: str) -> str:
    return f"{where.replace('/', '-')}-{stem}"


def heading(stem: str, caption: str) -> str:
    "`Table 2` for `table2`, otherwise the caption's first clause, or the file's name in words."
    if numbered := re.fullmatch(r"(table|figure)(\d+)", stem):
        return f"{numbered[1].capitalize()} {numbered[2]}"
    first = re.split(r"[.:(;]", caption.replace("**", ""))[0].strip()
    return first if 0 < len(first) <= 60 else stem.replace("_", " ").capitalize()


def provenance(folder: Path, where: str) -> str:
    "From which run the results are: a few sentences from the manifest."
    manifest = json.loads(text_of(folder / "manifest.json") or "null")
    if not manifest:
        return ""
    machine = manifest.get("machine", {})
    versions = manifest.get("versions_of_last_call", {})
    used = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    return (
        f"Preset `{manifest['preset']}`, data *{manifest['data']['source']}*, "
        f"{machine.get('gpu') or str(machine.get('cores')) + ' CPU cores'}, "
        f"sources `{(manifest.get('sources') or 'unknown')[:10]}`; {used}. The "
        f"[manifest]({where}/manifest.json) has every parameter, seed and file behind each number."
    )
