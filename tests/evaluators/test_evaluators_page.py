"""The example of docs/evaluators.md, taken from the page and run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analognas.evaluators.registry import EVALUATORS
from analognas.params import Params

PAGE = (Path(__file__).parents[2] / "docs" / "evaluators.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_names_every_evaluator():
    named = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    assert named == {name: path.partition(":")[2] for name, path in EVALUATORS.items()}


@pytest.mark.long
def test_the_example_conforms(tmp_path):
    module, test = blocks("python")
    (tmp_path / "linear.py").write_text(module, encoding="utf-8")
    (tmp_path / "test_linear.py").write_text(test, encoding="utf-8")
    (tmp_path / "params.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    assert Params.load(tmp_path / "params.yaml").fit.evaluator == "linear:Linear"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"2\d passed", done.stdout)
