"Opening a notebook in `make lab`, running it and saving it again changes nothing but its outputs."

import asyncio
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("jupyter_server")


@pytest.mark.parametrize("manager", ["LargeFileManager", "AsyncLargeFileManager"])
def test_a_saved_notebook_is_unchanged(tmp_path, manager):
    from jupyter_server.services.contents import largefilemanager
    from traitlets.config import PyFileConfigLoader

    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "jupyter_server_config.py", tmp_path / "scripts")
    shutil.copy(ROOT / "settings.ini", tmp_path)
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns(".*"))
    config = PyFileConfigLoader("jupyter_server_config.py", path=str(tmp_path / "scripts")).load_config()
    contents = getattr(largefilemanager, manager)(config=config, root_dir=str(tmp_path))

    async def open_and_save(name):
        model = contents.get(name)
        model = await model if asyncio.iscoroutine(model) else model
        notebook = model["content"]
        notebook["metadata"]["language_info"] = dict(name="python", version="3.11.2")
        notebook["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
        for number, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == "code":
                cell["execution_count"] = number
                cell["metadata"]["execution"] = {"iopub.execute_input": "2026-11-29T01:00:00Z"}
        saved = contents.save(model, name)
        await saved if asyncio.iscoroutine(saved) else saved

    for path in sorted((tmp_path / "nbs").rglob("*.ipynb")):
        before = path.read_bytes()
        asyncio.run(open_and_save(path.relative_to(tmp_path).as_posix()))
        assert path.read_bytes() == before, path.name
