"""The tutorial as a notebook: `make notebook` runs the Python of `docs/tutorial.md` and writes `docs/tutorial.ipynb`.

Text stays text and each block of Python becomes a cell, whose output is what it printed when it was run. Blocks without
a language, which show on the page what is printed, are left out; those of the shell stay text.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

_FOLDER = Path(__file__).parent
_PYTHON = re.compile(r"^```python\n(.*?)^```\n(?:\n```\n.*?^```\n)?", re.MULTILINE | re.DOTALL)


def cells(page: str) -> list[nbformat.NotebookNode]:
    """Return the cells of a page."""
    made, end = [], 0
    for block in _PYTHON.finditer(page):
        made.append(nbformat.v4.new_markdown_cell(page[end : block.start()].strip()))
        made.append(nbformat.v4.new_code_cell(block[1].strip()))
        end = block.end()
    made.append(nbformat.v4.new_markdown_cell(page[end:].strip()))
    for number, cell in enumerate(made):
        cell["id"] = f"cell-{number}"  # nbformat would draw one at every call
    return made


def main() -> None:
    """Write the notebook."""
    notebook = nbformat.v4.new_notebook(cells=cells((_FOLDER / "tutorial.md").read_text(encoding="utf-8")))
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it was run
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, _FOLDER / "tutorial.ipynb")


if __name__ == "__main__":
    main()
