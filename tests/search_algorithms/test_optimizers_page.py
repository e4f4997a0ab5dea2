"""The example of docs/optimizers.md, taken from the page and run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analognas.params import Params
from analognas.search_algorithms import OPTIMIZERS, RandomSearch, Worker, optimizer_class
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator

PAGE = (Path(__file__).parents[2] / "docs" / "optimizers.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    module, test = blocks("python")
    (tmp_path / "annealing.py").write_text(module, encoding="utf-8")
    (tmp_path / "test_annealing.py").write_text(test, encoding="utf-8")
    (tmp_path / "params.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return tmp_path


def test_the_page_names_every_optimizer():
    named = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    assert named == {name: path.partition(":")[2] for name, path in OPTIMIZERS.items()}


def test_the_example_is_an_optimizer_of_a_workspace(folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = list(sys.path)
    cls = optimizer_class(Params.load(folder / "params.yaml").search.optimizer)
    assert sys.path == before
    space = ConfigSpace("digits")
    evaluator = AnalyticEvaluator(space)
    found = [Worker(space, one(evaluator, 20, 15, min_acc_1d=0.0), runs=3).search() for one in (cls, RandomSearch)]
    assert found[0].value > found[1].value
    sys.modules.pop("annealing")


@pytest.mark.long
def test_the_example_s_test_passes(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(folder)])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)
