"""The example of docs/tutorial.md, taken from the page and run from its beginning to its end."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")


def test_the_tutorial_of_the_page_runs_and_finds_what_the_page_says(capsys: pytest.CaptureFixture[str]):
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/tutorial.md", "exec"), names)
    said = capsys.readouterr().out
    first, best = (line for line in PAGE.splitlines() if "'M': 1" in line)
    assert first in said
    assert best in said
    worker, cost = names["worker"], names["cost"]
    assert cost(worker.best_arch, names["HERMES_1_PHASE"])["tiles"] == 6
    assert names["trained"].row.id == worker.best_arch.id
