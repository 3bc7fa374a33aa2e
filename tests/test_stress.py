"""A handful of the kills of `scripts/stress_kills.py`, which makes as many as one likes.

The results are those of a run that nobody disturbed, and nothing is left: no part file, no lock, no process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "stress_kills.py"
if not SCRIPT.is_file():
    pytest.skip("the scripts are not here: posegen was installed without them", allow_module_level=True)


@pytest.mark.parametrize("command", ["prepare", "train", "evaluate", "animate"])
def test_two_kills_and_the_same_result(tmp_path, command):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--each", "2", "--seed", "1", "--only", command],
        env={
            **os.environ,
            "TMPDIR": str(tmp_path),
            "PYTHONPATH": str(SCRIPT.parents[1]),
            "OMP_NUM_THREADS": "1",
        },
        text=True,
        capture_output=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '"wrong": []' in done.stdout
    assert not list(tmp_path.glob("stress-*"))
