from __future__ import annotations

import dataclasses
import json
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

import analognas.training.protocol as protocol_module
from analognas.datasets import Dataset
from analognas.errors import DatasetError, SpaceError
from analognas.hardware.analog import is_programmed, number_of_tiles, tiles
from analognas.hardware.cost import tiles as count_tiles
from analognas.hardware.presets import PRESETS
from analognas.hardware.rpu_config import describe
from analognas.params import HardwareParams, TrainingParams
from analognas.rows import ResultRow
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.config_space import ConfigSpace
from analognas.training import Characterization, characterize
from analognas.training.columns import measured_columns
from analognas.training.digital import DivergedError
from analognas.training.protocol import statistics

HARDWARE = HardwareParams()
IDENTITY = ("id", "space", "genes", "params", "tiles", "status", "reason", "repeats")


@pytest.fixture(scope="module")
def done(architecture: Architecture, dataset: Dataset, protocol: TrainingParams) -> Characterization:
    return characterize(architecture, dataset, HARDWARE, protocol, seed=0)


def test_row_has_exactly_the_columns_of_the_table(
    done: Characterization, architecture: Architecture, protocol: TrainingParams
) -> None:
    row = done.row
    assert set(row.to_dict()) == {*IDENTITY, *measured_columns(protocol.times)}
    assert json.loads(json.dumps(row.to_dict(), allow_nan=False)) == row.to_dict()
    assert (row.id, row.space, row.params) == (architecture.id, architecture.space.name, architecture.params)
    assert json.loads(row.genes) == dict(architecture.genes)
    assert (row.status, row.reason, row.repeats) == ("ok", "", 2)
    assert row.tiles == len(architecture.structure.layers)
    assert row.problem() is done.result.problem() is None
    assert 0 <= row["acc_digital"] <= 100
    assert 0 <= row["acc_hwa"] <= 100


def test_row_sums_up_the_repeats(done: Characterization, protocol: TrainingParams) -> None:
    assert done.accuracy is not None
    assert done.accuracy.shape == (2, 4)
    assert done.row["acc_1d"] == done.accuracy[:, 2].mean()
    assert {**done.row.measured, **statistics(done.accuracy, protocol.times)} == done.row.measured
    assert done.result.to_dict() == {**done.row.to_dict(), "accuracy": done.accuracy.tolist()}
    assert ResultRow.from_dict(json.loads(json.dumps(done.result.to_dict())), "it", "") == done.result


def test_model_is_analog_clean_and_in_evaluation_mode(done: Characterization) -> None:
    assert done.model is not None
    assert not is_programmed(done.model)
    assert not done.model.training
    assert done.trained is not None
    assert not done.trained.digital.training


def test_statistics() -> None:
    accuracy = np.array([[90.0, 80.0, 70.0], [94.0, 82.0, 60.0], [92.0, 84.0, 50.0]])
    values = statistics(accuracy, (1.0, 86400.0, 2592000.0))
    assert list(values) == [
        f"{name}{end}" for name in ("acc_1s", "acc_1d", "acc_30d", "avm") for end in ("", "_std", "_sem")
    ]
    assert (values["acc_1d"], values["acc_1d_std"]) == (82.0, 2.0)  # sample standard deviation
    assert values["acc_1d_sem"] == pytest.approx(2 / 3**0.5)
    losses = [20.0, 34.0, 42.0]  # of the same devices; positive is a loss
    assert values["avm"] == 32.0
    assert values["avm_std"] == pytest.approx(np.std(losses, ddof=1))
    assert values["avm_sem"] == pytest.approx(np.std(losses, ddof=1) / 3**0.5)


