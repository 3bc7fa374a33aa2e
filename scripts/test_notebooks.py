"""`nbdev_test`, with the exported cells of each chapter counted as lines of the module that they become.

    coverage run --parallel-mode --concurrency=multiprocessing scripts/test_notebooks.py --n_workers 2

A chapter runs its own cells and never imports its own module, so by itself its tests would count for nothing. Here an
exported cell is compiled with the path of its module and the line numbers that it has there.
"""

import ast
import linecache
import re
from pathlib import Path

from execnb.shell import CaptureShell
from IPython.core.compilerop import CachingCompiler
from nbdev.test import nbdev_test

ROOT = Path(__file__).resolve().parent.parent


def comparable(source: str) -> str:
    "A cell's code in the same words in the notebook and in the module, where imports are relative."
    return re.sub(r"from (posegen|\.)\S* import", "from posegen import", source.strip("\n"))


def exported_cells() -> dict[str, tuple[str, int]]:
    "Where the code of each exported cell stands: the module's path, and how many lines come before."
    found = {}
    for path in (ROOT / "posegen").rglob("*.py"):
        parts = re.split(r"^(# %% \S+ #\w+\n)", path.read_text(encoding="utf-8"), flags=re.M)
        line = parts[0].count("\n")
        for mark, code in zip(parts[1::2], parts[2::2]):
            found[comparable(code)] = str(path), line + 1
            line += (mark + code).count("\n")
    return found


class CountingCompiler(CachingCompiler):
    "IPython's compiler, which gives exported cells the path and the lines of their module."

    cells = exported_cells()
    before = 0  # lines before the cell that is compiled next

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        name = super().cache(transformed_code, number, raw_code)
        path, self.before = self.cells.get(comparable(transformed_code), ("", 0))
        if path:
            linecache.checkcache(path)  # tracebacks show the module's lines
        return path or name

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> ast.AST:
        return ast.increment_lineno(super().ast_parse(source, filename, symbol), self.before)


if __name__ == "__main__":
    CaptureShell.compiler_class = CountingCompiler
    nbdev_test()
