import json

import numpy as np
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.config_space import Hyperparameter

SMALL = {"out_channel0": [4, 5], "kernel_size0": [3], "M": [1, 2], "R": 1, "B": 1, "widenfact": [1, 2]}


class TestSchema:
    def test_add_has_inclusive_bounds(self):
        space = ConfigSpace("CIFAR-10")
        space.add_hyperparameter("x", "discrete", min_value=1, max_value=5)
        drawn = {architecture.genes["x"] for architecture in space.sample(50, seed=0)}
        assert drawn == {1, 2, 3, 4, 5}

    def test_a_duplicate_is_refused(self):
        space = ConfigSpace("digits")
        space.add_hyperparameter("x", "discrete", min_value=1, max_value=5)
        for name in ("x", "M"):
            with pytest.raises(SpaceError, match=f"'{name}' exists already.*set_hyperparameter"):
                space.add_hyperparameter(name, "discrete", min_value=1, max_value=9)
        assert space.hyperparameters[-1] == Hyperparameter("x", "discrete", 1, 5)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"type": "discrete", "min_value": 5, "max_value": 1}, "above max_value"),
            ({"type": "float", "min_value": 1, "max_value": 2}, "unknown type"),
            ({"type": "categorical", "choices": []}, "has no choices"),
            ({"type": "categorical", "choices": "abc"}, "give a list"),
            ({"type": "categorical", "choices": 5}, "give a list"),
            ({"type": "discrete", "min_value": 1, "max_value": 2, "active_if": ("N", 2)}, "add that one first"),
            (
                {"type": "discrete", "min_value": 1, "max_value": 2, "active_if": ("convblock1", 2)},
                "no discrete",
            ),
        ],
    )
    def test_a_bad_gene_leaves_the_space_as_it_was(self, arguments, message):
        space = ConfigSpace("digits")
        digest = space.digest
        with pytest.raises(SpaceError, match=message):
            space.add_hyperparameter("x", **arguments)
        assert space.digest == digest

    def test_a_gene_that_no_builder_reads_may_be_described_but_not_built(self):
        space = ConfigSpace("digits")
        space.add_hyperparameter("dropout", "categorical", choices=("no", "yes"))
        architecture = space.sample(1, seed=0)[0]
        assert "dropout" in architecture.genes
        for use in (space.validate, architecture.build, lambda: architecture.structure):
            with pytest.raises(SpaceError, match="'dropout' is read by no builder"):
                use()

    def test_another_main_block_needs_its_genes(self):
        space = ConfigSpace("digits", ranges={"M": [1, 4]})
        with pytest.raises(SpaceError, match="convblock4"):
            space.validate()
        for name in ("R4", "B4", "widenfact4"):
            space.add_hyperparameter(name, "discrete", min_value=1, max_value=2, active_if=("M", 4))
        space.add_hyperparameter("convblock4", "categorical", choices=("basic",), active_if=("M", 4))
        space.validate()
        largest = max(space.sample(50, seed=0), key=lambda architecture: len(architecture.structure.widths))
        assert len(largest.structure.widths) == 4
        space.set_hyperparameter("M", max_value=3)
        space.validate()  # the genes of main block 4 are then never there
        space.add_hyperparameter("R5", "discrete", min_value=1, max_value=2)
        with pytest.raises(SpaceError, match="'R5' belongs to main block 5, but exists where there are only 1"):
            space.validate()

    @pytest.mark.parametrize(
        ("ranges", "message"),
        [
            ({"kernel_size0": [3, 4]}, "kernel_size0 = 4 is even"),
            ({"convblock2": ["basic", "dense"]}, "'dense' is no block type"),
            ({"R2": [0, 3]}, "R2 = 0 builds no network"),
            ({"M": [0, 3]}, "M = 0 builds no network"),
        ],
    )
    def test_ranges_that_build_no_network_are_refused(self, ranges, message):
        with pytest.raises(SpaceError, match=message):
            ConfigSpace("digits", ranges=ranges).validate()


