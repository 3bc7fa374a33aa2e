"""The rooms of the package, read from its syntax trees: who may import whom, circles, sizes, ladders, names.

A room is a module or a folder of `posegen`. It imports from itself and from rooms above it in `ROOMS`, wherever the
import stands: in a function or below `TYPE_CHECKING` it is an edge like any other.
"""

import ast
import importlib
import shutil
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "core pose system studio people photos data networks warping losses adversaries training metrics "
    "variational report transfer explore runs cli"
).split()
LINES = 400  # of a module

# A class with a single subclass is a ladder: one class in two pieces. These are none; each has its reason.
SINGLE_SUBCLASSES = {
    "posegen.core.UserError": "a damaged checkpoint is told from a foreign one: the one before it may be whole",
    "posegen.system.engine.Group": "the estimate of memory plays a step in a group that is only imagined",
    "posegen.system.engine.Engine": "the estimate of memory plays a step that counts bytes and computes nothing",
    "posegen.adversaries.Supervised": "a variant of the G1 that copies is taught with a loss of its own",
    "posegen.adversaries.Players": "what the variational model paints is refined in the same games, its photo unseen",
    "posegen.data.batch.Batch": "the estimate of memory plays a step with images that have only a shape",
}

KEPT = """
posegen.core: preset
posegen.networks: Stage1Generator Stage2Generator Discriminator
posegen.pose: pose_maps pose_mask
posegen.people: render_people
posegen.data: open_store write_store PairDataset Example
posegen.adversaries: ADVERSARIES
posegen.training: train_stage1 train_stage2
posegen.metrics: ssim PROTOCOLS inception_score mean_absolute_gradient
posegen.transfer: PoseTransfer
posegen.explore: pose_editor
posegen.cli: main
"""
PARAMETERS = """
10_prepare: preset overrides data out
20_stage1: preset overrides store out processes tensorboard
30_stage2: preset overrides adversary store stage1 out processes tensorboard
40_evaluate: preset overrides store stage1 stage2 out
50_report: preset overrides store stage1 stage2 evaluation figures out
55_worlds: store out
56_trial: preset overrides trial store one_direction stage1 out
57_copying: preset overrides store folders figures out
58_variant: preset overrides store variant same_time out
59_variants: preset overrides folders figures out
60_claims: preset overrides store worlds folders clock figures out
65_apart: preset overrides variants store games model out
66_future: preset overrides store folders figures out
70_explore: model results
"""


@dataclass(frozen=True)
class Module:
    "An exported module: `posegen.data` for `posegen/data/__init__.py`, its file, its syntax tree."

    name: str
    path: str
    tree: ast.Module
    is_door: bool

    @property
    def room(self) -> str:
        return (self.name.split(".") + [""])[1]


@dataclass(frozen=True)
class Import:
    "`importer` names `imported`, a module of ours, in this line; `name` is what it takes from it, or None."

    importer: Module
    imported: str
    name: str | None
    alias: str | None
    line: int


def modules_of(root: Path) -> dict[str, Module]:
    "All modules of the package in `root` by name, but for nbdev's index."
    found = {}
    for path in sorted((root / "posegen").rglob("*.py")):
        if path.name == "_modidx.py":
            continue
        parts = path.relative_to(root).with_suffix("").parts
        door = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if door else parts)
        found[name] = Module(name, path.relative_to(root).as_posix(), ast.parse(path.read_text()), door)
    return found


