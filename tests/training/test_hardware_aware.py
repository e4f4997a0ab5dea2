from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analognas.errors import HardwareError
from analognas.hardware.analog import clean_state, convert, tiles
from analognas.hardware.layers import NOISY
from analognas.hardware.tiles_together import TilesTogether
from analognas.seeds import seed_torch
from analognas.training import digital, hardware_aware
from analognas.training.digital import DivergedError, accuracy

PROTOCOL: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 0.02, "seed": 1}
STEPS = 2 * 4


def trained(network: nn.Module, config: Any, data: tuple[Tensor, Tensor], **changes: Any) -> nn.Module:
    model = convert(network, config)
    seed_torch(7)
    hardware_aware.train(model, *data, **{**PROTOCOL, **changes})
    return model


def test_training_learns_on_noisy_tiles(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]
) -> None:
    digital.train(network, *train_set, epochs=8, batch_size=16, learning_rate=0.1, weight_decay=0.0, seed=0)
    model = trained(network, config, train_set, epochs=6)
    assert not model.training
    assert accuracy(model, *held_out) > 90


def test_noise_is_injected_in_every_step(model: nn.Module, train_set: tuple[Tensor, Tensor], monkeypatch: Any) -> None:
    """Looks at the weights of each step: with aihwkit's default modifier there would be no noise."""
    original, noises = TilesTogether.modify, []

    def modify(together: TilesTogether) -> None:
        original(together)
        for _, tile in tiles(model):
            weight, used = tile.tile.weight.detach(), tile.__dict__[NOISY]
            noises.append(((used - weight).std() / weight.abs().max()).item())

    monkeypatch.setattr(TilesTogether, "modify", modify)
    hardware_aware.train(model, *train_set, **PROTOCOL)
    assert len(noises) == STEPS * 2  # two tiles
    assert all(0.03 < noise < 0.09 for noise in noises)
    assert sum(noises) / len(noises) == pytest.approx(0.06, rel=0.1)


def test_the_same_training_without_noise_gives_other_weights(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]
) -> None:
    from aihwkit.simulator.parameters.enums import WeightModifierType

    config.forward.out_noise = 0.0
    with_noise = clean_state(trained(network, config, train_set))
    config.modifier.type = WeightModifierType.NONE
    without = clean_state(trained(network, config, train_set))
    assert not torch.equal(with_noise["0.analog_module.tile.weight"], without["0.analog_module.tile.weight"])


def test_weights_are_clipped_and_remapped_after_every_step(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]
) -> None:
    with torch.no_grad():
        network[5].weight[0, 0] = 20 * network[5].weight.std()
    model = trained(network, config, train_set)
    weight = model[5].analog_module.tile.weight.detach()
    # Remapping: full range again. Clipping at two standard deviations: the outlier no longer stands out.
    assert weight.abs().max().item() == pytest.approx(1.0)
    assert weight.abs().max().item() < 3 * weight.std().item()
    untouched = convert(network, config)[5].analog_module.tile.weight
    assert untouched.abs().max().item() > 4 * untouched.std().item()


def test_scales_follow_the_remapping(network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]) -> None:
    model = trained(network, config, train_set)
    fresh = convert(network, config)
    for (_, tile), (_, old) in zip(tiles(model), tiles(fresh), strict=True):
        assert not torch.equal(tile.get_mapping_scales(), old.get_mapping_scales())


@pytest.mark.parametrize(
    ("preset", "epochs", "batch_size", "expected"),
    [(50, 2, 16, 2), (50, 1, 60, 1), (50, 60, 16, 50), (3, 30, 16, 3)],
)
def test_input_ranges_are_initialised_within_the_first_quarter(
    preset: int, epochs: int, batch_size: int, expected: int, network: nn.Module, config: Any, dataset: Any
) -> None:
    config.pre_post.input_range.init_from_data = preset
    model = convert(network, config)
    steps = epochs * digital.steps_per_epoch(60, batch_size)
    hardware_aware.limit_input_range_initialization(model, steps)
    for _, tile in tiles(model):
        assert tile.rpu_config.pre_post.input_range.init_from_data == expected == min(preset, max(1, steps // 4))
    assert config.pre_post.input_range.init_from_data == preset  # the configuration itself is not touched


def test_input_ranges_come_from_the_data_and_are_learned_afterwards(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]
) -> None:
    config.pre_post.input_range.init_from_data = STEPS // 4
    model = trained(network, config, train_set)
    for _, tile in tiles(model):
        assert tile.input_range_update_idx.item() == STEPS // 4
        assert 0 < tile.input_range.item() != tile.rpu_config.pre_post.input_range.init_value


def test_a_configuration_without_input_ranges_is_trained_too(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]
) -> None:
    config.pre_post.input_range.enable = False
    model = trained(network, config, train_set)
    assert [tile.input_range for _, tile in tiles(model)] == [None, None]
    before, after = (clean_state(one)["0.analog_module.tile.weight"] for one in (convert(network, config), model))
    assert not torch.equal(before, after)
    assert torch.isfinite(after).all()


def test_batch_norm_is_trained_here_and_frozen_afterwards(
    model: nn.Module, train_set: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]
) -> None:
    before = model[1].running_mean.clone()
    hardware_aware.train(model, *train_set, **PROTOCOL)
    after = model[1].running_mean.clone()
    assert not torch.equal(before, after)
    accuracy(model, *held_out)
    assert torch.equal(model[1].running_mean, after)


