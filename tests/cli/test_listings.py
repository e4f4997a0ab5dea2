import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_datasets_and_spaces_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = {entry["name"] for entry in json.loads(call("datasets", "--json").stdout)}
    assert {"digits", "cifar10", "image-folder"} <= names
    assert "digits" in call("datasets").output
    spaces = json.loads(call("spaces", "--json").stdout)
    assert "resnet-digits" in {space["name"] for space in spaces}


def test_chips_are_listed_with_their_source_and_who_computes_them():
    rows = {row["name"]: row for row in json.loads(call("hardware", "--json").stdout)}
    assert rows["analognas-bench"]["layers"] == "fast"
    assert rows["analognas-512"]["tile_size"] == 512
    assert rows["analognas-512"]["slow"] == "forward.noise_management ABS_MAX"
    assert all(row["source"] and row["note"] for row in rows.values())
    assert "reram-cmo" in call("hardware").output


def test_chips_whose_costs_are_known_are_listed_with_every_constant_and_its_source():
    rows = {row["name"]: row for row in json.loads(call("hardware", "--json").stdout) if row["kind"] == "cost"}
    assert set(rows) == {"analognas-projected", "hermes-1-phase", "hermes-4-phase", "zigzag-28nm"}
    for row in rows.values():
        assert row["constants"]
        assert all(constant["source"] and constant["unit"] for constant in row["constants"])
    text = call("hardware").output
    assert "vector_ns = 30 ns: 0.434 ms of ResNet32" in text
    assert "vdd = 0.9 V" in text


def test_the_space_of_a_workspace_is_shown_before_anything_was_recorded(inside: Paths):
    recorded = call("spaces", "--json").stdout
    inside.dataset.unlink()
    assert call("spaces", "--json").stdout == recorded
    assert not inside.dataset.exists()


def test_it_is_said_what_each_gene_is(inside: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (space,) = json.loads(call("spaces", "--json").stdout)
    assert all(gene["meaning"] for gene in space["hyperparameters"])
    text = call("spaces").output
    assert "residual blocks in main block 2, one after the other" in text
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path / "outside")
    text = call("spaces").output
    assert "filters (output channels) of the first convolution" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_the_space_of_a_workspace_is_shown_with_its_ranges(inside: Paths):
    assert call("stage", "sample", "--json").exit_code == 0
    (space,) = json.loads(call("spaces", "--json").stdout)
    assert space["name"] == "resnet-digits"
    assert "out_channel0" in call("spaces").output
