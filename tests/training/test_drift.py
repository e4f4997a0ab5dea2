from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analognas.errors import HardwareError
from analognas.hardware.analog import clean_state, convert, is_programmed, tiles
from analognas.training import drift, hardware_aware
from analognas.training.drift import measure, outcomes

TIMES = (1.0, 3600.0, 86400.0, 2592000.0)


@pytest.fixture
def fitted(model: nn.Module, train_set: tuple[Tensor, Tensor]) -> nn.Module:
    torch.manual_seed(0)
    hardware_aware.train(model, *train_set, epochs=1, batch_size=16, learning_rate=0.02, seed=0)
    return model


class Watched:
    """Records what happens to the devices of a model while its drift is measured."""

    def __init__(self, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.references: list[list[Tensor]] = []
        self.scored: list[list[Tensor]] = []
        self.alphas: list[list[float]] = []
        program, drift_to, score = drift.Devices.program, drift.Devices.drift, drift.correct

        def programmed(devices: drift.Devices) -> None:
            program(devices)
            self.events.append("program")
            self.references.append([tile.reference_combined_weights.clone() for _, tile in tiles(model)])

        def drifted(devices: drift.Devices, seconds: float) -> None:
            drift_to(devices, seconds)
            self.events.append(f"drift {seconds:g}")

        def scored(*arguments: Any) -> Tensor:
            self.events.append("score")
            self.scored.append([tile.tile.weight.detach().clone() for _, tile in tiles(model)])
            self.alphas.append([float(tile.alpha) for _, tile in tiles(model)])
            return score(*arguments)

        monkeypatch.setattr(drift.Devices, "program", programmed)
        monkeypatch.setattr(drift.Devices, "drift", drifted)
        monkeypatch.setattr(drift, "correct", scored)


def test_result_is_percent_per_repeat_and_time(fitted: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    result = measure(fitted, *held_out, times=TIMES, repeats=3, seed=0)
    assert result.shape == (3, 4)
    assert result.dtype == np.float64
    images = result * len(held_out[0]) / 100
    np.testing.assert_allclose(images, images.round(), atol=1e-9)


def test_devices_are_programmed_once_per_repeat_and_scored_only_after_a_drift(
    fitted: nn.Module, held_out: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(fitted, monkeypatch)
    measure(fitted, *held_out, times=(3600.0, 1.0), repeats=2, seed=0)
    assert watched.events == 2 * ["program", "drift 1", "score", "drift 3600", "score"]  # in increasing order


def test_outcomes_are_the_images_behind_the_accuracy(fitted: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    images = outcomes(fitted, *held_out, times=TIMES, repeats=3, seed=0)
    assert images.shape == (3, len(TIMES), len(held_out[0]))
    np.testing.assert_array_equal(
        100.0 * images.sum(axis=2) / images.shape[2], measure(fitted, *held_out, times=TIMES, repeats=3, seed=0)
    )


def test_every_programming_starts_from_the_clean_weights(
    fitted: nn.Module, held_out: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = [tile.tile.weight.detach().clone() for _, tile in tiles(fitted)]
    watched = Watched(fitted, monkeypatch)
    measure(fitted, *held_out, times=TIMES, repeats=3, seed=0)
    assert len(watched.references) == 3
    for reference in watched.references:
        assert all(torch.equal(a, b) for a, b in zip(reference, clean, strict=True))
    # and it is programming that was drawn anew
    assert not torch.equal(watched.scored[0][0], watched.scored[4][0])


def test_the_same_devices_drift(
    network: nn.Module, config: Any, held_out: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without read noise, each device follows one power law: its exponent is the same between any two times."""
    config.noise_model.read_noise_scale = 0.0
    model = convert(network, config)
    watched = Watched(model, monkeypatch)
    measure(model, *held_out, times=(60.0, 3600.0, 86400.0), repeats=2, seed=0)

    def exponents(early: Tensor, late: Tensor, seconds: tuple[float, float]) -> Tensor:
        t_0 = config.noise_model.t_0
        return -(late / early).log() / np.log((seconds[1] + t_0) / (seconds[0] + t_0))

    for tile in range(2):
        (a, b, c), (other_a, other_b, _) = ([s[tile] for s in watched.scored[start : start + 3]] for start in (0, 3))
        alive = (a.abs() > 1e-3) & (other_a.abs() > 1e-3)
        first = exponents(a, b, (60, 3600))[alive]
        second = exponents(b, c, (3600, 86400))[alive]
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
        assert first.std() > 0.005  # devices differ
        # Another repeat has other devices.
        assert not torch.allclose(first, exponents(other_a, other_b, (60, 3600))[alive], rtol=1e-2)


def test_compensation_of_a_repeat_is_its_own(
    fitted: nn.Module, held_out: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programming keeps the previous factor, about 1.6 after a month; at 1 s there is hardly any drift."""
    watched = Watched(fitted, monkeypatch)
    measure(fitted, *held_out, times=(1.0, 2592000.0), repeats=3, seed=0)
    early, late = np.array(watched.alphas[::2]), np.array(watched.alphas[1::2])
    assert np.all(np.abs(early - 1) < 0.15)
    assert np.all(late > 1.3)


def test_programming_alone_keeps_the_previous_compensation(fitted: nn.Module) -> None:
    """The trap behind the rule to score after a drift only; if aihwkit mends it, nothing breaks."""
    fitted.eval()
    fitted.program_analog_weights()
    fitted.drift_analog_weights(2592000.0)
    before = [float(tile.alpha) for _, tile in tiles(fitted)]
    fitted.program_analog_weights()
    assert [float(tile.alpha) for _, tile in tiles(fitted)] == before
    assert min(before) > 1.3


def test_a_value_depends_neither_on_other_repeats_nor_on_other_times(
    fitted: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    every = measure(fitted, *held_out, times=TIMES, repeats=6, seed=0)
    assert len(np.unique(every)) > 2  # otherwise nothing is shown
    np.testing.assert_array_equal(measure(fitted, *held_out, times=TIMES, repeats=3, seed=0), every[:3])
    np.testing.assert_array_equal(
        measure(fitted, *held_out, times=(86400.0, 1.0), repeats=3, seed=0), every[:3, [2, 0]]
    )


def test_the_seed_decides_and_the_global_generator_neither_matters_nor_changes(
    fitted: nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    results = []
    for state, seed in ((0, 0), (123, 0), (0, 1)):
        torch.manual_seed(state)
        results.append(measure(fitted, *held_out, times=TIMES, repeats=4, seed=seed))
        after = torch.rand(1)
        torch.manual_seed(state)
        assert torch.equal(torch.rand(1), after)
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_the_model_is_clean_again_afterwards(fitted: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    before = clean_state(fitted)
    measure(fitted, *held_out, times=TIMES, repeats=1, seed=0)
    assert not is_programmed(fitted)
    after = clean_state(fitted)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_model_is_clean_again_after_an_interruption(
    fitted: nn.Module, held_out: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> Tensor:
        raise KeyboardInterrupt

    before = clean_state(fitted)
    monkeypatch.setattr(drift, "correct", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure(fitted, *held_out, times=TIMES, repeats=1, seed=0)
    after = clean_state(fitted)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_programmed_model_is_refused(fitted: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    fitted.eval()
    fitted.program_analog_weights()
    with pytest.raises(HardwareError, match="Cannot measure the drift of a programmed model"):
        measure(fitted, *held_out, times=TIMES, repeats=1, seed=0)


def halving(t_0: float = 1.0) -> Any:
    """Return a device without noise that keeps half of its conductance after each factor 10 of time."""
    from aihwkit.inference.noise.base import BaseNoiseModel

    class Halving(BaseNoiseModel):
        def apply_programming_noise_to_conductance(self, g_target: Tensor) -> Tensor:
            return g_target

        def apply_drift_noise_to_conductance(
            self, g_prog: Tensor, drift_noise_param: Any, t_inference: float
        ) -> Tensor:
            return g_prog * 0.5 ** np.log10(t_inference / t_0)

    return Halving()


def test_any_device_without_compensation_too(
    network: nn.Module, config: Any, held_out: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.noise_model = halving()
    config.drift_compensation = None
    model = convert(network, config)
    clean = [tile.tile.weight.detach().clone() for _, tile in tiles(model)]
    watched = Watched(model, monkeypatch)
    measure(model, *held_out, times=(1.0, 10.0, 1000.0), repeats=1, seed=0)
    for scored, factor in zip(watched.scored, (1.0, 0.5, 0.125), strict=True):
        assert all(torch.allclose(a, factor * b) for a, b in zip(scored, clean, strict=True))


def test_a_device_that_knows_no_such_time_is_a_clear_error(
    network: nn.Module, config: Any, held_out: tuple[Tensor, Tensor]
) -> None:
    from aihwkit.inference import ReRamWan2022NoiseModel

    config.noise_model = ReRamWan2022NoiseModel()  # was measured after 1 s, 1 day and 2 days
    model = convert(network, config)
    assert measure(model, *held_out, times=(1.0, 86400.0), repeats=1, seed=0).shape == (1, 2)
    with pytest.raises(HardwareError, match=r"ReRamWan2022NoiseModel .* 3600 s"):
        measure(model, *held_out, times=TIMES, repeats=1, seed=0)
    assert not is_programmed(model)


def test_progress_is_told_after_each_repeat(fitted: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    told: list[tuple[float, float, str]] = []
    measure(fitted, *held_out, times=(1.0,), repeats=2, seed=0, progress=lambda *at: told.append(at))
    assert told == [(1, 2, "drift"), (2, 2, "drift")]
