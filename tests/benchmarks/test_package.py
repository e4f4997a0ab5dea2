import json
from pathlib import Path

import pandas as pd
import pytest

from analognas.errors import MismatchError
from analognas.evaluators.xgboost import XGBoostEvaluator
from analognas.search_spaces import ConfigSpace
from analognas.workspace import Paths
from benchmarks.package import package


@pytest.mark.long
def test_a_workspace_becomes_a_surrogate_with_card_and_data(finished: Paths, tmp_path: Path):
    folder = package(finished.root, tmp_path / "a", from_cells=False)
    assert folder.name == "resnet-digits"
    evaluator = XGBoostEvaluator.load(folder)
    rows = pd.read_parquet(finished.surrogate)
    data = pd.read_parquet(folder / "data.parquet")
    assert set(data["id"]) == set(rows.loc[(rows["status"] == "ok") & (rows["role"] == "sample"), "id"])
    assert json.loads(data["genes"].iloc[0])["M"] >= 1
    card = (folder / "card.md").read_text()
    tau = evaluator.report_["targets"]["acc_1d"]["kendall_tau"]
    assert f"| 1-day accuracy | {tau['value']:.2f} ({tau['low']:.2f} to {tau['high']:.2f}) |" in card
    assert f"| architectures | {len(data)} |" in card
    assert evaluator.context_.hardware in card
    again = package(finished.root, tmp_path / "b", from_cells=False)
    for file in folder.rglob("*.*"):
        assert file.read_bytes() == (again / file.relative_to(folder)).read_bytes()


@pytest.mark.long
def test_a_surrogate_may_be_for_a_space_of_another_name(finished: Paths, tmp_path: Path):
    folder = package(finished.root, tmp_path, from_cells=False, name="mine", images="digits")
    assert folder.name == "mine"
    evaluator = XGBoostEvaluator.load(folder)
    same = ConfigSpace(input_shape=(1, 8, 8), classes=10, name="mine", max_params=3_000).sample(5, seed=1)
    assert len(evaluator.predict(same)) == 5
    with pytest.raises(MismatchError):
        evaluator.predict(ConfigSpace("digits", max_params=3_000).sample(1, seed=1))
    assert (
        "| images | digits, 1x8x8, 1,000 / 397 / 400 for training / validation / test |"
        in (folder / "card.md").read_text()
    )