class TestRanges:
    def test_forms(self):
        space = ConfigSpace(
            "CIFAR-10",
            ranges={
                "out_channel0": {"max_value": 16},
                "kernel_size0": {"min_value": 5},
                "M": [2, 3],
                "R": [1, 4],
                "R2": 2,
                "B1": {"choices": [2, 4]},
                "convblock": "basic",
                "convblock3": ["bottleneck"],
            },
        )
        described = {gene.name: gene.describe() for gene in space.hyperparameters}
        expected = {
            "out_channel0": "8..16",
            "kernel_size0": "5, 7",
            "M": "2..3",
            "R1": "1..4",
            "R2": "2",
            "R5": "1..4",
            "B1": "2, 4",
            "B2": "1..12",
            "convblock1": "basic",
            "convblock3": "bottleneck",
        }
        assert {name: described[name] for name in expected} == expected
        assert {gene.name: gene.active_if for gene in space.hyperparameters}["R2"] == ("M", 2)
        space.validate()

    @pytest.mark.parametrize(
        ("ranges", "message"),
        [
            ({"kernel_sise0": [3]}, "did you mean 'kernel_size0'"),
            ({"zzz": [3]}, "no hyperparameter 'zzz'"),
            ({"M": [3, 1]}, "above max_value"),
            ({"M": [1, 2, 3]}, r"give \[minimum, maximum\]"),
            ({"M": 2.5}, "give"),
            ({"M": [1, 2.5]}, "2.5 is not an integer"),
            ({"M": "x"}, "'x' is not an integer"),
            ({"M": {"max": 3}}, "unknown key 'max'"),
            ({"M": None}, "give"),
            ({"kernel_size0": []}, "no choices"),
            ({"kernel_size0": {"min_value": 8}}, "min_value 8 above|no choices"),
            ({"convblock1": {"min_value": 1}}, "both choices and bounds"),
            ([1], "give a mapping"),
        ],
    )
    def test_bad_ranges(self, ranges, message):
        with pytest.raises(SpaceError, match=message):
            ConfigSpace("digits", ranges=ranges)

    def test_they_do_not_change_the_identity_of_an_architecture_but_the_digest(self):
        wide, narrow = ConfigSpace("digits"), ConfigSpace("digits", ranges=SMALL)
        architecture = narrow.sample(1, seed=0)[0]
        assert wide.architecture(architecture.genes).id == architecture.id
        assert wide.digest != narrow.digest
        assert wide.digest == ConfigSpace("digits", max_params=5_000).digest
        assert ConfigSpace("CIFAR-10").digest != ConfigSpace("CIFAR-100").digest


class TestArchitecture:
    def test_inactive_genes_are_dropped(self):
        space = ConfigSpace("digits")
        genes = {gene.name: gene.at(0.0) for gene in space.hyperparameters}
        architecture = space.architecture(genes)
        assert set(architecture.genes) == {
            "out_channel0", "kernel_size0", "M", "R1", "B1", "convblock1", "widenfact1",
        }  # fmt: skip
        assert architecture == space.architecture(architecture.genes)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"M": 4}, "Gene M = 4 is out of range: allowed are 1..3"),
            ({"M": "2"}, "out of range"),
            ({"M": 2}, "Gene 'R2' is missing"),
            ({"kernel_size0": 4}, "allowed are 3, 5"),
            ({"convblock1": "dense"}, "allowed are basic, bottleneck"),
            ({"R0": 4}, "no gene 'R0'"),
            ({"out_chanel0": 4}, "did you mean 'out_channel0'"),
            ({"R1": 1.0}, "not an integer"),
        ],
    )
    def test_bad_genes(self, change, message):
        space = ConfigSpace("digits")
        with pytest.raises(SpaceError, match=message):
            space.architecture({**space.smallest().genes, **change})

    def test_numpy_integers_are_made_plain(self):
        space = ConfigSpace("digits")
        genes = {name: np.int64(v) if isinstance(v, int) else v for name, v in space.smallest().genes.items()}
        architecture = space.architecture(genes)
        assert architecture.id == space.smallest().id
        json.dumps(architecture.to_dict())

    def test_contains(self):
        space = ConfigSpace("digits")
        narrow = ConfigSpace("digits", ranges=SMALL)
        architectures = space.sample(50, seed=0)
        assert all(architecture in space for architecture in architectures)
        assert not all(architecture in narrow for architecture in architectures)
        assert "M" not in space
        assert space.smallest() not in ConfigSpace("CIFAR-10")
        big = max(architectures, key=lambda architecture: architecture.params)
        assert big not in ConfigSpace("digits", max_params=big.params - 1)
        assert big in ConfigSpace("digits", max_params=big.params)
