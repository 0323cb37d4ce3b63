"""How Sphinx builds the documentation.

sphinx-build -W docs docs/_build
"""

import pathlib
import re
import shutil
import tomllib

import latex2mathml.converter
from docutils import nodes

from dca_keras import __version__

ROOT = pathlib.Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"]

project = "dca-keras"
author = "The dca-keras authors"
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "rules.md", "model_table.md", "peers_table.md"]
# Notebooks are shown as the run left them that made them.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = True
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    ("Input shape", "notes_style"),
    ("Output shape", "notes_style"),
    ("Reference", "notes_style"),
]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"dca-keras {version}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_js_files = ["sort.js"]
# Where links lead from here. Notebooks link to the net, for Colab has no file
# but the notebook itself; the pages here work offline.
MOVED = {
    "https://colab.research.google.com/assets/colab-badge.svg": (
        "/_static/colab.svg"
    ),
    f"{REPOSITORY}/blob/main/docs/": "/",
    f"{REPOSITORY}/blob/main/notebooks/": "/notebooks/",
    "../../notebooks/": "/notebooks/",
}


def setup(app):
    """Read our docstrings, and write equations without a script."""
    app.connect("autodoc-process-docstring", read_markdown, priority=1)
    app.connect("source-read", move_links)
    shutil.copytree(
        ROOT / "notebooks",
        ROOT / "docs" / "notebooks",
        ignore=shutil.ignore_patterns("*.md", ".*"),
        dirs_exist_ok=True,
    )
    app.add_html_math_renderer("mathml", (inline_math, None), (math, None))


def move_links(app, name, source):
    """Let a page link to the files that are here."""
    for address, file in MOVED.items():
        source[0] = source[0].replace(f"]({address}", f"]({file}")


def read_markdown(app, what, name, obj, options, lines):
    """Docstrings are Markdown, as Keras's are: turn them into RST."""
    text = re.sub(r"```\w*\n(.*?)```", code_block, "\n".join(lines), flags=re.S)
    text = re.sub(r"(?<!`)`([^`]+?)`(?!`)", r"``\1``\\ ", text)
    text = re.sub(r"\[([^]]+)\]\((http[^)]+)\)", r"`\1 <\2>`__", text)
    # Stars outside of code, as in `(batch, *sides)` and `*args`.
    parts = re.split(
        r"(``.*?``|\.\. code-block.*?\n\n(?=\S|$))", text, flags=re.S
    )
    parts[::2] = [re.sub(r"\*(?=[\w*])", r"\\*", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def code_block(match):
    """Return a fenced block as one of RST."""
    body = match[1].replace("\n", "\n    ").rstrip()
    return f".. code-block:: python\n\n    {body}\n"


def inline_math(writer, node):
    """Write an equation in a line as MathML, which browsers read."""
    writer.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def math(writer, node):
    """Write an equation of its own line as MathML."""
    converted = latex2mathml.converter.convert(node.astext(), display="block")
    writer.body.append(f"<div class='math'>{converted}</div>")
    raise nodes.SkipNode
