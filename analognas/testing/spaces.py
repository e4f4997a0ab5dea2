"""What every search space promises: derive a test class from :class:`SpaceConformance` for a space of your own.

class TestMySpace(SpaceConformance):
    def make(self, **how):
        return ConfigSpace("digits", family="mymodule:MyFamily", **how)
"""

from __future__ import annotations

import itertools
import json
import pickle
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import Architecture, ConfigSpace

_MOST = 12


class SpaceConformance(ABC):
    """Tests of sampling, variation, identity and the built network; they need torch for the last."""

    @abstractmethod
    def make(self, **how: Any) -> ConfigSpace:
        """Return the space; ``how`` may hold ``max_params``."""

    @pytest.fixture
    def space(self) -> ConfigSpace:
        """Return the space."""
        return self.make()

    @pytest.fixture
    def architectures(self, space: ConfigSpace) -> list[Architecture]:
        """Return a few of its architectures."""
        return space.sample(min(_MOST, space.size()), seed=3)

    def test_it_is_valid(self, space: ConfigSpace) -> None:
        """Every gene is read, and its ends build networks."""
        space.validate()
        assert space.name.startswith(f"{space.builder.name}-") or space.name

    def test_samples_are_distinct_members_and_follow_the_seed(self, space: ConfigSpace) -> None:
        """For both methods."""
        n = min(_MOST, space.size())
        for method in ("latin_hypercube", "uniform"):
            drawn = space.sample(n, seed=1, method=method)
            assert len({architecture.id for architecture in drawn}) == n
            assert all(architecture in space for architecture in drawn)
            assert space.sample(n, seed=1, method=method) == drawn
        if space.size() > 2 * n:
            assert space.sample(n, seed=2) != space.sample(n, seed=1)

    def test_budgets_hold(self, space: ConfigSpace, architectures: list[Architecture]) -> None:
        """For samples, mutants, children and neighbours."""
        limit = int(np.median([architecture.params for architecture in architectures]))
        small = self.make(max_params=limit)
        drawn = small.sample(4, seed=1)
        rng = np.random.default_rng(0)
        variants = [
            *drawn,
            *(small.mutate(architecture, rng) for architecture in drawn),
            small.crossover(drawn[0], drawn[1], rng),
        ]
        variants += small.neighbours(drawn[0])
        assert max(architecture.params for architecture in variants) <= limit
        with pytest.raises(SpaceError, match="smallest network"):
            self.make(max_params=1).sample(1)

    def test_mutants_differ_and_stay_inside(self, space: ConfigSpace, architectures: list[Architecture]) -> None:
        """Of every kind that has an alternative."""
        rng = np.random.default_rng(0)
        for architecture in architectures:
            mutant = space.mutate(architecture, rng)
            assert mutant != architecture
            assert mutant in space
        a, b = architectures[:2]
        child = space.crossover(a, b, rng)
        assert child in space
        for name in set(child.genes) & set(a.genes) & set(b.genes):
            assert child.genes[name] in (a.genes[name], b.genes[name])

    def test_neighbours_differ_in_one_gene(self, space: ConfigSpace, architectures: list[Architecture]) -> None:
        """And there are all of them."""
        architecture = architectures[0]
        neighbours = space.neighbours(architecture)
        assert len({other.id for other in neighbours}) == len(neighbours)
        assert architecture not in neighbours
        for other in neighbours:
            shared = set(architecture.genes) & set(other.genes)
            assert other in space
            assert sum(architecture.genes[name] != other.genes[name] for name in shared) == 1
        alternatives = sum(len(gene.values) - 1 for gene in space.hyperparameters if gene.name in architecture.genes)
        assert len(neighbours) == alternatives

    def test_enumeration_starts_with_members(self, space: ConfigSpace) -> None:
        """Each once."""
        listed = list(itertools.islice(space.enumerate(), 200))
        assert len(set(listed)) == len(listed) == min(200, space.size())
        assert all(architecture in space for architecture in listed[:_MOST])

    def test_an_architecture_survives_writing_and_reading(
        self, space: ConfigSpace, architectures: list[Architecture]
    ) -> None:
        """As JSON, as a pickle, and from its genes."""
        for architecture in architectures:
            assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture
            assert pickle.loads(pickle.dumps(architecture)).id == architecture.id  # noqa: S301 - our own
            assert space.architecture(dict(architecture.genes)) == architecture
            assert len(architecture.function_id) == 16

    def test_genes_out_of_range_are_refused(self, space: ConfigSpace, architectures: list[Architecture]) -> None:
        """With the name of the gene."""
        genes = dict(architectures[0].genes)
        name = next(iter(genes))
        with pytest.raises(SpaceError, match=name):
            space.architecture({**genes, name: 10_000})
        with pytest.raises(SpaceError, match="no_such_gene"):
            space.architecture({**genes, "no_such_gene": 1})

    def test_the_built_network_is_what_was_counted(self, space: ConfigSpace, architectures: list[Architecture]) -> None:
        """Parameters, and every analog layer by name, shape and operations."""
        import torch
        from torch import nn

        for architecture in architectures[:6]:
            network = architecture.build().eval()
            trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
            assert trainable == architecture.params == architecture.structure.params
            sizes: dict[str, tuple[int, ...]] = {}
            modules = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

            def remember(name: str, into: dict[str, tuple[int, ...]]) -> Any:
                return lambda _, __, out: into.update({name: tuple(out.shape[2:]) if out.ndim == 4 else (1, 1)})

            for name, module in modules.items():
                module.register_forward_hook(remember(name, sizes))
            with torch.no_grad():
                assert network(torch.zeros(2, *space.input_shape)).shape == (2, space.classes)
            layers = {layer.name: layer for layer in architecture.structure.layers}
            assert set(layers) == set(modules)
            for name, layer in layers.items():
                assert (layer.out_height, layer.out_width) == sizes[name]
                assert layer.weights == modules[name].weight.numel()
                assert layer.out_channels == modules[name].weight.shape[0]
