import numpy as np
import pytest

from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.family import family
from analognas.search_spaces.resnet import ResNet

SPACES = {
    "digits": ConfigSpace("digits"),
    "published": ConfigSpace("CIFAR-10"),
    "spectrograms": ConfigSpace(input_shape=(1, 49, 10), classes=12),
    "large images": ConfigSpace(input_shape=(3, 96, 96), classes=2),
}


@pytest.fixture(params=SPACES)
def many(request):
    space = SPACES[request.param]
    architectures = space.sample(300, seed=1)
    columns = space.coding.columns(space.coding.encode(architecture.genes for architecture in architectures))
    return space, architectures, columns


def test_parameters_are_those_of_each_network(many):
    space, architectures, columns = many
    builder = family("resnet")
    each = [builder.count_params(one.genes, space.input_shape, space.classes) for one in architectures]
    assert builder.arrays().count_params(columns, space.input_shape, space.classes).tolist() == each


def test_layers_are_those_of_each_network(many):
    space, architectures, columns = many
    layers = family("resnet").arrays().layers(columns, space.input_shape, space.classes)
    for i, structure in enumerate(architecture.structure for architecture in architectures):
        expected = {}
        for layer in structure.layers:
            kind = (layer.kind == "conv", layer.rows, layer.columns, layer.out_height * layer.out_width)
            expected[kind] = expected.get(kind, 0) + 1
        found = {}
        parts = (layers.convolution, *(part[:, i] for part in (layers.rows, layers.columns, layers.pixels)))
        for *kind, count in zip(*parts, layers.counts[:, i], strict=True):
            if count:
                found[tuple(kind)] = found.get(tuple(kind), 0) + count
        assert found == expected
        names = ("params", "longest_path", "shortest_path", "skips")
        assert [getattr(layers, name)[i] for name in names] == [getattr(structure, name) for name in names]
        assert tuple(width for width in layers.widths[:, i] if width) == structure.widths


def test_levels_are_the_depths_of_each_network(many):
    space, architectures, columns = many
    layers = family("resnet").arrays().layers(columns, space.input_shape, space.classes)
    side_by_side = np.add.reduceat(layers.parallel * layers.columns, layers.levels, axis=0)
    for i, structure in enumerate(architecture.structure for architecture in architectures):
        expected = {}
        for layer in structure.layers:
            expected[layer.depth] = expected.get(layer.depth, 0) + layer.columns
        found = [
            int(columns)
            for columns, depths in zip(side_by_side[:, i], layers.repeats[list(layers.levels), i], strict=True)
            for _ in range(depths)
        ]
        assert sorted(found) == sorted(expected.values())


class Derived(ResNet):
    """Another network of the same genes."""


def test_a_derived_family_is_not_taken_for_this_one():
    assert Derived().arrays() is None
