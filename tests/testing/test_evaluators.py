import pytest

import analognas.testing
from analognas.evaluators import TARGETS
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results


def test_what_is_announced_can_be_imported():
    for name in analognas.testing.__all__:
        assert getattr(analognas.testing, name).__module__.startswith("analognas.testing.")
    with pytest.raises(AttributeError, match="nothing"):
        _ = analognas.testing.nothing


def test_synthetic_results_are_of_the_architecture_and_the_seed():
    architectures = ConfigSpace("digits").sample(20)
    results = synthetic_results(architectures, seed=3)
    again = synthetic_results(architectures[::-1], seed=3).iloc[::-1].reset_index(drop=True)
    assert results.equals(again)
    assert (results[list(TARGETS)] != synthetic_results(architectures, seed=4)[list(TARGETS)]).all(axis=None)
    assert results["acc_1d"].between(0, 100).all()
    assert results["acc_1d"].std() > 5


def test_synthetic_results_without_noise_are_the_same_for_every_seed():
    architectures = ConfigSpace("digits").sample(5)
    assert synthetic_results(architectures, 0, noise=0).equals(synthetic_results(architectures, 1, noise=0))
