"The package as others get it: source archive, wheel, installation in a folder of its own."

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = (
    "posegen",
    "nbs",
    "setup.py",
    "settings.ini",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "NOTICE",
    "requirements.txt",
    "constraints.txt",
)
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
OFFLINE = ["--no-deps", "--no-index"]


def build(folder: Path) -> Path:
    "The wheel of this checkout, built in `folder` by way of the source archive."
    copy = folder / "checkout"
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*_checkpoints")
            )
        else:
            shutil.copy(ROOT / name, copy)
    make = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    run([sys.executable, "-c", make, folder], cwd=copy)
    (archive,) = folder.glob("*.tar.gz")
    run([*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder, archive])
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder: Path) -> Path:
    "A folder that holds the package, without its dependencies, and below bin its command."
    run([*PIP, "install", *OFFLINE, "--target", folder / "installed", build(folder)])
    return folder / "installed"


def run(words: list, **options) -> None:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
