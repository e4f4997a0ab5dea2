"""The parameters of a workspace: the sections of ``params.yaml``, and what is known of their keys.

``hardware`` and ``train`` are described where they are used (``hardware.params``, ``training.params``), the others in
``params.sections``. ``params.file`` changes the file, ``params.text`` reads it.
"""

from __future__ import annotations

from analognas.hardware.params import HardwareParams
from analognas.params.sections import (
    BaseParams,
    CharacterizeParams,
    DatasetParams,
    FitParams,
    Params,
    RetrainParams,
    RunParams,
    SampleParams,
    SearchParams,
    SpaceParams,
    known_keys,
    nearest,
)
from analognas.params.values import parse_count
from analognas.training.params import TrainingParams, TrainParams

__all__ = [
    "BaseParams",
    "CharacterizeParams",
    "DatasetParams",
    "FitParams",
    "HardwareParams",
    "Params",
    "RetrainParams",
    "RunParams",
    "SampleParams",
    "SearchParams",
    "SpaceParams",
    "TrainParams",
    "TrainingParams",
    "known_keys",
    "nearest",
    "parse_count",
]
