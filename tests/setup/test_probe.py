from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.datasets import load
from analognas.datasets.base import Split
from analognas.errors import DatasetError, StageError
from analognas.hardware.cost import effort
from analognas.params import CharacterizeParams, Params
from analognas.search_spaces import ConfigSpace
from analognas.setup import probe
from analognas.setup.probe import Speed, measure, start_up
from analognas.training.digital import DivergedError


def test_seconds_grow_with_images_epochs_and_passes() -> None:
    speed = Speed(digital=1.0, hwa=10.0, pass_=100.0, once=1000.0)
    training = CharacterizeParams(epochs=2, hwa_epochs=3, repeats=5)
    expected = 0.5 * (7 * (2 + 30) + 11 * (2 + 5 * 4) * 100 + 1000)
    assert speed.seconds(0.5, training, images=7, scored=11) == expected


class Machine:
    """Stands for training and measuring on a machine whose times are known, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen: list[Any] = []

    def train(self, architecture: Any, dataset: Any, _: Any, protocol: Any, *, progress: Any, **__: Any) -> Any:
        """Take 3 s an image for the first digital epoch and 1 s for the next, 5 s and 4 s for hardware-aware ones."""
        self.seen.append((architecture, len(dataset.train), len(dataset.validation)))
        cost = effort(architecture.structure)
        for phase, first, other, epochs in (
            ("digital", 3, 1, protocol.epochs),
            ("hardware-aware", 5, 4, protocol.hwa_epochs),
        ):
            for epoch in range(epochs):
                self.now += cost * len(dataset.train) * (first if epoch == 0 else other)
                progress(epoch + 1, epochs, phase)
        return SimpleNamespace(measure=partial(self.measure, protocol, cost))

    def measure(self, protocol: Any, cost: float, dataset: Any, part: str, progress: Any) -> None:
        """Take 2 s an image for each pass, and 7,000 s besides."""
        scored = len(dataset.part(part))
        self.now += cost * (7_000 + 2 * 2 * scored)
        for repeat in range(protocol.repeats):
            self.now += cost * 2 * scored * len(protocol.times)
            progress(repeat + 1, protocol.repeats, "drift")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(probe, "train", made.train)
    monkeypatch.setattr(probe, "_clock", lambda _: lambda: made.now)
    return made


def test_what_there_is_once_is_told_from_what_there_is_again_and_again(machine: Machine) -> None:
    (architecture,) = ConfigSpace("digits", max_params=3_000).sample(1, seed=0)
    dataset = load("digits")
    speed = measure([architecture], dataset, Params(), images=100)
    assert speed.digital == pytest.approx(1)
    assert speed.hwa == pytest.approx(4)
    assert speed.pass_ == pytest.approx(2)
    assert speed.once == pytest.approx(7_000 + 100 * (3 - 1) + 100 * (5 - 4))
    # As a whole it is what the machine takes, first epochs included, for any protocol.
    training = CharacterizeParams(epochs=7, hwa_epochs=4, repeats=9)
    began, cost = machine.now, effort(architecture.structure)
    small = probe._first(dataset, 100)
    machine.train(architecture, small, None, training, progress=lambda *_: None).measure(
        small, "validation", lambda *_: None
    )
    assert speed.seconds(cost, training, 100, 397) == pytest.approx(machine.now - began)


def test_small_images_are_all_measured_on_and_of_large_ones_a_few(machine: Machine) -> None:
    (architecture,) = ConfigSpace("digits", max_params=3_000).sample(1, seed=0)
    dataset = load("digits")
    measure([architecture], dataset, Params(), images=100)
    assert machine.seen[-1][1:] == (100, 397)
    large = replace(
        dataset, input_shape=(1, 32, 32), train=_larger(dataset.train), validation=_larger(dataset.validation)
    )
    assert len(probe._first(large, 100).validation) == 128  # 32x32: so many at once
    assert len(probe._first(large, 200).validation) == 200


def _larger(split: Split) -> Split:
    return Split(split.x.repeat(4, axis=2).repeat(4, axis=3), split.y)


def test_the_middle_is_timed_first_and_the_others_while_there_is_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = ConfigSpace("digits", max_params=3_000)
    some = sorted(space.sample(5, seed=0), key=lambda one: effort(one.structure))
    measure(some, load("digits"), Params(), images=10)
    assert [one for one, *_ in machine.seen] == [some[0], some[2]]  # the first warms up; then its time was over
    monkeypatch.setattr(probe, "_ENOUGH", float("inf"))
    machine.seen.clear()
    measure(some, load("digits"), Params(), images=10)
    assert [one for one, *_ in machine.seen] == [some[0], *(some[place] for place in (2, 1, 3, 0, 4))]


def test_small_characterizations_are_timed() -> None:
    some = ConfigSpace("digits", max_params=3_000).sample(2, seed=0)
    speed = measure(some, load("digits"), Params(), images=32)
    assert all(value > 0 for value in (speed.digital, speed.hwa, speed.pass_))
    assert speed.once >= 0
    # An epoch of 32 images takes less than a minute on any machine, and more than a microsecond.
    assert 1e-6 < 32 * effort(some[0].structure) * speed.digital < 60
    with pytest.raises(AttributeError):
        speed.digital = 1.0  # type: ignore[misc]


def test_a_worker_process_is_timed_until_it_has_read_the_data() -> None:
    seconds, read = start_up({"name": "digits"})
    assert 0.3 < seconds < 120  # it imports torch
    assert 0 < read < seconds
    with pytest.raises(DatasetError, match="nothing"):
        start_up({"name": "nothing"})


def test_a_training_that_diverges_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("loss is nan in epoch 1 of 1")

    monkeypatch.setattr(probe, "train", diverge)
    with pytest.raises(StageError, match=r"loss is nan .* leave --hours out"):
        measure(ConfigSpace("digits", max_params=3_000).sample(1, seed=0), load("digits"), Params(), images=32)
