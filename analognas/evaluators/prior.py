"""An evaluator of another chip, protocol or data as something to start from.

Which network is robust is nearly the same on two chips, however different their losses are: so what an evaluator of
one chip predicts tells more of the other than a dozen measurements there. Its predictions are features, on the scales
on which that evaluator learned, and all targets start from a ridge regression on them; trees learn the rest.

Of an architecture that it learned from, it says what it predicted out of fold: two chips often have the same sample,
and what it knows of these by heart it would not know of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from analognas.evaluators.columns import TARGETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.evaluators.base import Context
    from analognas.evaluators.evidence import Evidence
    from analognas.evaluators.model import Model, Prediction
    from analognas.evaluators.reporting import ToldPrior
    from analognas.search_spaces.architecture import Architecture

#: What stands for the surrogate that the library carries for the space, and where they lie.
PACKAGED = "packaged"
#: Names of the features.
NAMES = tuple(f"prior_{target}" for target in TARGETS)


class Known(Protocol):
    """A fitted ``XGBoostEvaluator``, as far as a prior needs it."""

    context_: Context
    model_: Model
    evidence_: Evidence | None

    def look(self, architectures: Sequence[Architecture]) -> tuple[dict[str, Prediction], NDArray[np.float64]]:
        """Return predictions by target, and how far the architectures are from what was measured."""


@dataclass(frozen=True)
class Prior:
    """What an evaluator knows of architectures, as features of another one."""

    evaluator: Known

    @property
    def told(self) -> ToldPrior:
        """Where it is from, for the report."""
        context = self.evaluator.context_
        return {
            "dataset": context.dataset,
            "hardware": context.hardware,
            "protocol": context.protocol,
            "architectures": len(self.evaluator.model_.novelty.anchors),
        }

    def look(self, architectures: Sequence[Architecture]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return what it knows of n architectures.

        Returns:
            The predictions on the evaluator's scales (0 is the mean of its data), (n, targets), and how far the
            architectures are from what it has seen, 0 to 1, (n,); see ``calibration.Novelty``.

        Raises:
            MismatchError: if an architecture is of another space.
        """
        predictions, novelty = self.evaluator.look(architectures)
        targets = self.evaluator.model_.targets
        columns = [targets[name].scale.forward(predictions[name].value) for name in TARGETS]
        table = np.column_stack(columns).astype(np.float32)
        for row, architecture in enumerate(architectures):
            unseen = self._out_of_fold.get(architecture.id)
            if unseen is not None:
                table[row] = unseen
        return table, novelty

    @cached_property
    def _out_of_fold(self) -> dict[str, NDArray[np.float64]]:
        """Return by id what was predicted of its own architectures without them, as far as it was cross-validated."""
        evidence, targets = self.evaluator.evidence_, self.evaluator.model_.targets
        if evidence is None:
            return {}
        columns = [
            targets[name].scale.forward(evidence.scales[name].inverse(evidence.unseen[name])) for name in TARGETS
        ]
        ids = [architecture.id for architecture in evidence.architectures]
        return dict(zip(ids, np.column_stack(columns), strict=True))


def packaged_folder() -> Path:
    """Return the folder of the surrogates that the library carries, which lie there by space."""
    return Path(str(resources.files("analognas.evaluators"))) / PACKAGED
