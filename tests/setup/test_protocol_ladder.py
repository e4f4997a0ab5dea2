from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from analognas.params import Params
from analognas.setup.protocol_ladder import FIRST_LOOK, LADDER, LEAST, Form, forms, parts_of, tries


def params(**dataset: Any) -> Params:
    return Params.validated({"dataset": {"name": "image-folder", **dataset}, "space": {"max_params": 100_000}})


def test_networks_and_images_become_smaller_in_turn() -> None:
    found = forms((3, 32, 32), params(), set())
    assert found[:4] == [Form(), Form(None, 50_000), Form(24, 50_000), Form(24, 25_000)]
    assert found[-1] == Form(16, 5_000)
    assert found[0].shape((3, 32, 32)) == (3, 32, 32)
    assert found[-1].shape((3, 32, 32)) == (3, 16, 16)
    for before, after in pairwise(found):
        assert (after.edge or 99, after.budget or 1e9) < (before.edge or 99, before.budget or 1e9)


def test_nothing_becomes_smaller_that_is_the_users_or_cannot() -> None:
    assert forms((3, 32, 32), params(), {"space.max_params", "dataset.image_size"}) == [Form()]
    assert {one.edge for one in forms((3, 32, 32), params(), {"dataset.image_size"})} == {None}
    assert {one.budget for one in forms((3, 32, 32), params(), {"space.max_params"})} == {None}
    # Neither arrays can be resized, nor images of 16x16 be smaller; 49 frames of 10 bands are less than 24x24.
    assert {one.edge for one in forms((3, 32, 32), params(name="arrays"), set())} == {None}
    assert {one.edge for one in forms((3, 16, 16), params(), set())} == {None}
    assert {one.edge for one in forms((1, 49, 10), params(name="KWS"), set())} == {None, 16}
    # What a budget means in another space, or whether one was wanted at all, nobody knows.
    other = params().model_copy(update={"space": params().space.model_copy(update={"name": "nasbench201"})})
    assert {one.budget for one in forms((3, 32, 32), other, set())} == {None}


def test_everything_is_tried_from_the_best_to_the_least() -> None:
    there = forms((3, 32, 32), params(), set())
    found = list(tries(there, (5_000,) * 10, set()))
    assert (found[0].form, found[0].part, found[0].rung) == (Form(), None, LADDER[0])
    assert (found[-1].form, found[-1].part, found[-1].rung) == (there[-1], 75, FIRST_LOOK[-1])
    places = [there.index(one.form) for one in found]
    assert places == sorted(places)
    # The whole ladder is for the images as they are, and goes first; then images are left out.
    first = [one for one in found if one.rung in LADDER]
    assert found[: len(first)] == first
    assert {one.form for one in first} == {Form()}
    assert list(dict.fromkeys(one.part for one in first)) == [None, 2_500, 1_200, 620, 310, 300]
    assert {one.part for one in found if one.rung in LEAST} == {300}
    later = list(tries(there, (5_000,) * 10, set(), begin=2))
    assert later == [one for one in found if one.rung not in LADDER and places[found.index(one)] >= 2]
    assert {one.part for one in tries(there, (5_000,) * 10, {"dataset.per_class"})} == {None}


def test_the_rungs_get_lower() -> None:
    for rungs in (LADDER, LEAST, FIRST_LOOK):
        for before, after in pairwise(rungs):
            for name in ("size", "share", "repeats", "final_repeats", "steps", "epochs", "longer"):
                assert getattr(after, name) <= getattr(before, name)
    assert FIRST_LOOK[-1].size >= 12  # an evaluator needs 8 rows, and some may diverge


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ((5_000,) * 10, [2_500, 1_200, 620, 310, 300]),
        ((22_500, 300), [11_000, 5_600, 2_800, 2_700]),  # 2,700 + 300 images
        ((50_000, *(100,) * 9), [25_000, 12_000, 6_200, 3_100, 2_100]),
        ((500,) * 100, [250, 120, 62, 50]),
        ((400,) * 10, [300]),
        ((300,) * 10, []),
    ],
)
def test_the_parts_that_are_tried(counts: tuple[int, ...], parts: list[int]) -> None:
    assert list(parts_of(counts)) == parts
    for part in parts:
        assert sum(min(count, part) for count in counts) >= 3_000


def test_fewer_images_are_left_for_a_first_look() -> None:
    assert list(parts_of((5_000,) * 10, 300, 750, 20)) == [150, 75]
    assert list(parts_of((100,) * 10, None, 750, 20)) == [75]
    assert list(parts_of((500,) * 100, 50, 750, 20)) == [25, 20]
    assert list(parts_of((70,) * 10, None, 750, 20)) == []
