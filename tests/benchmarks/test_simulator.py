import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks._cells import Cells
from benchmarks.simulator import COMPARED, choose, compare, twins


@pytest.fixture(scope="module")
def cells() -> Cells:
    return Cells.load()


def test_cells_are_spread_over_the_published_accuracy_and_no_two_are_twins(cells: Cells):
    chosen = choose(cells, 24, seed=0)
    assert chosen == choose(cells, 24, seed=0) != choose(cells, 24, seed=1)
    accuracy = cells.table["acc_1d"].to_numpy()
    assert (np.diff(accuracy[chosen]) > 0).all()
    assert accuracy[chosen[0]] < 65
    assert accuracy[chosen[-1]] > 86
    assert cells.table["function_id"].iloc[chosen].is_unique


def test_twins_agree_as_far_as_the_labels_can(cells: Cells):
    found = twins(cells)
    assert found["acc_1d"] == pytest.approx(0.74, abs=0.02)  # measured before, another way
    assert found["avm"] == pytest.approx(0.56, abs=0.03)


def test_agreement_of_figures():
    rng = np.random.default_rng(0)
    published = pd.DataFrame({name: rng.normal(size=30) for name in COMPARED})
    same = compare(published, published * 2 + 1)
    assert same["acc_1d"]["tau"] == same["avm"]["spearman"] == pytest.approx(1)
    other = compare(published, published.iloc[::-1])["acc_1d"]
    assert other["low"] < 0 < other["high"]


@pytest.mark.long
def test_cells_are_trained_on_images_of_another_size_and_a_second_run_trains_nothing(tmp_path: Path):
    for label in ("a", "b"):
        for number in range(12):
            (tmp_path / "images" / label).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(256, size=(12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{number}.png")
    command = [
        sys.executable, "-m", "benchmarks.simulator", "--dataset", "image-folder", "--path", str(tmp_path / "images"),
        "--image-size", "8", "--cells", "3", "--images", "8", "--scored", "4", "--epochs", "1", "--hwa-epochs", "1",
        "--repeats", "2", "--channels", "2", "--processes", "1", "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(first.stdout)
    assert found["input_shape"] == [3, 8, 8]
    assert found["cells"] + found["diverged"] == len(found["rows"]) == 3
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout) == found
    assert "after 1 day" in first.stderr
    assert "after 1 day" not in again.stderr
