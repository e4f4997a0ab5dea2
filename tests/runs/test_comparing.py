from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analognas.errors import CorruptFileError
from analognas.files import write_sealed
from analognas.runs import Run, find
from analognas.runs.answers import Answers
from analognas.runs.comparing import compare
from analognas.training.intervals import half_width
from analognas.workspace import Paths


@pytest.fixture
def run(histories: Any) -> Callable[..., Run]:
    """Return what makes a run of some figures of its winner."""
    made: list[Paths] = []

    def of(limits: Any = None, dataset: Any = None, **winner: Any) -> Run:
        paths = histories.empty(f"of-{len(made)}")
        made.append(paths)
        histories.stand(
            paths, histories.figures(**winner) | ({"limits": limits} if limits else {}), f"train.epochs={len(made)}"
        )
        if dataset:
            write_sealed(paths.dataset, histories.dataset | dataset)
        return find(paths, ".")

    return of


def told(a: Run, b: Run, name: str) -> dict[str, Any]:
    figure: dict[str, Any] = compare(a, b).to_dict()["figures"][name]
    return figure


def test_better_inconclusive_and_worse_follow_from_the_interval(run: Callable[..., Run]):
    a = run()
    for acc, verdict in ((99.4, "better"), (96.9, "inconclusive"), (91.0, "worse")):
        assert told(a, run(acc_1d=acc), "acc_1d")["verdict"] == verdict
    for avm, verdict in ((0.0, "inconclusive"), (12.0, "worse")):
        assert told(a, run(avm=avm), "avm")["verdict"] == verdict
    assert told(run(avm=12.0), a, "avm")["verdict"] == "better"  # less of it is better
    assert told(a, run(), "acc_1d")["verdict"] == "the same"


def test_the_interval_is_of_programmings_and_images_of_both_runs(run: Callable[..., Run]):
    a, b = run(acc_1d=50.0, acc_1d_sem=2.0), run(acc_1d=80.0, acc_1d_sem=0.0)
    halves = [half_width([4.0, 2500 / 359], [24, 359], 0.95), half_width([0.0, 1600 / 359], [24, 359], 0.95)]
    figure = told(a, b, "acc_1d")
    assert (figure["half_a"], figure["half_b"]) == tuple(map(pytest.approx, halves))
    assert figure["high"] - figure["difference"] == pytest.approx(math.hypot(*halves))
    assert figure["difference"] == pytest.approx(30.0)


def test_the_interval_of_a_limit_is_taken_where_there_is_one(run: Callable[..., Run]):
    verdict = {"limit": 5.0, "value": 96.55, "low": 95.55, "high": 97.55, "status": "held"}
    a = run(limits={"status": "held", "min_acc_1d": verdict})
    assert told(a, run(acc_1d=1.0), "acc_1d")["half_a"] == pytest.approx(1.0)


def test_the_share_of_the_images_in_the_loss_of_a_month_is_bounded(run: Callable[..., Run]):
    a = run(acc_1s=97.0, acc_30d=95.0, avm=2.0, avm_sem=0.0)
    spread = (2 - 0.97 - 0.95) - 0.02**2
    assert told(a, a, "avm")["half_a"] == pytest.approx(half_width([0.0, 1e4 * spread / 359], [24, 359], 0.95))


def test_what_differs_of_parameters_versions_and_data_is_named(run: Callable[..., Run]):
    a, b = run(), run(acc_1d=90.0, dataset={"digest": "e" * 64})
    done = compare(a, b)
    assert done.params == {"train.epochs": (1, 2)}
    assert done.versions == {"data: digest": ("d" * 64, "e" * 64)}
    assert not done.same_images
    assert any("different images" in sentence for sentence in done.sentences())
    assert not any("from the same images would be" in sentence for sentence in done.sentences())


def test_a_paired_interval_is_over_the_differences_on_the_same_images(run: Callable[..., Run]):
    a, b = run(acc_1d=50.0, acc_1d_sem=2.0), run(acc_1d=52.0, acc_1d_sem=1.0, repeats=9)
    first = np.array([0.0, 100.0] * 180)
    second = first + np.array([0.0, 0.0, 4.0, 4.0] * 90)
    figure = compare(a, b, Answers({"acc_1d": first}, {"acc_1d": second})).to_dict()["figures"]["acc_1d"]
    half = half_width([4.0, 1.0, np.var(second - first, ddof=1) / 360], [24, 8, 359], 0.95)
    assert figure["paired"]
    assert figure["difference"] == pytest.approx(2.0)
    assert (figure["low"], figure["high"]) == (pytest.approx(2.0 - half), pytest.approx(2.0 + half))
    assert half < told(a, b, "acc_1d")["high"] - 2.0


def test_the_same_images_decide_what_means_alone_do_not(run: Callable[..., Run]):
    a, b = run(acc_1d=90.0, acc_1d_sem=0.1), run(acc_1d=91.0, acc_1d_sem=0.1)
    images = np.array([0.0] * 36 + [100.0] * 324)
    assert told(a, b, "acc_1d")["verdict"] == "inconclusive"
    done = compare(a, b, Answers({"acc_1d": images}, {"acc_1d": images + 1.0}))
    assert (done.verdict, done.paired, done.to_dict()["unpaired"]) == ("better", True, None)
    said = " ".join(done.sentences())
    for part in (
        "better, +1.00 points (paired 90 % interval",
        "answered the same images",
        "digital accuracies are not",
    ):
        assert part in said
    assert [figure.paired for figure in done.figures] == [figure.name == "acc_1d" for figure in done.figures]
    refused = compare(a, b, Answers(problem="The winner is gone."))
    assert (refused.paired, refused.verdict, refused.to_dict()["unpaired"]) == (
        False, "inconclusive", "The winner is gone.",
    )  # fmt: skip
    assert "The winner is gone." in refused.sentences()


def test_it_says_that_nothing_is_paired_and_what_is_left_out(run: Callable[..., Run]):
    said = " ".join(compare(run(), run(acc_1d=99.4)).sentences())
    for part in (
        "better, +2.85 points (90 % interval",
        "not paired",
        "from the same images would be",
        "another training",
    ):
        assert part in said


def test_without_programmings_no_interval_is_made_up(run: Callable[..., Run]):
    figure = told(run(), run(acc_1d=10.0, repeats=1), "acc_1d")
    assert (figure["low"], figure["high"], figure["verdict"]) == (None, None, "inconclusive")


def test_figures_of_another_version_are_refused(run: Callable[..., Run]):
    a = run()
    b = run(acc_1s="much", acc_1d=3.0)
    with pytest.raises(CorruptFileError, match="of another version"):
        compare(a, b)


def test_one_winner_of_two_runs_is_told_with_one_interval(run: Callable[..., Run]):
    limit = {"T_AVM": {"limit": 5.0, "value": 2.0, "low": 1.5, "high": 2.5, "status": "held"}, "status": "held"}
    a, b = run(avm=2.0), run(avm=2.0, limits=limit)
    figure = told(a, b, "avm")
    assert (figure["half_a"], figure["half_b"]) == (0.5, 0.5)
    assert (figure["difference"], figure["low"], figure["high"]) == (0.0, 0.0, 0.0)
    sentences = compare(a, b).sentences()
    assert "AVM of B's winner: the same as A's." in sentences
    assert not any("paired" in sentence for sentence in sentences)