def test_the_same_call_gives_the_same_row_whatever_happened_before(
    done: Characterization, architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    torch.manual_seed(1234)
    np.random.seed(5)  # noqa: NPY002  (the legacy generator is what must not matter)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = characterize(architecture, dataset, HARDWARE, protocol, seed=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert again.row == done.row
    after = torch.rand(1)
    torch.manual_seed(1234)
    assert torch.equal(torch.rand(1), after)  # the caller's generator is as it was


def test_everything_is_computed_on_one_thread(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[int] = set()
    forward = torch.nn.BatchNorm2d.forward

    def watched(self: torch.nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        seen.add(torch.get_num_threads())
        return forward(self, x)

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", watched)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        characterize(architecture, dataset, HARDWARE, protocol, seed=0)
    finally:
        torch.set_num_threads(threads)
    assert seen == {1}


def test_another_seed_or_architecture_gives_another_training(
    done: Characterization, architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    other = characterize(architecture, dataset, HARDWARE, protocol, seed=1)
    assert done.trained is not None
    assert other.trained is not None
    first, second = (each.trained.digital.state_dict() for each in (done, other))
    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_fewer_repeats_are_the_first_of_more(
    done: Characterization, architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    more = characterize(architecture, dataset, HARDWARE, protocol.model_copy(update={"repeats": 4}), seed=0)
    assert done.accuracy is not None
    assert more.accuracy is not None
    np.testing.assert_array_equal(more.accuracy[:2], done.accuracy)


def test_measuring_on_test_is_the_same_with_and_without_training_anew(
    done: Characterization, architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    assert done.trained is not None
    later = done.trained.measure(dataset, "test")
    anew = characterize(architecture, dataset, HARDWARE, protocol, seed=0, part="test")
    assert later.row == anew.row
    assert later.part == anew.part == "test"
    assert later.row != done.row
    assert done.trained.measure(dataset, "validation").row == done.row  # and nothing was used up


def test_validation_results_do_not_depend_on_the_test_part(
    done: Characterization, architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    touched: list[str] = []

    class Watched(Dataset):
        def tensors(self, part: str) -> Any:
            touched.append(part)
            return super().tensors(part)

    watched = Watched(**{field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)})
    assert characterize(architecture, watched, HARDWARE, protocol, seed=0).row == done.row
    assert set(touched) == {"train", "validation"}


def test_hardware_reaches_the_tiles(architecture: Architecture, dataset: Dataset, protocol: TrainingParams) -> None:
    small = characterize(architecture, dataset, HardwareParams(tile_size=16), protocol, seed=0)
    assert small.row.tiles > len(architecture.structure.layers)


def test_a_chip_of_ones_own_is_trained_as_it_says(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tiles are counted as they are, and nothing of it is another after the training."""

    def chip() -> Any:
        config = PRESETS["analognas-bench"].make()
        config.mapping.max_input_size, config.mapping.max_output_size = 16, 3
        return config

    module = types.ModuleType("own_chip")
    module.chip = chip  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_chip", module)
    own = characterize(architecture, dataset, HardwareParams(rpu_config="own_chip:chip"), protocol, seed=0)
    assert own.row.status == "ok"
    assert own.row.tiles == count_tiles(architecture.structure, (16, 3)) > len(architecture.structure.layers)
    assert own.model is not None
    assert number_of_tiles(own.model) == own.row.tiles
    assert all(describe(tile.rpu_config) == describe(chip()) for _, tile in tiles(own.model))
    # Presets' input ranges are initialised in a part of a short training, so that they are learned at all.
    preset = characterize(architecture, dataset, HARDWARE, protocol, seed=0)
    assert preset.model is not None
    assert {tile.rpu_config.pre_post.input_range.init_from_data for _, tile in tiles(preset.model)} == {2}


def test_a_diverged_training_is_a_result_with_a_reason(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    wild = characterize(architecture, dataset, HARDWARE, protocol.model_copy(update={"learning_rate": 1e30}), seed=0)
    assert wild.row.status == "diverged"
    assert "digital training" in wild.row.reason
    later = protocol.model_copy(update={"hwa_learning_rate": 1e30})
    wild = characterize(architecture, dataset, HARDWARE, later, seed=0)
    assert "hardware-aware training" in wild.row.reason
    assert set(wild.row.to_dict()) == {*IDENTITY, *measured_columns(protocol.times)}
    assert all(wild.row.measured[name] is None for name in measured_columns(protocol.times))
    assert (wild.accuracy, wild.model, wild.trained, wild.result.to_dict()["accuracy"]) == (None, None, None, None)


def test_a_network_over_the_budget_is_a_result_without_training(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Architecture, "build", lambda self: pytest.fail("it was built"))
    result = characterize(architecture, dataset, HARDWARE, protocol, seed=0, max_params=architecture.params - 1)
    assert result.row.status == "too_large"
    assert str(architecture.params) in result.row.reason
    assert result.row.tiles > 0
    assert result.row.measured["acc_1d"] is None


def test_the_machines_faults_are_not_results(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (MemoryError(), torch.OutOfMemoryError("no memory")):

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(protocol_module.digital, "train", fail)
        with pytest.raises(type(error)):
            characterize(architecture, dataset, HARDWARE, protocol, seed=0)


def test_divergence_never_leaves_the_package_as_an_exception(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise DivergedError("loss is nan in epoch 1 of 1")

    monkeypatch.setattr(protocol_module.digital, "train", diverge)
    row = characterize(architecture, dataset, HARDWARE, protocol, seed=0).row
    assert row.reason == "digital training: loss is nan in epoch 1 of 1"


def test_what_the_space_says_is_held_against_what_is_built(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dataclasses.replace(architecture, params=architecture.params + 1)
    with pytest.raises(SpaceError, match="count_params"):
        characterize(wrong, dataset, HARDWARE, protocol, seed=0)
    monkeypatch.setattr(protocol_module, "count_tiles", lambda *_: 99)
    with pytest.raises(SpaceError, match="99 tiles"):
        characterize(architecture, dataset, HARDWARE, protocol, seed=0)


def test_a_dataset_of_another_shape_is_refused(dataset: Dataset, protocol: TrainingParams) -> None:
    other = ConfigSpace("digits").smallest()
    with pytest.raises(DatasetError, match="'patterns'"):
        characterize(other, dataset, HARDWARE, protocol, seed=0)


def test_progress_names_the_phases(architecture: Architecture, dataset: Dataset, protocol: TrainingParams) -> None:
    told: list[tuple[float, float, str]] = []
    characterize(architecture, dataset, HARDWARE, protocol, seed=0, progress=lambda *at: told.append(at))
    assert [name for done, total, name in told if done == total] == ["digital", "hardware-aware", "drift"]
    assert len(told) == 6


def test_it_knows_which_images_were_right(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    done = characterize(architecture, dataset, HARDWARE, protocol, seed=0)
    assert done.right is not None
    assert done.right.shape == (protocol.repeats, len(protocol.times), len(dataset.validation))
    day = 100 * done.right[:, protocol.times.index(86_400.0)].mean()
    assert done.row["acc_1d"] == pytest.approx(day)


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_the_digital_network_teaches_where_the_protocol_says_so(
    architecture: Architecture,
    dataset: Dataset,
    protocol: TrainingParams,
    temperature: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taught: list[dict[str, Any]] = []
    train = protocol_module.hardware_aware.train
    monkeypatch.setattr(
        protocol_module.hardware_aware, "train", lambda *given, **named: [taught.append(named), train(*given, **named)]
    )
    how = protocol.model_copy(update={"distillation_temperature": temperature})
    done = protocol_module.train(architecture, dataset, HARDWARE, how, seed=0)
    (named,) = taught
    assert named["teacher"] is (None if temperature is None else done.digital)
    assert temperature is None or named["temperature"] == temperature
