"Sphinx configuration of the site; `scripts/build_docs.py` makes the pages and runs Sphinx with it."

import os
import re
import sys
from configparser import ConfigParser
from html import escape
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parent.parent))
from docs.sidebar import Sidebars  # noqa: E402

settings = ConfigParser(delimiters=["="], interpolation=None)
settings.read(Path(__file__).parent.parent / "settings.ini", encoding="utf-8")

project = settings["DEFAULT"]["title"]
author = settings["DEFAULT"]["author"]
copyright = settings["DEFAULT"]["copyright"]
version = release = settings["DEFAULT"]["version"]
language = "en"

extensions = ["myst_nb"]
exclude_patterns = []
myst_enable_extensions = ["dollarmath", "html_image"]
myst_dmath_double_inline = True
myst_dmath_allow_digits = False  # "$5 and $6" are prices
myst_heading_anchors = 4
nb_execution_mode = "off"  # the notebooks come with their outputs
nb_render_markdown_format = "gfm"  # tables that a cell shows
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
nb_ipywidgets_js = {}  # would be loaded from the network

html_theme = "furo"
html_title = project
html_static_path = ["static", os.environ["POSEGEN_DOCS_FONT"]]  # the second holds math.woff
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
python_maximum_signature_line_length = 80
html_math_renderer = "mathml"


def mathml(formula: str, display: str) -> str:
    "A formula as MathML, which every browser draws without a script; bars are mended."
    converted = convert(formula, display=display)
    converted = converted.replace('<mo accent="true">&#x02015;</mo>', '<mo stretchy="true">&#x0203E;</mo>')
    converted = re.sub(r"<mo>(&#x0007C;|&#x02016;)</mo>", r'<mo stretchy="false">\1</mo>', converted)
    label = escape(" ".join(formula.split()), quote=True)
    return converted.replace("<math ", f'<math aria-label="{label}" ', 1)


WIDE = 40  # letters of LaTeX: a formula within a line that a phone may have to scroll


def visit_math(self, node: nodes.Node) -> None:
    if isinstance(node, nodes.math_block):
        self.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>')
    else:
        formula = mathml(node.astext(), "inline")
        wide = len(node.astext()) > WIDE
        self.body.append(f'<span class="wide-math">{formula}</span>' if wide else formula)
    raise nodes.SkipNode


def setup(app) -> None:
    app.connect("html-page-context", Sidebars(), priority=400)  # the theme's own stands at 500
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
