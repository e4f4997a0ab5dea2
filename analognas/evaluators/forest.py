"""Boosted trees as plain arrays, evaluated for all rows and trees at once.

A search asks a few hundred architectures at a time of 30 ensembles of small trees: XGBoost's own call costs more than
the trees it walks. Trees of one ensemble compare with few different thresholds, so every comparison is made once; which
way a row goes through a tree follows from these by logic on truth values, which NumPy does for 32 of them in one
instruction. The sums are XGBoost's, bit by bit: single precision, one tree after the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xgboost as xgb
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: Deeper trees are left to XGBoost: a complete tree doubles with every level.
DEEPEST = 6

# Trees times rows that are looked at together: they stay in the processor's cache.
_AT_ONCE = 30_000


@dataclass(frozen=True)
class Forest:
    """The trees of several boosters, each completed to the same depth.

    Node i of a tree has the children 2 i + 1 (the feature is less than the threshold) and 2 i + 2.

    Args:
        features, thresholds: of all different comparisons, (c,).
        comparisons: which one each node makes, (trees, nodes).
        leaves: (trees, nodes + 1).
        boosters: how many there are, each of equally many trees, one after the other.
    """

    features: NDArray[np.int64]
    thresholds: Floats
    comparisons: NDArray[np.int64]
    leaves: Floats
    boosters: int

    @classmethod
    def of(cls, boosters: Sequence[xgb.Booster]) -> Forest | None:
        """Return the trees of boosters with numeric features, in XGBoost's documented JSON.

        None where the trees are too deep, or where there are more of one booster than of another.
        """
        read = [json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"] for booster in boosters]
        trees = [tree for model in read for tree in model["trees"]]
        depth = max((_depth(tree) for tree in trees), default=0)
        if not 1 <= depth <= DEEPEST or len({len(model["trees"]) for model in read}) > 1:
            return None
        nodes = 2**depth - 1
        features = np.zeros((len(trees), nodes), dtype=np.int64)
        # A leaf above the last level is reached whatever the features are: everything is less than infinity.
        thresholds = np.full((len(trees), nodes), np.inf, dtype=np.float32)
        leaves = np.zeros((len(trees), nodes + 1), dtype=np.float32)
        for row, tree in enumerate(trees):
            _fill(tree, 0, 0, features[row], thresholds[row], leaves[row])
        pairs = np.stack([features.ravel(), thresholds.ravel()])  # in double precision, which holds both
        different, which = np.unique(pairs, axis=1, return_inverse=True)
        return cls(
            features=different[0].astype(np.int64),
            thresholds=different[1].astype(np.float32),
            comparisons=which.reshape(features.shape),
            leaves=leaves,
            boosters=len(boosters),
        )

    def margins(self, features: Floats) -> NDArray[np.float64]:
        """Return the sums of the trees of each booster, (boosters, t), for ``features`` (t, f)."""
        if len(features) == 1:  # NumPy sums what lies in one line pair by pair
            return self.margins(np.repeat(features, 2, axis=0))[:, :1]
        columns = np.ascontiguousarray(features.T, dtype=np.float32)
        right = columns[self.features] >= self.thresholds[:, None]
        each = len(self.leaves) // self.boosters
        at_once = max(1, _AT_ONCE // (each * max(1, len(features))))
        sums = []
        for first in range(0, self.boosters, at_once):
            part = slice(first * each, (first + at_once) * each)
            leaves = _reached(right, self.comparisons[part], self.leaves[part])
            # A sum over an axis that is not the last adds row by row.
            sums.append(leaves.reshape(-1, each, len(features)).sum(axis=1))
        return np.concatenate(sums).astype(np.float64)


def _reached(right: NDArray[np.bool_], comparisons: NDArray[np.int64], leaves: Floats) -> Floats:
    """Return the leaf of each tree that each row reaches, (trees, t).

    Args:
        right: whether each row goes to the right at each comparison, (c, t).
        comparisons: of each node, (trees, nodes).
        leaves: (trees, nodes + 1).
    """
    turns: list[NDArray[np.bool_]] = []
    place = np.zeros((len(leaves), right.shape[1]), dtype=np.uint8)
    for level in range((leaves.shape[1] - 1).bit_length()):
        at = right.take(comparisons[:, 2**level - 1 : 2 ** (level + 1) - 1], axis=0)
        for turn in turns:  # of the nodes of this level, the half that the turn leads to
            half = at.shape[1] // 2
            at = at[:, :half] ^ ((at[:, :half] ^ at[:, half:]) & turn)
        turns.append(at)
        place += place
        place += at[:, 0]
    return np.asarray(leaves.ravel().take(place + leaves.shape[1] * np.arange(len(leaves))[:, None]))


def _depth(tree: dict[str, Any], node: int = 0) -> int:
    left, right = tree["left_children"][node], tree["right_children"][node]
    return 0 if left == -1 else 1 + max(_depth(tree, left), _depth(tree, right))


def _fill(
    tree: dict[str, Any], node: int, place: int, features: NDArray[np.int64], thresholds: Floats, leaves: Floats
) -> None:
    """Write a node and what is below it; a leaf is written where the leftmost path from it ends."""
    left = tree["left_children"][node]
    if left == -1:
        while place < len(features):
            place = 2 * place + 1
        leaves[place - len(features)] = tree["split_conditions"][node]
        return
    features[place], thresholds[place] = tree["split_indices"][node], tree["split_conditions"][node]
    _fill(tree, left, 2 * place + 1, features, thresholds, leaves)
    _fill(tree, tree["right_children"][node], 2 * place + 2, features, thresholds, leaves)
