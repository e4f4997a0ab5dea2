"""The surrogates that the library carries."""

import json
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from analognas.evaluators.xgboost import XGBoostEvaluator
from analognas.search_algorithms.ea_optimized import EAOptimizer
from analognas.search_algorithms.worker import Worker
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space

FOLDER = Path(str(resources.files("analognas.evaluators"))) / "packaged"
CIFAR = ConfigSpace("cifar10-jpeg", input_shape=(3, 16, 16), classes=10, max_params=50_000)
SPACES = {
    "nasbench201-cifar10": NASBench201Space(),
    "resnet-digits": ConfigSpace("digits", max_params=20_000),
    "resnet-cifar10-jpeg-3x16x16-10": CIFAR,
}
#: Architectures that each comes from, at least.
LEAST = {"nasbench201-cifar10": 500, "resnet-digits": 500, "resnet-cifar10-jpeg-3x16x16-10": 60}
SHIPPED = sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", SHIPPED)
def test_an_evaluator_without_fit_searches_its_space(name: str):
    space = SPACES[name]
    evaluator = XGBoostEvaluator()
    drawn = evaluator.predict(space.sample(50, seed=7))
    assert drawn["acc_1d"].between(0, 100).all()
    worker = Worker(space, EAOptimizer(evaluator, population_size=20, nb_iter=5, min_acc_1d=20.0), runs=1)
    assert worker.search().value > (drawn["acc_1d"] - drawn["acc_1d_std"]).quantile(0.9)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_says_what_the_evaluator_knows_of_itself(name: str):
    evaluator = XGBoostEvaluator.load(FOLDER / name)
    card = (FOLDER / name / "card.md").read_text()
    assert f"| architectures | {evaluator.report_['architectures']} |" in card
    for figure in (figures["kendall_tau"] for figures in evaluator.report_["targets"].values()):
        assert f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})" in card
    assert evaluator.report_["architectures"] >= LEAST[name]
    assert {evaluator.context_.dataset, evaluator.context_.hardware, evaluator.context_.protocol} <= set(
        card.split("`")
    )


@pytest.mark.parametrize("name", [name for name in SHIPPED if (FOLDER / name / "data.parquet").is_file()])
def test_the_data_beside_it_are_of_its_space(name: str):
    data = pd.read_parquet(FOLDER / name / "data.parquet")
    space = SPACES[name]
    architectures = [space.architecture(json.loads(text)) for text in data["genes"]]
    assert [one.id for one in architectures] == list(data["id"])
    assert [one.params for one in architectures] == list(data["params"])
    assert XGBoostEvaluator().score(architectures, data) > 0.8  # it has seen them
