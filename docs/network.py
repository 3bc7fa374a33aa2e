"""The pose editor in the page itself: the network as ONNX, its runtime from the registry of npm, people and poses.

A browser without network and without Python runs all of it; the widget's own scripts draw it.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import urllib.request
from html import escape
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from posegen.core import UserError
from posegen.data.pairs import normalise
from posegen.explore.examples import example_people, example_poses
from posegen.explore.widgets import asset, browser_skeleton, png
from posegen.pose import pose_maps
from posegen.system.files import atomic_path
from posegen.system.provenance import code_hash, text_hash
from posegen.training.pretrained import Pretrained, load_pretrained

RUNTIME = "onnxruntime-web"
RUNTIME_VERSION = "1.30.0"
RUNTIME_INTEGRITY = (  # SHA-512 of its archive, as the registry has it
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")  # one thread is enough
INPUTS, OUTPUT = ("picture", "own", "wanted"), "result"  # names in the exported graph
SCRIPTS = ("common.js", "pose_session.js", "pose_stage.js", "pose_editor.js")  # of the widget
PAGE_SCRIPTS = ("page.js", "worker.js", "page.css")  # in docs/static/network, which Sphinx copies


class Drawing(nn.Module):
    """One picture from one photo, with all that stands before and behind the network.

    In: photo uint8 (S, S, 3), its keypoints and those wanted, float32 (18, 3) in its pixels. Out: uint8 (S, S, 4),
    red, green, blue and 255, as a canvas takes it.
    """

    def __init__(self, pretrained: Pretrained):
        super().__init__()
        self.stage1, self.size = pretrained.stage1, pretrained.size

    def forward(self, picture: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
        condition = normalise(picture.permute(2, 0, 1)[None])
        # whole pixels, as in the widget: the network has learned from discs around them
        wanted = torch.cat([wanted[:, :2].round(), wanted[:, 2:]], 1)[None]
        x = self.stage1.reads(condition, pose_maps(wanted, self.size), own[None], wanted)
        drawn = self.stage1(x)[0].permute(1, 2, 0)
        colours = (drawn * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
        return torch.cat([colours, torch.full_like(colours[..., :1], 255)], -1)


def example_inputs(size: int) -> tuple[Tensor, Tensor, Tensor]:
    "What `Drawing` reads, of the first person and the first pose."
    person, pose = next(iter(example_people(size).values())), next(iter(example_poses(size).values()))
    return (
        torch.from_numpy(person.picture),
        torch.from_numpy(person.keypoints).float(),
        torch.from_numpy(pose),
    )


ATEN = torch.ops.aten


def as_onnx_has_it(graph: torch.fx.GraphModule) -> None:
    """Write what ONNX and its runtime do not have in other words: bounds of two types in `clamp(1 / 8, 8)`, a choice
    between truths, and sums as means with another divisor (which the step to ONNX forgets without a word)."""
    for module in [part for part in graph.modules() if isinstance(part, torch.fx.GraphModule)]:
        for node in list(module.graph.nodes):
            if node.target is ATEN.clamp.default and node.meta["val"].is_floating_point():
                bounds = (bound if bound is None else float(bound) for bound in node.args[1:])
                node.args = (node.args[0], *bounds)
            elif node.target is ATEN.where.self and node.meta["val"].dtype is torch.bool:
                told, first, second = node.args
                one = inserted(node, ATEN.logical_and.default, told, first)
                other = inserted(
                    node, ATEN.logical_and.default, inserted(node, ATEN.logical_not.default, told), second
                )
                node.replace_all_uses_with(inserted(node, ATEN.logical_or.default, one, other))
                module.graph.erase_node(node)
            elif node.target is ATEN.avg_pool2d.default and len(node.args) > 6:
                (height, width), divisor = node.args[1], node.args[6]
                node.args = node.args[:6]
                following = node.next
                scaled = inserted(following, ATEN.mul.Tensor, node, height * width / divisor, like=node)
                node.replace_all_uses_with(scaled, lambda user: user is not scaled)
        module.recompile()


def inserted(
    before: torch.fx.Node,
    target: torch._ops.OpOverload,
    *arguments: object,
    like: torch.fx.Node | None = None,
) -> torch.fx.Node:
    "A new node in front of another one, whose description (or that of `like`) it takes."
    with before.graph.inserting_before(before):
        node = before.graph.call_function(target, arguments)
    node.meta = dict((like or before).meta)
    return node


def export_drawing(path: Path, drawing: Drawing) -> None:
    "Write the network as ONNX, the parts' closed-form transforms included."
    with torch.no_grad():
        program = torch.export.export(drawing.eval(), example_inputs(drawing.size))
    as_onnx_has_it(program.graph_module)
    with atomic_path(path) as temporary:
        torch.onnx.export(
            program, f=None, dynamo=True, input_names=INPUTS, output_names=[OUTPUT], verbose=False
        ).save(temporary)


# The runtime


def registry() -> str:
    "The address of npm's registry: NPM_CONFIG_REGISTRY, or what npm says if it is here; empty where neither tells."
    told = os.environ.get("NPM_CONFIG_REGISTRY") or os.environ.get("npm_config_registry") or ""
    if not told and shutil.which("npm"):
        asked = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True)
        told = "" if asked.returncode else asked.stdout.strip()
    return told.rstrip("/") if told.startswith(("http://", "https://")) else ""


def fetch_runtime(folder: Path) -> str:
    """Have the runtime's `RUNTIME_FILES` in `folder`, from the registry unless they are there.

    Returns why that is not so, or an empty text. What comes with another checksum is not unpacked.
    """
    if all((folder / name).is_file() for name in RUNTIME_FILES):
        return ""
    if not (host := registry()):
        return f"{RUNTIME} could not be had: there is no npm here, and NPM_CONFIG_REGISTRY names no registry"
    address = f"{host}/{RUNTIME}/-/{RUNTIME}-{RUNTIME_VERSION}.tgz"
    archive = folder / "archive.tgz"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, atomic_path(archive) as temporary:
            with open(temporary, "wb") as file:
                shutil.copyfileobj(answer, file)
        unpack_runtime(archive, folder)
    except (OSError, UserError) as error:
        return f"{RUNTIME} {RUNTIME_VERSION} could not be had from npm's registry ({error})"
    finally:
        archive.unlink(missing_ok=True)
    return ""


def unpack_runtime(archive: Path, folder: Path) -> None:
    "Take `RUNTIME_FILES` out of the runtime's archive; `UserError` for another archive than the known one."
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != RUNTIME_INTEGRITY:
        raise UserError(f"its SHA-512 is {found[:12]}… instead of {RUNTIME_INTEGRITY[:12]}…")
    with tarfile.open(archive) as contents:
        for name in RUNTIME_FILES:
            content = contents.extractfile(f"package/dist/{name}")
            with atomic_path(folder / name) as temporary, open(temporary, "wb") as file:
                shutil.copyfileobj(content, file)


# The page's files


def page_state(size: int) -> dict:
    "What the widget is told when it begins: people, poses, skeleton. Bytes as texts in base 64."
    people, poses = example_people(size), example_poses(size)
    return dict(
        size=size,
        skeleton=browser_skeleton(),
        presets=[dict(name=name, keypoints=pose.tolist()) for name, pose in poses.items()],
        people=[base64.b64encode(png(person.picture)).decode() for person in people.values()],
        people_names=list(people),
        people_poses=[person.keypoints.tolist() for person in people.values()],
        examples=len(people),
    )


def make_editor(folder: Path) -> None:
    """Fill `folder` with what the editor in the page needs beside the runtime and `PAGE_SCRIPTS`.

    Does nothing where all is there and of the present code, for the export takes half a minute.
    """
    key, known = editor_key(), folder / "key"
    if known.exists() and known.read_text() == key:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pretrained = load_pretrained()
    (folder / "editor.js").write_text(asset(*SCRIPTS), encoding="utf-8")
    (folder / "editor.css").write_text(asset("explore.css"), encoding="utf-8")
    (folder / "state.json").write_text(json.dumps(page_state(pretrained.size)), encoding="utf-8")
    export_drawing(folder / "network.onnx", Drawing(pretrained))
    known.write_text(key)


def editor_key() -> str:
    "SHA-256 of all that the files depend on: this module with those that it uses, their assets, torch, the runtime."
    code = Path(__file__).read_text(encoding="utf-8")
    scripts = [asset(*SCRIPTS), asset("explore.css")]
    return text_hash(json.dumps([code, code_hash([code]), scripts, torch.__version__, version("onnxscript")]))


def editor_html(page: str, missing: str) -> str:
    "The place of the editor on a page of the site (`nbs/experiments/70_explore.ipynb`), or why there is none."
    if missing:
        return f'<p id="pose-editor"><em>The network is not in this page: {escape(missing)}. {IN_JUPYTER}</em></p>'
    static = os.path.relpath("_static/network", os.path.dirname(page))
    return (
        '<div id="pose-editor" data-state="starting">'
        f'<p class="editor-note"><em>{STARTING}</em></p></div>'
        + "".join(f'<link rel="stylesheet" href="{static}/{name}">' for name in ("editor.css", "page.css"))
        + f'<script type="module" src="{static}/page.js"></script>'
    )


IN_JUPYTER = "It works in JupyterLab: <code>make lab</code>."
STARTING = (
    "The network is starting in this page. If nothing happens, the page was opened as a file, and browsers forbid "
    "scripts there; in the folder of the site: <code>python -m http.server</code>. " + IN_JUPYTER
)
