"""Which layers of a network lose its accuracy on analog tiles: one analog at a time, and one digital at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from analognas.hardware.analog import analog_layers, partly_digital
from analognas.hardware.grouping import units
from analognas.training import digital, drift
from analognas.training.columns import ONE_DAY
from analognas.training.protocol import drift_seed, reproducible

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.progress import Progress
    from analognas.training.measured import LayerFigures

#: How many standard errors a loss must be away from none to be told as one.
_SURE = 2.0


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer loses, in percent and percentage points a day after programming.

    Attributes:
        layer: its name.
        weights: how many it has.
        alone_analog: accuracy with this layer on tiles and all others exact.
        alone_analog_std: its standard deviation over programmings.
        lost: what this layer alone loses: accuracy with all layers exact minus ``alone_analog``.
        alone_digital: accuracy with this layer exact and all others on tiles.
        alone_digital_std: its standard deviation over programmings.
        gained: what the network gains if this layer is exact: ``alone_digital`` minus accuracy with all on tiles.
        sure: whether one of the two is further from nothing than two standard errors over programmings.
    """

    layer: str
    weights: int
    alone_analog: float
    alone_analog_std: float
    lost: float
    alone_digital: float
    alone_digital_std: float
    gained: float
    sure: bool

    def to_dict(self) -> LayerFigures:
        """Return it as plain JSON values."""
        return cast("LayerFigures", asdict(self))


def sensitivity(
    model: nn.Module,
    dataset: Dataset,
    *,
    repeats: int,
    seed: int,
    label: str,
    part: str = "test",
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[LayerSensitivity]:
    """Return what each analog layer loses after a day, in the order in which the layers are registered.

    The weights are those that the network was trained to; nothing is trained. Each measurement programs the layers that
    are on tiles as often as is asked, drawn from the same seed.

    Args:
        model: converted and trained network with clean weights.
        dataset: with ``tensors(part)``.
        repeats: programmings of each measurement, at least 2.
        seed: base seed.
        label: what the noise is drawn for, see ``protocol.measured``.
        part: of the dataset.
        device: where torch computes.
        progress: called after each measurement.
    """
    x, y = (tensor.to(device) for tensor in dataset.tensors(part))
    layers = dict(analog_layers(model))
    together = units(model, list(layers))
    drawn = drift_seed(seed, label, part)
    done, total = 0, 2 * len(together) + 2

    def after_a_day(exact: set[str]) -> Tensor:
        nonlocal done
        network = partly_digital(model, exact).to(device)
        if exact == set(layers):
            accuracies = torch.full((repeats,), digital.accuracy(network, x, y), dtype=torch.float64)
        else:
            measured = drift.measure(network, x, y, times=(ONE_DAY,), repeats=repeats, seed=drawn)
            accuracies = torch.from_numpy(measured[:, 0])
        done += 1
        if progress:
            progress(done, total, f"layer {(done - 1) // 2} of {len(together)}")
        return accuracies

    rows = []
    with reproducible(device):
        all_analog, all_exact = after_a_day(set()), after_a_day(set(layers))
        for name, members in together.items():
            alone, others = after_a_day(set(layers) - set(members)), after_a_day(set(members))
            of_unit = [tile for member in members for tile in layers[member].analog_tiles()]
            lost, gained = (all_exact - alone), (others - all_analog)
            rows.append(
                LayerSensitivity(
                    layer=name,
                    weights=sum(tile.tile.weight.numel() for tile in of_unit),
                    alone_analog=float(alone.mean()),
                    alone_analog_std=float(alone.std()),
                    lost=float(lost.mean()),
                    alone_digital=float(others.mean()),
                    alone_digital_std=float(others.std()),
                    gained=float(gained.mean()),
                    sure=_is_sure(float(lost.mean()), [alone]) or _is_sure(float(gained.mean()), [others, all_analog]),
                )
            )
    return rows


def _is_sure(difference: float, samples: list[Tensor]) -> bool:
    error = float(np.sqrt(sum(float(sample.var()) / len(sample) for sample in samples)))
    return abs(difference) > _SURE * error and abs(difference) > 0
