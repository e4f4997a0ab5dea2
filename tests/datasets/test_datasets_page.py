"""What docs/datasets.md says is what there is."""

import re
from pathlib import Path

import numpy as np

from analognas.datasets import AUGMENTATIONS, catalogue, load
from analognas.datasets.audio import Features

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


def rows(first):
    """Return the cells of the table rows that begin with a name in backticks, from the row of ``first`` on."""
    table = PAGE[PAGE.index(f"| `{first}` |") :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_every_dataset_is_in_the_table_with_its_shape_and_classes():
    listed = {cells[0].strip("`"): cells for cells in rows("digits")}
    assert set(listed) == {entry.name for entry in catalogue() if entry.loader.startswith("analognas.")}
    for entry in catalogue():
        cells = listed[entry.name]
        assert cells[1] == ("x".join(map(str, entry.input_shape)) if entry.input_shape else "any")
        assert cells[2].split()[0] == str(entry.classes or "any")


def test_every_augmentation_is_in_the_table():
    assert tuple(cells[0].strip("`") for cells in rows("crop")) == AUGMENTATIONS


def test_the_shapes_of_features_are_true():
    for kind in ("mfcc", "log-mel"):
        height, width = Features(kind).shape
        assert re.search(rf"`{kind}`.*1x{height}x{width}", PAGE)


def test_the_example_of_arrays_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    exec(code, {"np": np})
    data = load("arrays", path="mine.npz")
    assert (data.input_shape, data.classes) == ((1, 16, 16), 3)
