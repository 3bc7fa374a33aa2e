"""What `make lab` adds to JupyterLab: a notebook of `nbs/` is saved as `nbdev_clean` would leave it.

JupyterLab writes the kernel's version into each notebook that it opens (`language_info`) and numbers the cells that
were run; git would call both a change. nbdev's hook takes them out before the file is written, so that opening,
running and saving a notebook leaves it as it is, but for its outputs. Executed notebooks in `runs/` keep everything.
"""

from pathlib import Path
from typing import Any

from nbdev.clean import clean_jupyter

NOTEBOOKS = Path(__file__).resolve().parent.parent / "nbs"


def save_clean(model: dict[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    "Called with what is about to be written to `path` below JupyterLab's root; changes it in place."
    file = Path(contents_manager.root_dir, path.lstrip("/")).resolve()
    if file.is_relative_to(NOTEBOOKS):
        clean_jupyter(path=str(file), model=model)


c.FileContentsManager.pre_save_hook = save_clean  # noqa: F821 (Jupyter gives c)
