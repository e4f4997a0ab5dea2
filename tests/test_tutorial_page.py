"""The example of docs/tutorial.md, taken from the page and run from its beginning to its end."""

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")


def test_the_tutorial_of_the_page_runs_and_finds_what_the_page_says(capsys: pytest.CaptureFixture[str]):
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/tutorial.md", "exec"), names)
    said = capsys.readouterr().out
    first, best = (line for line in PAGE.splitlines() if "{'B1': " in line)
    assert first in said
    assert best in said
    worker, cost = names["worker"], names["cost"]
    assert f"'tiles': {cost(worker.best_arch, names['HERMES_1_PHASE'])['tiles']}," in said
    assert names["trained"].row.id == worker.best_arch.id


def test_the_notebook_was_made_from_the_page_and_ran_to_its_end():
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert ["".join(cell["source"]) for cell in code] == [block.strip() for block in blocks], "make notebook"
    text = [
        line
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown"
        for line in "".join(cell["source"]).splitlines()
    ]
    said = PAGE.splitlines()
    assert [line for line in text if line.startswith("#")] == [
        line for line in said if line.startswith("## ") or line == said[0]
    ]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}, "it ran without an error"
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    for line in (line for line in said if "'M': 1" in line):
        assert line in printed
