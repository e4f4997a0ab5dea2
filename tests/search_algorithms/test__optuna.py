import pytest

from analognas.search_algorithms._optuna import distributions, quiet, to_architecture, to_params
from analognas.search_spaces import ConfigSpace


def test_every_architecture_has_its_values():
    space = ConfigSpace("digits", ranges={"kernel_size0": [3, 5], "convblock1": "basic"})
    names = [gene.name for gene in space.hyperparameters]
    known = distributions(space)
    assert list(known) == names
    for one in space.sample(50):
        params = to_params(space, one.genes, {})
        assert list(params) == names
        assert all(known[name]._contains(known[name].to_internal_repr(value)) for name, value in params.items())
        assert to_architecture(space, params) == one


def test_genes_that_are_not_active_keep_their_values():
    space = ConfigSpace("digits")
    one = next(one for one in space.sample(20) if one.genes["M"] == 1)
    params = to_params(space, one.genes, {"R3": 2, "M": 2})
    assert params["R3"] == 2
    assert params["M"] == 0  # the position of the gene's own value
    assert params["R2"] == 1  # in the middle


def test_optuna_is_quiet_only_for_so_long():
    import optuna

    before = optuna.logging.get_verbosity()
    seen = []

    def fails():
        seen.append(optuna.logging.get_verbosity())
        raise RuntimeError

    with pytest.raises(RuntimeError), quiet():
        fails()
    assert seen == [optuna.logging.CRITICAL]
    assert optuna.logging.get_verbosity() == before
