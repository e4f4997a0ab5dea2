"""Stratified splits that do not depend on library versions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from analognas.datasets.base import PARTS, Integers
from analognas.errors import DatasetError
from analognas.seeds import numpy_generator


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

    Args:
        given: indices of the parts there are, ``train`` among them, in stratified order.
        labels: the class of every index.
        class_names: the classes, for the message.
        what: what is split, for the message.

    Raises:
        DatasetError: if a class would have nothing in one of the parts that are made.
    """
    parts = _cut(given)
    _refuse_missing(given, parts, labels, class_names, what, "add some")
    return parts


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
    divided = labels[given["train"]]
    for part in PARTS:
        if part in given and len(parts[part]) == len(given[part]):
            continue
        absent = np.setdiff1d(divided, labels[parts[part]])
        if len(absent):
            count = np.count_nonzero(divided == absent[0])
            raise DatasetError(
                f"Class {class_names[absent[0]]!r} has {count} {what} to divide, none of which would be in the "
                f"{part} part: {remedy}, or divide all into train, validation and test yourself."
            )


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
    groups the test part gets one of its own, and validation is cut off what is left, stratified.

    Args:
        given: indices of the parts there are, ``train`` among them, in stratified order.
        groups: the group (speaker) of every index.
        labels: the class of every index.
        class_names: the classes, for the message.
        seed: of the draw.
        purpose: what the split is for.

    Raises:
        DatasetError: if a class would have nothing in one of the parts that are made.
    """
    parts = dict(given)
    index = parts["train"]
    of = np.asarray(groups, dtype=str)[index]
    names, counts = np.unique(of, return_counts=True)
    drawn = np.argsort(numpy_generator(seed, "split", purpose, "groups").random(len(names)), kind="stable")
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
        rest = rest[stratified_order(labels[rest], seed=seed, purpose=f"{purpose} rest")]
    parts = _cut({**parts, "train": rest})
    _refuse_missing(given, parts, labels, class_names, "recordings", "add some by more speakers")
    return parts
