import json

import pandas as pd
import pytest

from analognas.errors import MismatchError, SpaceError
from analognas.files import read_sealed, write_sealed
from analognas.params import Params
from analognas.params.file import override
from analognas.search_spaces.baseline import known_networks
from analognas.stages import inputs, run_stage, sample
from analognas.workspace import Paths


def run(workspace: Paths, *assignments: str) -> dict:
    return run_stage("sample", override(workspace.params, assignments), workspace)


def test_it_writes_distinct_architectures_within_the_budget(workspace: Paths):
    summary = run(workspace)
    frame = pd.read_parquet(workspace.architectures)
    assert list(frame.columns) == ["id", "space", "genes", "params", "tiles"]
    assert frame["id"].is_unique
    assert len(frame) == summary["architectures"] == 10
    assert frame["params"].max() == summary["params_max"] <= 3_000
    assert read_sealed(workspace.metrics("sample"), remedy="") == summary


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(workspace: Paths):
    run(workspace)
    first = workspace.architectures.read_bytes()
    run(workspace)
    assert workspace.architectures.read_bytes() == first
    run(workspace, "base.seed=1")
    assert workspace.architectures.read_bytes() != first


def test_a_sample_by_size_is_even_in_the_logarithm(workspace: Paths):
    by_size = run(workspace, "sample.spread=size")
    middle = (by_size["params_min"] * by_size["params_max"]) ** 0.5
    assert middle / 1.6 < by_size["params_median"] < 1.6 * middle
    assert by_size["architectures"] == 10


def test_the_networks_that_people_take_by_hand_stand_behind_the_sample(workspace: Paths):
    summary = run(workspace, "space.max_params=6k")
    frame = pd.read_parquet(workspace.architectures)
    space = inputs.space(Params.load(workspace.params), workspace)
    known = known_networks(space.id, 6_000)["mlperf_tiny"]
    assert summary["architectures"] == len(frame) == 11
    assert (frame["id"].iloc[-1], frame["params"].iloc[-1]) == (known.id, known.params)
    run(workspace, "sample.known=false")
    assert pd.read_parquet(workspace.architectures)["id"].tolist() == frame["id"].tolist()[:10]


def test_one_that_was_drawn_is_there_once(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    run(workspace)
    space = inputs.space(Params.load(workspace.params), workspace)
    drawn = space.architecture(json.loads(pd.read_parquet(workspace.architectures)["genes"][3]))
    monkeypatch.setattr(sample, "known_networks", lambda *_: {"mlperf_tiny": drawn})
    assert run(workspace)["architectures"] == 10


def test_a_budget_below_the_smallest_network_is_refused(workspace: Paths):
    with pytest.raises(SpaceError, match=r"smallest"):
        run(workspace, "space.max_params=10")
    assert not workspace.architectures.exists()


def test_other_versions_than_recorded_are_refused(workspace: Paths):
    recorded = read_sealed(workspace.environment, remedy="")
    write_sealed(workspace.environment, recorded | {"torch": "1.0"})
    with pytest.raises(MismatchError, match=r"torch 1\.0.*doctor --update"):
        run_stage("sample", Params.load(workspace.params), workspace)
