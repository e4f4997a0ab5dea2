"""Sphinx's configuration: `make docs` builds the pages of this folder and a reference from the docstrings."""

import re
from importlib.metadata import version as _version
from typing import Any

project = "analognas"
author = "analognas maintainers"
project_copyright = author
version = release = _version("analognas")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.mermaid",
]
myst_enable_extensions = ["deflist"]
# Pages link to headings of each other, as on GitHub.
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

html_theme = "furo"
html_title = f"analognas {release}"
html_static_path: list[str] = []
html_show_sphinx = False
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# On GitHub pages also link to files of the repository; on the site these are named.
_ELSEWHERE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def _named(_: Any, __: str, source: list[str]) -> None:
    source[0] = _ELSEWHERE.sub(r"\1 (`\2` of the repository)", source[0])


def setup(app: Any) -> None:
    """Let Sphinx change what it reads."""
    app.connect("source-read", _named)
