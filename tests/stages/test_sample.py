import pandas as pd
import pytest

from analognas.errors import MismatchError, SpaceError
from analognas.files import read_sealed, write_sealed
from analognas.params import Params
from analognas.params.file import override
from analognas.stages import run_stage
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


def test_a_budget_below_the_smallest_network_is_refused(workspace: Paths):
    with pytest.raises(SpaceError, match=r"smallest"):
        run(workspace, "space.max_params=10")
    assert not workspace.architectures.exists()


def test_other_versions_than_recorded_are_refused(workspace: Paths):
    recorded = read_sealed(workspace.environment, remedy="")
    write_sealed(workspace.environment, recorded | {"torch": "1.0"})
    with pytest.raises(MismatchError, match=r"torch 1\.0.*doctor --update"):
        run_stage("sample", Params.load(workspace.params), workspace)
