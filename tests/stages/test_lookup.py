from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analognas.errors import DatasetError, MismatchError
from analognas.files import read_sealed
from analognas.params import Params
from analognas.search_spaces.nasbench201 import NASBench201Space
from analognas.search_spaces.nasbench201.family import EDGE_GENES
from analognas.stages import STAGES, characterize, lookup, run_stage
from analognas.workspace import Paths

CELLS = (
    "dataset.name=analognas-bench",
    "space.name=nasbench201",
    "space.max_params=null",
    "characterize.source=analognas-bench",
    "sample.size=30",
    "fit.bootstrap=100",
    "search.population_size=10",
    "search.nb_iter=3",
    "search.runs=1",
    "search.T_AVM=null",
)

_DECIDE = {"architecture", "source", "digest", "read", "tile_size", "protocol"}

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


def test_the_whole_dag_runs_on_the_table(tmp_path: Path, make_workspace: Callable[..., Paths]) -> None:
    paths = make_workspace(tmp_path / "cells", *CELLS)
    params = Params.load(paths.params)
    for stage in STAGES:
        run_stage(stage, params, paths)
    frame = pd.read_parquet(paths.surrogate)
    assert (frame["status"] == "ok").sum() == 29  # of the cell of six skips the table says what cannot be
    frame = frame[frame["status"] == "ok"]
    published = lookup.table().evaluate(
        [NASBench201Space().architecture(json.loads(genes)) for genes in frame["genes"]]
    )
    assert frame["acc_1d"].tolist() == published["acc_1d"].tolist()
    assert frame["avm"].tolist() == published["avm"].tolist()
    assert frame["acc_1s"].isna().all()
    assert len(set(frame["protocol"])) == 1
    winner = json.loads((paths.winner / "winner.json").read_text())
    summary = read_sealed(paths.metrics("train"), remedy="")
    assert summary["winner"]["acc_1d"] == winner["row"]["acc_1d"]
    assert summary["difference"]["acc_1d"]["low"] < summary["difference"]["acc_1d"]["value"]
    assert "nothing was trained" in summary["notes"][0]
    again = characterize.pending(params, paths)
    assert again == []


def test_rows_of_the_table_never_share_a_key_with_measured_ones(
    tmp_path: Path, make_workspace: Callable[..., Paths]
) -> None:
    paths = make_workspace(tmp_path / "cells", *CELLS)
    params = Params.load(paths.params)
    run_stage("sample", params, paths)
    looked_up = characterize.jobs(params, paths)
    assert all(set(job.inputs) == _DECIDE for job in looked_up)
    assert len(looked_up) == 30  # no replicates: the table has one row each


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space.name": "resnet"}, "space.name nasbench201"),
        ({"hardware.rpu_config": "mychip:config"}, "rpu_config"),
        ({"hardware.adc_bits": 6}, "set hardware.adc_bits to null"),
    ],
)
def test_what_the_table_does_not_hold_is_refused(changes: dict[str, Any], message: str) -> None:
    values: dict[str, dict[str, Any]] = {}
    for assignment in CELLS[:4]:
        key, _, value = assignment.partition("=")
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = None if value == "null" else value
    for key, value in changes.items():
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    with pytest.raises(MismatchError, match=message):
        lookup.check(Params.validated(values))


def test_a_dataset_without_images_cannot_be_trained_on() -> None:
    from analognas.datasets import load

    with pytest.raises(DatasetError, match=r"has no images.*set dataset\.name"):
        load("analognas-bench").tensors("train")


def test_twins_are_as_far_apart_as_the_luck_of_a_training() -> None:
    assert lookup.twin_std()["acc_1d"] == pytest.approx(1.5, abs=0.7)


def test_a_row_that_cannot_be_true_has_no_values_and_says_why() -> None:
    cell = NASBench201Space().architecture(dict.fromkeys(EDGE_GENES, 0))
    row = lookup.row(cell, Params().hardware)
    assert row.status == "diverged"
    assert row.reason.startswith("the table says that noisy devices are more accurate than the digital network")
    assert dict(row.measured) == {}
