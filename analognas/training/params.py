"""How a network is trained and measured: what the sections ``characterize`` and ``train`` of ``params.yaml`` share."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
)

from analognas.hardware.params import HardwareParams as HardwareParams
from analognas.section import Section as _Section
from analognas.training.columns import ONE_DAY, ONE_SECOND, THIRTY_DAYS

_REQUIRED_TIMES = (ONE_SECOND, ONE_DAY, THIRTY_DAYS)


def _drift_times(times: tuple[float, ...]) -> tuple[float, ...]:
    missing = [f"{time:.0f}" for time in _REQUIRED_TIMES if time not in times]
    if missing:
        raise ValueError(f"needs {', '.join(missing)} (seconds): acc_1d and avm are taken at 1 s, 1 day, 30 days")
    if list(times) != sorted(set(times)):
        raise ValueError("must be in increasing order without repetition")
    return times


Times = Annotated[tuple[Annotated[float, Field(gt=0)], ...], AfterValidator(_drift_times)]


class TrainingParams(_Section):
    """How a network is trained and measured."""

    epochs: Annotated[int, Field(ge=1)] = 15
    """Digital epochs."""
    hwa_epochs: Annotated[int, Field(ge=1)] = 5
    """Hardware-aware epochs that follow, with injected noise."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Images in one step."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.2
    """Highest learning rate of the digital training."""
    hwa_learning_rate: Annotated[float, Field(gt=0)] = 0.05
    """Highest learning rate of the hardware-aware training."""
    distillation_temperature: Annotated[float, Field(ge=1)] | None = 4.0
    """At which the digital network teaches the hardware-aware training beside the labels; null: labels alone."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """L2 penalty of the digital training."""
    repeats: Annotated[int, Field(ge=2)] = 25
    """How often the trained weights are programmed anew."""
    times: Times = (1.0, 3_600.0, 86_400.0, 2_592_000.0)
    """Seconds after programming at which the same devices are measured."""


class TrainParams(TrainingParams):
    """How the winner is trained and measured."""

    epochs: Annotated[int, Field(ge=1)] = 20
    hwa_epochs: Annotated[int, Field(ge=1)] = 6
    repeats: Annotated[int, Field(ge=2)] = 25
    times: Times = (1.0, 60.0, 3_600.0, 86_400.0, 604_800.0, 2_592_000.0)
