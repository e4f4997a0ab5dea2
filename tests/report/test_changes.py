from types import SimpleNamespace

import pytest

from analognas.params.file import override
from analognas.report.changes import changed_parameters
from analognas.versioning import Versioning
from analognas.workspace import Paths


def test_figures_of_other_parameters_are_called_so(workspace: Paths, monkeypatch: pytest.MonkeyPatch, made_up, text):
    hardware = {"tile_size": 64, "rpu_config": "analognas-bench"}
    recorded = {
        "sample": {"hardware": hardware, "base.seed": 0, "dataset.name": "stripes", "environment.torch": "2"},
        "train": {"hardware": hardware, "characterize.source": "training"},
    }
    monkeypatch.setattr(Versioning, "find", lambda _: SimpleNamespace(stage_params=recorded.get))
    paths = workspace
    override(paths.params, ["hardware.tile_size=64"])
    assert changed_parameters(paths) == []
    override(paths.params, ["hardware.tile_size=32", "hardware.adc_bits=6", "base.seed=1"])
    assert changed_parameters(paths) == ["hardware.tile_size", "hardware.adc_bits", "base.seed"]
    recorded["train"]["hardware"] = "pcm-hermes"  # `hardware: pcm-hermes` is how a sweep may write it
    assert "hardware.rpu_config" in changed_parameters(paths)
    recorded["train"]["characterize"] = {"of_another_version": 1}
    assert "characterize" in changed_parameters(paths)
    shown = text(made_up(0, 1) | {"changed": ["hardware.tile_size", "base.seed"]})
    assert "These figures are older: hardware.tile_size, base.seed have changed since; `analognas run`." in shown