def imports_of(module: Module, modules: dict[str, Module]) -> Iterator[Import]:
    "Every import of a module of ours, at any depth of the tree, also by `import_module`."
    package = module.name if module.is_door else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "posegen":
                    yield Import(module, alias.name, None, alias.asname, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            if source.split(".")[0] == "posegen":
                for alias in node.names:
                    inner = f"{source}.{alias.name}"
                    whole = inner in modules
                    yield Import(
                        module,
                        inner if whole else source,
                        None if whole else alias.name,
                        alias.asname or alias.name,
                        node.lineno,
                    )
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            name = getattr(node.args[0], "value", "")
            if isinstance(name, str) and name.split(".")[0] == "posegen":
                yield Import(module, name, None, None, node.lineno)


def all_imports(modules: dict[str, Module]) -> list[Import]:
    return [one for module in modules.values() for one in imports_of(module, modules)]


def wrong_imports(modules: dict[str, Module]) -> list[str]:
    "A sentence for each import that does not lead into the same room or one above it."
    found = []
    for one in all_imports(modules):
        room, other = one.importer.room, (one.imported.split(".") + [""])[1]
        if not other or room == other:
            continue  # the package itself holds only its version
        if unknown := [name for name in (room, other) if name not in ROOMS]:
            found.append(f"{one.importer.path}:{one.line}: there is no room {unknown[0]}; add it to ROOMS")
        elif ROOMS.index(other) > ROOMS.index(room):
            place = f"{one.importer.path}:{one.line}"
            found.append(f"{place}: room {room} may not import room {other}, which lies below it")
    return found


def circles(modules: dict[str, Module]) -> list[str]:
    "Each circle of modules that import one another, as `a -> b -> a`: the shortest way round."
    edges: dict[str, set[str]] = {name: set() for name in modules}
    for one in all_imports(modules):
        if one.imported in modules and one.imported != one.importer.name:
            edges[one.importer.name].add(one.imported)
    found, seen = [], set()
    for start in sorted(modules):
        ways, reached = [[start]], {start}
        while ways and start not in seen:
            way = ways.pop(0)
            for following in sorted(edges[way[-1]]):
                if following == start:
                    found.append(" -> ".join([*way, start]))
                    seen |= set(way)
                    ways = []
                    break
                if following not in reached:
                    reached.add(following)
                    ways.append([*way, following])
    return found


def single_subclasses(modules: dict[str, Module]) -> dict[str, str]:
    "Each class with exactly one subclass in the package: `posegen.a.Base` -> where that one is defined."
    classes = {
        f"{module.name}.{node.name}": (module, node)
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    origins: dict[tuple[str, str], str] = {}
    for one in all_imports(modules):
        if one.alias:
            origins[one.importer.name, one.alias] = f"{one.imported}.{one.name}" if one.name else one.imported

    def definition(module: str, written: str) -> str:
        "The full name of what `written` means in a module; through doors, too."
        first, _, rest = written.partition(".")
        name = f"{module}.{written}"
        for _ in range(5):
            if name in classes or (module, first) not in origins:
                return name
            name = ".".join(part for part in (origins[module, first], rest) if part)
            module, _, first = name.rpartition(".")
            rest = ""
        return name

    children: dict[str, list[str]] = {}
    for module, node in classes.values():
        for base in node.bases:
            parent = definition(module.name, ast.unparse(base).partition("[")[0])
            if parent in classes:
                children.setdefault(parent, []).append(f"{module.path}:{node.lineno}: {node.name}")
    return {parent: those[0] for parent, those in children.items() if len(those) == 1}


MODULES = modules_of(ROOT)


def test_every_room_is_in_the_list_and_there():
    assert {module.room for module in MODULES.values()} - {""} == set(ROOMS)


def test_rooms_import_only_what_lies_above_them():
    assert not wrong_imports(MODULES), "\n".join(wrong_imports(MODULES))


def test_no_circle():
    assert not circles(MODULES), "\n".join(circles(MODULES))


def test_modules_are_short():
    lines = {module.path: (ROOT / module.path).read_text().count("\n") for module in MODULES.values()}
    assert max(lines.values()) <= LINES, {path: n for path, n in lines.items() if n > LINES}


def test_no_ladder():
    found = single_subclasses(MODULES)
    told = [f"{found[name]} is the only subclass of {name}" for name in set(found) - set(SINGLE_SUBCLASSES)]
    assert not told, "\n".join(sorted(told))
    assert not set(SINGLE_SUBCLASSES) - set(found), "these exceptions are needed no more"


@pytest.mark.parametrize("line", KEPT.strip().splitlines())
def test_promised_names_import(line):
    module, names = line.split(": ")
    for name in names.split():
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_the_command_is_where_it_was():
    settings = ConfigParser(delimiters=["="], interpolation=None)
    settings.read(ROOT / "settings.ini")
    assert settings["DEFAULT"]["console_scripts"] == "posegen=posegen.cli:main"


@pytest.mark.parametrize("line", PARAMETERS.strip().splitlines())
def test_experiments_keep_their_parameters(line):
    name, wanted = line.split(": ")
    notebook = nbformat.read(ROOT / "nbs" / "experiments" / f"{name}.ipynb", 4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    there = {
        target.id
        for node in ast.parse(cell.source).body
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Name)
    }
    assert set(wanted.split()) <= there


# That the tests above can fail: each in a copy with something planted.


@pytest.fixture
def copy(tmp_path):
    "A copy of the package's source, to plant something in."
    shutil.copytree(ROOT / "posegen", tmp_path / "posegen", ignore=shutil.ignore_patterns("assets"))
    return tmp_path


def plant(root: Path, module: str, text: str) -> str:
    "Add text to the end of a module; returns `path:line` of its last line."
    path = root / module
    path.write_text(f"{path.read_text().rstrip()}\n{text}\n")
    return f"{module}:{path.read_text().count(chr(10))}"


@pytest.mark.parametrize(
    "planted",
    [
        "from posegen.cli import main",
        "from .cli import main",
        "import posegen.cli",
        "from posegen import cli",
        "def late() -> None:\n    from .cli import main",
        "if TYPE_CHECKING:\n    from .cli import main",
        'cli = importlib.import_module("posegen.cli")',
    ],
)
def test_a_planted_import_is_named_with_its_line(copy, planted):
    place = plant(copy, "posegen/losses.py", planted)
    told = f"{place}: room losses may not import room cli, which lies below it"
    assert told in wrong_imports(modules_of(copy))


def test_a_planted_circle_is_told(copy):
    (copy / "posegen/data/one.py").write_text("from .two import b\n")
    (copy / "posegen/data/two.py").write_text("def later():\n    from .one import a\n")
    assert "posegen.data.one -> posegen.data.two -> posegen.data.one" in circles(modules_of(copy))
    (copy / "posegen/data/two.py").write_text("")
    assert not [circle for circle in circles(modules_of(copy)) if "one" in circle]


def test_a_planted_ladder_is_told(copy):
    (copy / "posegen/data/one.py").write_text("class Base: ...\nclass Other: ...\nclass Third(Other): ...\n")
    (copy / "posegen/data/two.py").write_text(
        "from .one import Base, Other as Renamed\nclass Child(Base): ...\nclass Fourth(Renamed): ...\n"
    )
    found = single_subclasses(modules_of(copy))
    assert found["posegen.data.one.Base"] == "posegen/data/two.py:2: Child"
    assert "posegen.data.one.Other" not in found
