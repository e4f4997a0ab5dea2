from types import SimpleNamespace

import pytest

from analognas.params.file import override
from analognas.report.changes import budget, changed_parameters
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


def test_the_budget_is_the_one_that_was_searched_in(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    recorded = {"search": {"search": {"max_nb_param": None}, "space": {"max_params": "20k"}}}
    monkeypatch.setattr(Versioning, "find", lambda _: SimpleNamespace(stage_params=recorded.get))
    override(workspace.params, ["space.max_params=7000", "search.max_nb_param=null"])
    assert budget(workspace) == 20_000
    recorded["search"]["search"]["max_nb_param"] = 9_000
    assert budget(workspace) == 9_000
    recorded["search"]["space"]["of_another_version"] = 1
    assert budget(workspace) == 7_000
    monkeypatch.setattr(Versioning, "find", lambda _: None)
    assert budget(workspace) == 7_000
    override(workspace.params, ["space.max_params=null"])
    assert budget(workspace) is None
