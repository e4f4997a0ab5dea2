import json
import pickle

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.config_space import DATASETS

SMALL = {"out_channel0": [4, 5], "kernel_size0": [3], "M": [1, 2], "R": 1, "B": 1, "widenfact": [1, 2]}


@pytest.mark.parametrize("name", DATASETS)
def test_known_datasets_make_valid_spaces(name):
    space = ConfigSpace(name)
    space.validate()
    assert space.name == f"resnet-{name}"
    assert space.dataset == name
    assert (space.input_shape, space.classes) == DATASETS[name]


def test_a_space_by_shape():
    space = ConfigSpace(input_shape=(1, 49, 10), classes=12)
    assert space.name == "resnet-1x49x10-12"
    assert space.dataset is None
    assert ConfigSpace("CIFAR-10", name="mine").id.name == "mine"


class TestBudget:
    def test_a_budget_below_the_smallest_network_says_its_size_and_the_remedy(self):
        least = ConfigSpace("CIFAR-10").smallest().params
        ConfigSpace("CIFAR-10", max_params=least).validate()
        space = ConfigSpace("CIFAR-10", max_params=least - 1)
        for use in (space.validate, lambda: space.sample(1)):
            with pytest.raises(SpaceError, match=f"has {least} parameters.*raise max_params to at least {least}"):
                use()

    def test_the_smaller_budget_holds(self):
        space = ConfigSpace("digits", max_params=1000)
        assert space.budget(500) == 500
        assert space.budget(5000) == 1000
        assert space.budget() == 1000
        assert max(a.params for a in space.sample(20, max_params=500)) <= 500

    @pytest.mark.parametrize("value", [0, -1, 2.5, "50k", True])
    def test_bad_budgets(self, value):
        with pytest.raises(SpaceError, match="max_params is"):
            ConfigSpace("digits", max_params=value)
        with pytest.raises(SpaceError, match="max_params is"):
            ConfigSpace("digits").sample(1, max_params=value)


class TestEncode:
    def test_columns_are_numbers_in_schema_order(self):
        space = ConfigSpace("digits")
        space.add_hyperparameter("pool", "categorical", choices=("max", "mean"))
        architectures = space.sample(20, seed=1)
        frame = space.encode(architectures)
        assert list(frame)[:8] == [
            "out_channel0", "kernel_size0", "M", "R1", "B1", "convblock1_basic", "convblock1_bottleneck", "widenfact1",
        ]  # fmt: skip
        assert list(frame)[-2:] == ["pool_max", "pool_mean"]
        assert set(frame.dtypes) == {np.dtype("int64")}
        assert list(frame.index) == [architecture.id for architecture in architectures]
        for architecture, (_, row) in zip(architectures, frame.iterrows(), strict=True):
            assert row["M"] == architecture.genes["M"]
            for i in range(1, 4):
                active = i <= architecture.genes["M"]
                assert row[f"R{i}"] == architecture.genes.get(f"R{i}", 0)
                assert row[f"convblock{i}_basic"] + row[f"convblock{i}_bottleneck"] == active
                assert row[f"convblock{i}_basic"] == (architecture.genes.get(f"convblock{i}") == "basic")

    def test_no_architectures_make_an_empty_frame_with_all_columns(self):
        space = ConfigSpace("digits")
        assert list(space.encode([])) == list(space.encode(space.sample(2)))

    def test_the_encoding_tells_architectures_apart(self):
        space = ConfigSpace("digits", ranges=SMALL)
        everything = space.sample(space.size(), seed=0)
        assert not pd.DataFrame(space.encode(everything)).duplicated().any()


def test_repr_is_readable():
    text = repr(ConfigSpace("CIFAR-10", max_params=100_000))
    assert "resnet-cifar10" in text
    assert "at most 100,000 parameters" in text
    assert "  out_channel0  8..128\n" in text
    assert "  R2            1..16  (if M >= 2)\n" in text


def test_to_dict_is_json_and_pickling_keeps_the_space():
    space = ConfigSpace("digits", ranges=SMALL, max_params=5000)
    assert json.loads(json.dumps(space.to_dict()))["size"] == space.size()
    copied = pickle.loads(pickle.dumps(space))
    assert copied.to_dict() == space.to_dict()
    assert copied.sample(5, seed=2) == space.sample(5, seed=2)
