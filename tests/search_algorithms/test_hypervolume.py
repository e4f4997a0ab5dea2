import numpy as np
import pytest

from analognas.search_algorithms.hypervolume import hypervolume, improvements


def test_boxes_by_hand():
    assert hypervolume(np.array([[0.25]]), np.array([1.0])) == 0.75
    two = np.array([[0.0, 0.5], [0.5, 0.0]])
    assert hypervolume(two, np.ones(2)) == pytest.approx(0.75)
    assert hypervolume(np.vstack([two, [[0.6, 0.6]]]), np.ones(2)) == pytest.approx(0.75)  # dominated by none alone
    assert hypervolume(np.array([[0.5, 0.5, 0.5]]), np.ones(3)) == 0.125
    stairs = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    assert hypervolume(stairs, np.ones(3)) == pytest.approx(3 * 0.25 - 3 * 0.125 + 0.125)
    assert hypervolume(np.array([[0.5, 1.5]]), np.ones(2)) == 0


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_it_is_what_points_say_that_are_thrown_at_it(objectives: int):
    rng = np.random.default_rng(objectives)
    costs, draws = rng.random((12, objectives)), rng.random((40_000, objectives))
    hit = (costs[:, None, :] <= draws[None]).all(axis=2).any(axis=0).mean()
    assert hypervolume(costs, np.ones(objectives)) == pytest.approx(hit, abs=0.02)


def test_what_a_candidate_adds():
    draws = np.random.default_rng(0).random((20_000, 2))
    known = np.array([[0.5, 0.0]])
    candidates = np.array([[0.0, 0.5], [0.5, 0.5], [0.5, 0.0], [0.0, 0.0]])
    assert improvements(candidates, known, draws) == pytest.approx([0.25, 0, 0, 0.5], abs=0.01)
    everything = np.zeros((1, 2))
    assert improvements(candidates, everything, draws).tolist() == [0, 0, 0, 0]
