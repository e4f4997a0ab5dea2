from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks import front


def test_the_share_is_of_the_true_front():
    costs = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    usable = np.array([True, True, True, False])
    assert front.share(costs, np.array([0, 1, 2]), usable) == pytest.approx(1, abs=1e-6)
    assert front.share(costs, np.array([1, 3]), usable) == pytest.approx(
        1, abs=1e-6
    )  # the corners of a front add nothing
    assert front.share(costs, np.array([0, 2]), usable) == pytest.approx(0, abs=1e-6)


@pytest.mark.long
@pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")
def test_random_search_finds_a_part():
    problem = front.Problem(front.Cells.load(), "hermes-1-phase")
    found = front.compare(problem, 40, [0, 1], methods=("random",))
    for truth in ("label", "latent"):
        few, all_ = (found[truth]["random"][count]["mean"] for count in ("20", "40"))
        assert 0 < few <= all_ < 1