def test_a_programmed_model_is_refused(model: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    model.eval()
    model.program_analog_weights()
    with pytest.raises(HardwareError, match="Cannot train a programmed model"):
        hardware_aware.train(model, *train_set, **PROTOCOL)


def test_training_depends_on_both_seeds_alone(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]
) -> None:
    first = clean_state(trained(network, config, train_set))
    again = clean_state(trained(copy.deepcopy(network), config, train_set))
    shuffled = clean_state(trained(network, config, train_set, seed=2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], shuffled[name]) for name in first)


def test_a_loss_that_is_not_finite_is_a_divergence(model: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(DivergedError):
        hardware_aware.train(model, *train_set, **{**PROTOCOL, "learning_rate": 1e30})


def test_progress_is_told(model: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    told: list[tuple[float, float, str]] = []
    hardware_aware.train(model, *train_set, **PROTOCOL, progress=lambda *at: told.append(at))
    assert told == [(1, 2, "hardware-aware"), (2, 2, "hardware-aware")]


def test_ranges_are_calibrated_without_touching_anything_else(
    model: nn.Module, train_set: tuple[Tensor, Tensor]
) -> None:
    before = clean_state(model)
    seed_torch(1)
    hardware_aware.calibrate(model, train_set[0], 16)
    after = clean_state(model)
    changed = {name.rpartition(".")[2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"input_range", "input_range_update_idx"}
    assert not any(module.training for module in model.modules())
    first = next(tensor for name, tensor in after.items() if name.endswith("input_range"))
    assert float(first) == pytest.approx(3 * float(train_set[0].std()), rel=0.2)  # init_std_alpha of the preset


@pytest.mark.parametrize("groups", [1, 4])
def test_all_is_trained_as_aihwkits_optimizer_would(config: Any, monkeypatch: pytest.MonkeyPatch, groups: int) -> None:
    """Weights, scales and input ranges, which follow the data first and are learned then."""
    config.pre_post.input_range.init_from_data = 2
    config.forward.out_noise = config.modifier.std_dev = 0.0
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, groups=groups), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3)
    )
    ours, theirs = convert(network, config).train(), convert(network, config).train()
    for model in (ours, theirs):
        generator = torch.Generator().manual_seed(1)
        if model is theirs:
            monkeypatch.setattr(TilesTogether, "apply_to", lambda model: False)
        with hardware_aware.stepping(model, 0.02, 9) as (optimizer, schedule, begin):
            assert (begin is None) == (model is theirs)
            for _ in range(9):
                optimizer.zero_grad()
                if begin is not None:
                    begin()
                model(torch.randn(5, 2, 8, 8, generator=generator)).square().mean().backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()
    for (name, one), (_, other) in zip(tiles(ours), tiles(theirs), strict=True):
        torch.testing.assert_close(one.tile.weight, other.tile.weight, rtol=1e-3, atol=1e-4, msg=name)
        torch.testing.assert_close(one.mapping_scales, other.mapping_scales, rtol=1e-3, atol=1e-5, msg=name)
        torch.testing.assert_close(one.input_range, other.input_range, rtol=1e-4, atol=1e-6, msg=name)
        assert one.input_range_update_idx.item() == 2


def test_a_teacher_s_loss_and_its_gradient_are_those_of_the_formula(
    network: nn.Module, train_set: tuple[Tensor, Tensor]
) -> None:
    x, y = train_set
    index = torch.arange(12)
    outputs = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    network.double().eval()
    loss = hardware_aware.taught(network, x.double(), y, 4.0, constant=True)(outputs, x[index].double(), index)
    (found,) = torch.autograd.grad(loss, outputs)
    said = torch.softmax(network(x[index].double()) / 4, dim=1).detach()
    labels = nn.functional.one_hot(y[index], 3)
    share = hardware_aware.TAUGHT
    # Of a cross-entropy with shares q the gradient is softmax - q, and temperature T takes T**2 to T.
    expected = share * 4 * (torch.softmax(outputs / 4, dim=1) - said)
    expected = (expected + (1 - share) * (torch.softmax(outputs, dim=1) - labels)) / 12
    torch.testing.assert_close(found, expected.detach())


def test_a_teacher_that_sees_images_as_they_are_is_asked_once(
    network: nn.Module, train_set: tuple[Tensor, Tensor]
) -> None:
    x, y = train_set
    network.eval()
    asked: list[int] = []
    network.register_forward_hook(lambda *_: asked.append(1))
    once = hardware_aware.taught(network, x, y, 2.0, constant=True)
    index = torch.tensor([3, 1, 30])
    first = [once(torch.zeros(3, 3), x[index], index) for _ in range(3)]
    assert len(asked) == 1
    each = hardware_aware.taught(network, x, y, 2.0, constant=False)
    torch.testing.assert_close(each(torch.zeros(3, 3), x[index], index), first[0])
    assert not torch.equal(each(torch.zeros(3, 3), x[index].flip(-1), index), first[0])  # which the teacher sees, too


def test_a_teacher_is_not_changed_and_changes_what_is_learned(
    network: nn.Module, config: Any, train_set: tuple[Tensor, Tensor]
) -> None:
    digital.train(network, *train_set, epochs=2, batch_size=16, learning_rate=0.1, weight_decay=0.0, seed=0)
    before = copy.deepcopy(network.state_dict())
    by_labels, taught = (trained(network, config, train_set, teacher=teacher) for teacher in (None, network))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    first, second = clean_state(by_labels), clean_state(taught)
    assert any(not torch.equal(first[name], second[name]) for name in first)
