"""The seed's tutorial: configuration space, evaluator, optimizer, worker."""

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SpaceError
from analognas.evaluators.xgboost import XGBoostEvaluator
from analognas.params import TrainParams
from analognas.search_algorithms.ea_optimized import EAOptimizer
from analognas.search_algorithms.worker import Worker
from analognas.search_spaces.config_space import ConfigSpace


@pytest.fixture(scope="module")
def evaluator() -> XGBoostEvaluator:
    """Return an evaluator fitted to architectures of the digits space with made-up, plausible figures."""
    architectures = ConfigSpace("digits", max_params=5_000).sample(40, seed=0)
    size = np.log10([architecture.params for architecture in architectures])
    depth = np.array([architecture.structure.longest_path for architecture in architectures])
    results = pd.DataFrame(
        {"acc_1d": 30 + 18 * size - 0.5 * depth, "avm": 14 - 4 * size + 0.3 * depth, "acc_1d_std": 6 - 1.3 * size}
    )
    return XGBoostEvaluator(bootstrap=100).fit(architectures, results)


def test_the_tutorial(evaluator: XGBoostEvaluator, capsys: pytest.CaptureFixture[str]):
    CS = ConfigSpace("digits", max_params=5_000)  # noqa: N806 - as the tutorial has it

    optimizer = EAOptimizer(evaluator, population_size=20, nb_iter=10)

    NB_RUN = 2  # noqa: N806
    worker = Worker(CS, optimizer=optimizer, runs=NB_RUN)

    worker.search()

    worker.result_summary()

    assert worker.best_arch in CS
    assert dict(worker.best_arch.genes) == worker.best_config
    assert worker.best_arch.id in capsys.readouterr().out
    random = evaluator.predict(CS.sample(20, seed=1))
    best = evaluator.predict([worker.best_arch])
    assert best["acc_1d"].item() > random["acc_1d"].quantile(0.9)

    protocol = TrainParams(epochs=1, hwa_epochs=1, repeats=2)
    final = worker.train(protocol=protocol)
    assert final.row.id == worker.best_arch.id
    assert final.row.repeats == 2


def test_hyperparameters_have_unique_names():
    space = ConfigSpace("CIFAR-10")
    space.add_hyperparameter("name", "discrete", min_value=1, max_value=5)
    with pytest.raises(SpaceError, match="name"):
        space.add_hyperparameter("name", "discrete", min_value=1, max_value=5)
    drawn = {architecture.genes["name"] for architecture in space.sample(60, seed=0)}
    assert drawn == {1, 2, 3, 4, 5}


def test_a_hyperparameter_that_no_builder_reads_is_refused_before_a_search(evaluator: XGBoostEvaluator):
    space = ConfigSpace("digits", max_params=5_000)
    space.add_hyperparameter("nonsense", "discrete", min_value=1, max_value=5)
    with pytest.raises(SpaceError, match="nonsense"):
        Worker(space, optimizer=EAOptimizer(evaluator)).search()
