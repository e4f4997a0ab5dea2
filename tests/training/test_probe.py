from __future__ import annotations

import pytest

from analognas.datasets import load
from analognas.errors import StageError
from analognas.params import CharacterizeParams, Params
from analognas.search_spaces import ConfigSpace
from analognas.training import probe
from analognas.training.digital import DivergedError
from analognas.training.probe import Speed, measure


def test_seconds_grow_with_images_epochs_and_passes() -> None:
    speed = Speed(digital=1.0, hwa=10.0, pass_=100.0)
    training = CharacterizeParams(epochs=2, hwa_epochs=3, repeats=5)
    assert speed.seconds(0.5, training, images=7, scored=11) == 0.5 * (7 * (2 + 30) + 11 * (2 + 5 * 4) * 100)


def test_one_small_characterization_is_timed() -> None:
    architecture = ConfigSpace("digits", max_params=3_000).sample(1, seed=0)[0]
    speed = measure(architecture, load("digits"), Params(), images=32)
    assert all(value > 0 for value in (speed.digital, speed.hwa, speed.pass_))
    # An epoch of 32 images takes less than a minute on any machine, and more than a microsecond.
    cost = architecture.structure.macs + 250_000 * len(architecture.structure.layers)
    assert 1e-6 < 32 * cost * speed.digital < 60
    with pytest.raises(AttributeError):
        speed.digital = 1.0  # type: ignore[misc]


def test_a_training_that_diverges_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("loss is nan in epoch 1 of 1")

    monkeypatch.setattr(probe, "train", diverge)
    architecture = ConfigSpace("digits", max_params=3_000).sample(1, seed=0)[0]
    with pytest.raises(StageError, match=r"loss is nan .* leave --hours out"):
        measure(architecture, load("digits"), Params(), images=32)
