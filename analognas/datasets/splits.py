"""Stratified splits that do not depend on library versions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from analognas.datasets.base import PARTS, Integers
from analognas.errors import DatasetError
from analognas.seeds import numpy_generator

_DRAWS = 100
"""How often groups are drawn before it is said that no split has every class in every part."""


def stratified_order(labels: Integers, *, seed: int, purpose: str) -> Integers:
    """Return a random permutation of the indices of ``labels`` (N,) that is stratified throughout.

    In every prefix and in every stretch each class has its share of the whole to within one image or so, so a
    split is a cut of this order, and the sizes of its parts are exact. Only plain uniform draws are used: the
    shuffling of NumPy and scikit-learn may change with their versions, and the split must not.
    """
    draws = numpy_generator(seed, "split", purpose).random(len(labels))
    by_class = np.lexsort((draws, labels))
    _, first, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    position = np.empty(len(labels))
    position[by_class] = (np.arange(len(labels)) - np.repeat(first, counts) + 0.5) / np.repeat(counts, counts)
    return np.lexsort((draws, position)).astype(np.int64)


def shares(given: Mapping[str, object]) -> dict[str, float]:
    """Return which parts are split off the training part, and which share of it each becomes.

    60 / 20 / 20 of everything; or 10 % for validation if there is a test part; or 20 % for test.
    """
    if "test" in given:
        return {} if "validation" in given else {"validation": 0.1}
    return {"test": 0.2} if "validation" in given else {"validation": 0.2, "test": 0.2}


def split_off(
    given: Mapping[str, Integers], labels: Integers, class_names: Sequence[str], what: str = "images"
) -> dict[str, Integers]:
    """Return train, validation and test; what is missing is cut off the end of the training indices, in their order.

    Where that cut would leave a part without a class, each class is cut by itself: every part gets at least one of
    each, as long as there are so many.

    Args:
        given: indices of the parts there are, ``train`` among them, in stratified order.
        labels: the class of every index.
        class_names: the classes, for the message.
        what: what is split, for the message.

    Raises:
        DatasetError: if a class has fewer than there are parts to be made of it.
    """
    parts = _divided(given, labels)
    _refuse_missing(given, parts, labels, class_names, what, "add some")
    return parts


def _divided(given: Mapping[str, Integers], labels: Integers) -> dict[str, Integers]:
    """Return the parts by one cut of the order; where a class would be missing in one, by a cut of each class."""
    parts = _cut(given)
    return parts if _lacking(given, parts, labels) is None else _cut_each_class(given, parts, labels)


def _cut_each_class(
    given: Mapping[str, Integers], parts: Mapping[str, Integers], labels: Integers
) -> dict[str, Integers]:
    """Return parts as large as ``parts``, or a little larger, with at least one of each class: largest remainders."""
    rest = given["train"]
    classes, member, counts = np.unique(labels[rest], return_inverse=True, return_counts=True)
    by_class = np.argsort(member, kind="stable")
    after = np.empty(len(rest), dtype=np.int64)  # how many of its class come after each in the order
    after[by_class] = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(rest))
    divided = dict(given)
    taken = np.zeros(len(classes), dtype=np.int64)
    for part, share in shares(given).items():
        due = counts * share
        number = np.maximum(1, np.floor(due)).astype(np.int64)
        spare = max(0, len(parts[part]) - int(number.sum()))
        number[np.argsort(number - due, kind="stable")[:spare]] += 1
        divided[part] = rest[(after >= taken[member]) & (after < (taken + number)[member])]
        taken += number
    return {**divided, "train": rest[after >= taken[member]]}


def _cut(given: Mapping[str, Integers]) -> dict[str, Integers]:
    parts = dict(given)
    rest = parts["train"]
    total = len(rest)
    for part, share in shares(given).items():
        cut = len(rest) - max(1, round(share * total))
        parts[part], rest = rest[cut:], rest[:cut]
    return {**parts, "train": rest}


def _refuse_missing(
    given: Mapping[str, Integers],
    parts: Mapping[str, Integers],
    labels: Integers,
    class_names: Sequence[str],
    what: str,
    remedy: str,
) -> None:
    """Refuse parts that were made and lack a class; what was given is taken as it is."""
    lacking = _lacking(given, parts, labels)
    if lacking is not None:
        part, absent = lacking
        count = np.count_nonzero(labels[given["train"]] == absent)
        raise DatasetError(
            f"Class {class_names[absent]!r} has {count} {what} to divide, none of which would be in the "
            f"{part} part: {remedy}, or divide all into train, validation and test yourself."
        )


def _lacking(given: Mapping[str, Integers], parts: Mapping[str, Integers], labels: Integers) -> tuple[str, int] | None:
    """Return the first part that was made and lacks a class, and that class; what was given is taken as it is."""
    divided = labels[given["train"]]
    for part in PARTS:
        if part in given and len(parts[part]) == len(given[part]):
            continue
        absent = np.setdiff1d(divided, labels[parts[part]])
        if len(absent):
            return part, int(absent[0])
    return None


def split_off_groups(
    given: Mapping[str, Integers],
    groups: Sequence[str],
    labels: Integers,
    class_names: Sequence[str],
    *,
    seed: int,
    purpose: str,
) -> dict[str, Integers]:
    """Return train, validation and test, where what is missing is split off so that no group is in two of them.

    Whole groups (speakers) are drawn for each part until it has its share to within half a group. With too few
    groups the test part gets one of its own, and validation is cut off what is left, stratified. A draw that leaves a
    part without a class is drawn again.

    Args:
        given: indices of the parts there are, ``train`` among them, in stratified order.
        groups: the group (speaker) of every index.
        labels: the class of every index.
        class_names: the classes, for the message.
        seed: of the draw.
        purpose: what the split is for.

    Raises:
        DatasetError: if a class would have nothing in one of the parts that are made, however often it is drawn.
    """
    first = _drawn(given, groups, labels, seed, (purpose, "groups"))
    parts, draw = first, 0
    while _lacking(given, parts, labels) is not None and (draw := draw + 1) < _DRAWS:
        parts = _drawn(given, groups, labels, seed, (purpose, "groups", draw))
    if draw == _DRAWS:
        parts = first
    _refuse_missing(given, parts, labels, class_names, "recordings", "add some by more speakers")
    return parts


def _drawn(
    given: Mapping[str, Integers], groups: Sequence[str], labels: Integers, seed: int, purposes: Sequence[str | int]
) -> dict[str, Integers]:
    """Return the parts of one draw of groups."""
    parts = dict(given)
    index = parts["train"]
    of = np.asarray(groups, dtype=str)[index]
    names, counts = np.unique(of, return_counts=True)
    drawn = np.argsort(numpy_generator(seed, "split", *purposes).random(len(names)), kind="stable")
    order = deque(names[drawn].tolist())
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    wanted = sorted(shares(given).items())  # test before validation
    for position, (part, share) in enumerate(wanted):
        others = len(wanted) - position  # one group each for the parts still to come and for training
        taken: list[str] = []
        count = 0
        while len(order) > (others if taken else 1) and (
            not taken or count + sizes[order[0]] / 2 <= share * len(index)
        ):
            taken.append(order.popleft())
            count += sizes[taken[-1]]
        if taken:
            parts[part] = index[np.isin(of, taken)]
    rest = index[np.isin(of, list(order))]
    if len(rest) < len(index) and shares(parts):  # without the groups that were taken the order is not stratified
        rest = rest[stratified_order(labels[rest], seed=seed, purpose=f"{purposes[0]} rest")]
    return _divided({**parts, "train": rest}, labels)
