from __future__ import annotations

from dataclasses import replace

import pytest

from analognas.params import Params
from analognas.setup.probe import Speed
from analognas.setup.run_time import START, Efforts, Machine, duration, estimate, side_by_side

SIZES = {"train": 1_000, "validation": 400, "test": 600}
EFFORTS = Efforts((1.0, 2.0, 3.0, 6.0), winner=5.0, plain=4.0)
SPEED = Speed(digital=1e-3, hwa=3e-3, pass_=1e-4, once=0.5)
ALONE = Machine(SPEED, workers=1)
PARAMS = Params.validated({"sample": {"size": 4}, "characterize": {"replicates": 2}})


def test_the_longest_first_and_each_process_takes_what_is_next() -> None:
    assert side_by_side([1, 2, 3, 4], 1) == 10
    assert side_by_side([1, 2, 3, 4], 2) == 5
    assert side_by_side([9, 1, 1, 1], 2) == 9
    assert side_by_side([5, 5, 5], 8) == 5  # no run is shorter than its longest part


def test_a_run_is_the_sum_of_its_parts_by_hand() -> None:
    found = estimate(PARAMS, SIZES, EFFORTS, replace(ALONE, spent=7.0))
    one = SPEED.seconds(1.0, PARAMS.characterize, 1_000, 400)
    final = SPEED.seconds(1.0, PARAMS.train, 1_000, 1_000)  # measured on validation and on test
    # 4 architectures and the first two again; then the winner and the plain network, one after the other.
    assert found.characterize == pytest.approx((1 + 2 + 3 + 6 + 1 + 2) * one, abs=10)
    assert found.characterize > 15 * one
    assert found.train == pytest.approx((5 + 4) * final, abs=6)
    assert found.train > 9 * final
    assert found.look == 7
    assert found.seconds == pytest.approx(sum(vars(found).values()))
    assert found.besides == pytest.approx(found.seconds - found.characterize - found.train)
    assert found.to_dict()["look"] == 7


def test_side_by_side_it_takes_less_but_not_half() -> None:
    alone, two = (estimate(PARAMS, SIZES, EFFORTS, replace(ALONE, workers=workers)) for workers in (1, 2))
    assert 0.5 * alone.characterize < two.characterize < 0.8 * alone.characterize
    # Two networks are trained at the end.
    eight = estimate(PARAMS, SIZES, EFFORTS, replace(ALONE, workers=8))
    assert eight.train == two.train
    assert eight.characterize >= SPEED.seconds(6.0, PARAMS.characterize, 1_000, 400)


def test_networks_that_people_take_by_hand_are_characterized_and_some_are_trained_with_the_winner() -> None:
    more = replace(EFFORTS, known=(10.0, 20.0), beside=(20.0,))
    found, with_known = (estimate(PARAMS, SIZES, efforts, ALONE) for efforts in (EFFORTS, more))
    one, final = (
        SPEED.seconds(1.0, how, 1_000, seen) for how, seen in ((PARAMS.characterize, 400), (PARAMS.train, 1_000))
    )
    assert with_known.characterize - found.characterize == pytest.approx(30 * one, rel=0.1)
    assert with_known.train - found.train == pytest.approx(20 * final, rel=0.1)


def test_what_is_besides_the_sample_counts_as_the_others_do() -> None:
    found, more = (estimate(PARAMS, SIZES, EFFORTS, ALONE, more=more) for more in (0, 5))
    expected = 5 * SPEED.seconds(EFFORTS.mean, PARAMS.characterize, 1_000, 400)
    assert more.characterize - found.characterize == pytest.approx(expected, abs=3)


def test_a_slow_machine_starts_things_slowly_and_data_are_read_again_and_again() -> None:
    fast = estimate(PARAMS, SIZES, EFFORTS, ALONE)
    slow = estimate(PARAMS, SIZES, EFFORTS, replace(ALONE, start=3 * START))
    assert slow.start == pytest.approx(3 * fast.start)
    assert slow.fit_and_search == pytest.approx(3 * fast.fit_and_search)
    large = estimate(PARAMS, SIZES, EFFORTS, replace(ALONE, start=START + 4.0, read=4.0))
    assert large.start > fast.start + 4 * 4.0  # the driver
    assert large.characterize >= fast.characterize + 4.0  # and each worker
    assert large.fit_and_search == fast.fit_and_search


def test_a_search_that_asks_more_takes_longer() -> None:
    def searching(**search: object) -> float:
        return estimate(Params.validated({"search": search}), SIZES, EFFORTS, ALONE).fit_and_search

    usual, large = searching(), searching(population_size=200, nb_iter=200)
    assert large > 10 * usual
    assert searching(population_size=200, nb_iter=200, optimizer="random_search") < 0.6 * large


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "about 1 s"), (59, "about 59 s"), (400, "about 7 min"), (9_000, "about 2.5 h")]
)
def test_a_time_is_told_as_exactly_as_it_deserves(seconds: float, words: str) -> None:
    assert duration(seconds) == words
