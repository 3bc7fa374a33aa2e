"Pages on the package: each public name with signature and docstring, read from the source, nothing imported."

import ast
import json
import re

Function = ast.FunctionDef | ast.AsyncFunctionDef


def reference_page(module: str, source: str, chapter: str, title: str) -> str:
    "The public names of an exported module (`posegen.pose`), as MyST Markdown."
    lines = source.splitlines()
    tree = with_qualified_names(ast.parse(source), module)
    parts = [f"# {module}", f"From the chapter [{title}]({chapter}).", directive("py:module", module)]
    public = public_names(tree)
    parts += [entry(node, name, lines) for node in tree.body for name in defined(node) if name in public]
    return "\n\n".join(parts) + "\n"


def sentence_of(source: str) -> str:
    "The first sentence that a module says of itself."
    said = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(said.split("\n\n")[0].split())


def overview_page(sentences: dict[str, str]) -> str:
    "A table of the modules in their order (`posegen.pose`), each with its sentence."
    rows = [
        f"| [`{module}`]({module}.md) | {sentence.replace('|', chr(92) + '|')} |"
        for module, sentence in sentences.items()
    ]
    return "\n".join(["# All modules", "", "| module | what it is for |", "| --- | --- |", *rows, ""])


def directive(kind: str, signature: str, body: str = "") -> str:
    "A directive of MyST, with more backticks than anything in it."
    inner = max([2, *(len(ticks) for ticks in re.findall(r"`{3,}", body))])
    ticks = "`" * (inner + 1)
    return f"{ticks}{{{kind}}} {signature}\n{body}\n{ticks}"


def with_qualified_names(tree: ast.Module, module: str) -> ast.Module:
    """The tree with classes in annotations as `~posegen.studio.cutting.Piece`, which Sphinx shows as `Piece`.

    Classes of two modules, or of another package, may have the same name; so Sphinx is told which is meant.
    """
    known = {node.name: f"~{module}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            source = full_name(node, module) if node.level else node.module
            known |= {name.asname or name.name: f"~{source}.{name.name}" for name in node.names}
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    annotations = [argument.annotation for node in functions for argument in arguments(node)]
    for annotation in [*annotations, *(node.returns for node in functions)]:
        for name in ast.walk(annotation) if annotation else ():
            if isinstance(name, ast.Name):
                name.id = known.get(name.id, name.id)
    return tree


def full_name(node: ast.ImportFrom, module: str) -> str:
    "`posegen.studio.cutting` for `from ..studio.cutting import …` in `posegen.report.figures`."
    above = module.split(".")[: -node.level]
    return ".".join([*above, *([node.module] if node.module else [])])


def arguments(node: Function) -> list[ast.arg]:
    every = node.args
    listed = [*every.posonlyargs, *every.args, every.vararg, *every.kwonlyargs, every.kwarg]
    return [argument for argument in listed if argument]


def public_names(tree: ast.Module) -> list[str]:
    "`__all__`, or every name without an underscore."
    for node in tree.body:
        if isinstance(node, ast.Assign) and "__all__" in defined(node):
            return ast.literal_eval(node.value)
    return [name for node in tree.body for name in defined(node) if not name.startswith("_")]


def defined(node: ast.stmt) -> list[str]:
    "The names that a statement gives a value."
    if isinstance(node, (Function, ast.ClassDef)):
        return [node.name]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def entry(node: ast.stmt, name: str, lines: list[str]) -> str:
    if isinstance(node, Function):
        return directive("py:function", signature(node), body_of(node, lines))
    if isinstance(node, ast.ClassDef):
        return class_entry(node, lines)
    value = ast.unparse(node.value) if node.value else ""
    short = value if len(value) <= 80 else value[:77] + "…"
    return directive(
        "py:data", name, f":value: {json.dumps(short, ensure_ascii=False)}" if short else ""
    )  # YAML, as strings of JSON are


def class_entry(node: ast.ClassDef, lines: list[str]) -> str:
    methods = [member for member in node.body if isinstance(member, Function)]
    start = next((method for method in methods if method.name == "__init__"), None)
    bases = ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)
    fields = [field_line(member, lines) for member in node.body if isinstance(member, ast.AnnAssign)]
    parts = [
        ast.get_docstring(node),
        bases and f"Bases: {bases}",
        start and said_of_arguments(start, lines),
        "\n".join(fields),
    ]
    parts += [
        directive("py:method", signature(method, bound=True), body_of(method, lines))
        for method in methods
        if not method.name.startswith("_") and ast.get_docstring(method)
    ]
    words = signature(start, bound=True).removeprefix("__init__").split(" -> ")[0] if start else ""
    heading = node.name + words
    return directive("py:class", heading, "\n\n".join(part for part in parts if part))


def signature(node: Function, bound: bool = False) -> str:
    words = ast.unparse(node.args)
    if bound and "staticmethod" not in map(ast.unparse, node.decorator_list):
        words = re.sub(r"^(self|cls)(, )?", "", words)
    return f"{node.name}({words})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def body_of(node: Function, lines: list[str]) -> str:
    "Docstring, and what the comments beside the arguments say."
    return "\n\n".join(part for part in (ast.get_docstring(node), said_of_arguments(node, lines)) if part)


def said_of_arguments(node: Function, lines: list[str]) -> str:
    every = arguments(node)
    numbers = [argument.lineno for argument in every]
    alone = [
        argument
        for argument in every
        if numbers.count(argument.lineno) == 1 and argument.lineno < node.body[0].lineno
    ]
    said = {argument.arg: comment(lines[argument.lineno - 1]) for argument in alone}
    return "\n".join(f"- `{name}`: {text}" for name, text in said.items() if text)


def field_line(node: ast.AnnAssign, lines: list[str]) -> str:
    "A field of a dataclass, with the comment beside it."
    said = comment(lines[node.end_lineno - 1])
    return f"- `{ast.unparse(node)}`" + (f": {said}" if said else "")


def comment(line: str) -> str:
    "The comment at the end of a line of source."
    found = re.search(r"\s{2,}# (.+)$", line)
    return found[1].strip() if found else ""
