"""Store each chapter's key pictures in its notebook, for those who read it on the web.

    python scripts/keep_pictures.py            # run by `make pictures`

Executes the chapters whose code has changed, in all rooms (what `make docs` executed counts), and keeps the pictures of
the cells that carry the tag `picture`, with 256 colours. Every other output is taken out.
"""

import argparse
import base64
import io
import subprocess
import sys
from pathlib import Path

import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs.notebooks import chapters, execute_all  # noqa: E402
from posegen.core import UserError  # noqa: E402

TAG = "picture"
FRONT = ROOT / "docs" / "pictures" / "front.png"  # the first notebook's, which the README shows, too
MOST_BYTES = 200_000  # of all pictures of a chapter: its notebook stays below 300 KB


def few_colours(png: str) -> str:
    "A PNG in base64 with a palette of 256 colours."
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    image.quantize(256, method=Image.Quantize.MEDIANCUT).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def pictures(outputs: list[dict]) -> list:
    "The pictures among the outputs of a cell, as outputs."
    found = (output["data"] for output in outputs if "image/png" in output.get("data", {}))
    return [
        nbformat.v4.new_output(
            "display_data",
            {"image/png": few_colours(data["image/png"]), "text/plain": data.get("text/plain", "")},
        )
        for data in found
    ]


def keep(path: Path, outputs: list[list]) -> str:
    "Write the pictures into a notebook; returns what is wrong with them, or an empty text."
    notebook = nbformat.read(path, 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, shown in zip(code, outputs, strict=True):
        chosen = TAG in cell.metadata.get("tags", [])
        cell.outputs = pictures(shown) if chosen else []
        if chosen and not cell.outputs:
            return f"{path.relative_to(ROOT)}: a cell with the tag {TAG} shows none."
    size = sum(len(output["data"]["image/png"]) for cell in code for output in cell.outputs)
    if size > MOST_BYTES:
        name = path.relative_to(ROOT)
        return f"{name}: its pictures take {size:,} bytes; make them smaller ({MOST_BYTES:,} at most)."
    nbformat.write(notebook, path)
    if path.stem == "index":
        FRONT.parent.mkdir(exist_ok=True)
        FRONT.write_bytes(
            base64.b64decode(next(cell for cell in code if cell.outputs).outputs[0]["data"]["image/png"])
        )
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="notebooks that run side by side (default: 2)")
    options = parser.parse_args()
    paths = chapters(ROOT)
    try:
        outputs = execute_all(
            paths,
            ROOT,
            ROOT / "build" / "docs" / "outputs",
            options.workers,
        )
    except UserError as error:
        print(f"keep_pictures: {error}", file=sys.stderr)
        return 1
    problems = list(filter(None, (keep(path, outputs[path]) for path in paths)))
    subprocess.run(
        [sys.executable, "-c", "from nbdev.clean import nbdev_clean; nbdev_clean()"], cwd=ROOT, check=True
    )
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
