import pytest

from analognas.errors import SpaceError
from analognas.search_spaces.inputs import resolve


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CIFAR-10", ("cifar10", (3, 32, 32), 10, "cifar10")),
        ("cifar_10", ("cifar10", (3, 32, 32), 10, "cifar10")),
        ("CIFAR-100", ("cifar100", (3, 32, 32), 100, "cifar100")),
        ("Fashion-MNIST", ("fashionmnist", (1, 28, 28), 10, "fashionmnist")),
        ("VWW", ("vww", (3, 96, 96), 2, "vww")),
        ("kws", ("kws", (1, 49, 10), 12, "kws")),
        ("Digits", ("digits", (1, 8, 8), 10, "digits")),
    ],
)
def test_known_datasets(name, expected):
    assert resolve(name, None, None) == expected


def test_other_shapes_never_share_a_label():
    assert resolve(None, (1, 4, 5), 3) == (None, (1, 4, 5), 3, "1x4x5-3")
    assert resolve("My Images", [3, 8, 8], 4)[3] == "my-images-3x8x8-4"
    assert resolve("CIFAR-10", (3, 32, 32), 10)[3] == "cifar10"
    assert resolve("CIFAR-10", (3, 16, 16), None)[3] == "cifar10-3x16x16-10"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, None), "needs a dataset, or input_shape"),
        (("CIFAR-11", None, None), "did you mean 'cifar10'"),
        (("imagenet21k", (3, 8, 8), None), "has no known input shape"),
        ((7, None, None), "7 is not a name"),
        ((None, (3, 8), 2), "three numbers"),
        ((None, (3, 8, 0), 2), "at least 1"),
        ((None, (3, 8, 8.5), 2), "whole number"),
        ((None, 8, 2), "three numbers"),
        ((None, (3, 8, 8), 1), "at least 2"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(SpaceError, match=message):
        resolve(*arguments)
