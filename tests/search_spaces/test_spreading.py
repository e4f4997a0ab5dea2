import numpy as np
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.spreading import LOWEST, _nearest, spread_by_size


def sizes(architectures):
    return np.sort([architecture.params for architecture in architectures])


@pytest.mark.parametrize(
    "space",
    [ConfigSpace("digits", max_params=500_000), ConfigSpace("CIFAR-10", max_params=500_000)],
    ids=["digits", "published"],
)
def test_sizes_are_even_in_the_logarithm_up_to_the_budget(space):
    spread = space.sample(40, seed=1, spread="size")
    assert len({architecture.id for architecture in spread}) == 40
    assert all(architecture in space for architecture in spread)
    steps = np.diff(np.log(sizes(spread)))
    assert 500_000 * LOWEST <= sizes(spread)[0] < 1.2 * 500_000 * LOWEST
    assert 450_000 < sizes(spread)[-1] <= 500_000
    assert steps.max() < 4 * steps.mean()
    drawn = np.diff(np.log(sizes(space.sample(40, seed=1))))
    assert steps.std() < drawn.std()
    # A sample by genes has its median elsewhere: here it is the geometric mean of both ends.
    middle = np.sqrt(float(sizes(spread)[0]) * sizes(spread)[-1])
    assert middle / 1.5 < np.median(sizes(spread)) < 1.5 * middle


def test_the_same_seed_gives_the_same_sample_and_the_usual_one_is_not_changed():
    space = ConfigSpace("digits", max_params=10_000)
    spread = space.sample(12, seed=3, spread="size")
    assert space.sample(12, seed=3, spread="size") == spread
    assert space.sample(12, seed=4, spread="size") != spread
    assert space.sample(12, seed=3, spread="genes") == space.sample(12, seed=3)
    assert [one.params for one in spread] != sorted(one.params for one in spread)


def test_without_a_budget_the_largest_draw_is_the_end():
    space = ConfigSpace("digits")
    spread = sizes(space.sample(12, seed=3, spread="size"))
    drawn = sizes(space.sample(12, seed=3))
    assert LOWEST * drawn[-1] <= spread[0] < 1.5 * LOWEST * drawn[-1]
    assert spread[-1] == drawn[-1]


def test_a_space_with_as_many_as_are_wanted_gives_them_all():
    ranges = {"out_channel0": [4, 9], "kernel_size0": 3, "M": 1, "R": 1, "B": 1, "convblock": "basic", "widenfact": 1}
    space = ConfigSpace("digits", ranges=ranges)
    assert sizes(space.sample(6, spread="size")).tolist() == sizes(space.enumerate()).tolist()
    with pytest.raises(SpaceError, match="holds only 6 architectures"):
        space.sample(7, spread="size")
    with pytest.raises(SpaceError, match="Spread 'even' is unknown: use one of genes, size"):
        space.sample(2, spread="even")


def test_each_value_is_taken_once_and_enough_are_left():
    assert _nearest(np.array([0.0, 1.0, 2.0, 9.0, 10.0]), np.array([0.0, 5.0, 10.0])) == [0, 2, 4]
    assert _nearest(np.array([0.0, 9.0, 10.0]), np.array([0.0, 5.0, 10.0])) == [0, 1, 2]
    assert _nearest(np.array([0.0, 1.0, 1.1, 10.0]), np.array([0.0, 0.1, 0.2, 10.0])) == [0, 1, 2, 3]


def test_smaller_ones_are_taken_where_there_are_too_few():
    ranges = {"out_channel0": [4, 9], "kernel_size0": 3, "M": 1, "R": 1, "B": 1, "convblock": "basic", "widenfact": 1}
    space = ConfigSpace("digits", ranges=ranges, max_params=60_000)  # all are below a thirtieth of it
    assert len(spread_by_size(space, 5, seed=0, method="uniform", max_params=60_000)) == 5


def test_a_small_space_is_not_asked_for_more():
    space = ConfigSpace("digits", max_params=300)
    assert len(spread_by_size(space, 20, seed=0, method="uniform", max_params=300)) == 20
