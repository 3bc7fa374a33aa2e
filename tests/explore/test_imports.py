"The room of the widgets is light to enter, and says in one sentence what it lacks."

import subprocess
import sys

import pytest

SENTENCE = 'Pose editor and results browser need anywidget; install it with pip install "posegen[notebook]".'
HEAVY = ("torch", "anywidget", "ipywidgets", "posegen.transfer", "posegen.people")


def in_fresh_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_door_imports_nothing_heavy():
    found = in_fresh_python(f"import sys, posegen.explore; print([m for m in {HEAVY} if m in sys.modules])")
    assert found == "[]\n"


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets"])
@pytest.mark.parametrize("name", ["pose_editor", "results_browser", "appearance_editor"])
def test_a_missing_package_is_an_import_error(missing, name):
    "None in `sys.modules` makes Python behave as if the package were not there."
    pytest.importorskip("anywidget")
    found = in_fresh_python(
        f"import sys\nsys.modules[{missing!r}] = None\nimport posegen.explore\n"
        f"try:\n    from posegen.explore import {name}\n"
        "except ImportError as error:\n    print(type(error).__name__, error.name, error, sep='|')"
    )
    assert found == f"ImportError|anywidget|{SENTENCE}\n"


def test_examples_need_no_widgets():
    code = "import sys\nsys.modules['anywidget'] = None\n"
    code += "from posegen.explore.examples import POSES\nprint(len(POSES))"
    assert in_fresh_python(code) == "10\n"


def test_what_the_door_lacks_is_an_attribute_error():
    import posegen.explore

    with pytest.raises(AttributeError, match="no attribute 'editr'"):
        posegen.explore.editr  # noqa: B018
