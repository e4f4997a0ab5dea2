from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analognas.errors import HardwareError
from analognas.hardware.analog import (
    analog_layers,
    clean_state,
    convert,
    is_programmed,
    load_clean_state,
    number_of_tiles,
    partly_digital,
    require_clean,
    tiles,
)
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams


def bench(change: Callable[[Any], None] | None = None, tile_size: int = 256) -> Any:
    config = rpu_config(HardwareParams(tile_size=tile_size))
    if change:
        change(config)
    return config


def perfect(config: Any) -> None:
    config.forward.is_perfect = True
    config.pre_post.input_range.enable = False


class Net(nn.Module):
    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU())
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        out: Tensor = self.head((x + self.blocks(x)).mean((2, 3)))
        return out


def network(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def images(n: int = 6) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def programmed(model: nn.Module, seconds: float = 1e6) -> nn.Module:
    model.eval()
    model.program_analog_weights()
    model.drift_analog_weights(seconds)
    return model


def step(model: nn.Module, lr: float = 0.1) -> None:
    from aihwkit.optim import AnalogSGD

    model.train()
    optimizer = AnalogSGD(model.parameters(), lr=lr)
    optimizer.regroup_param_groups(model)
    optimizer.zero_grad()
    model(images()).square().sum().backward()
    optimizer.step()


def test_all_convolutions_and_linear_layers_become_analog_and_nothing_else() -> None:
    from aihwkit.nn import AnalogConv2d, AnalogLinear

    digital = network()
    model = convert(digital, bench())
    assert isinstance(model.stem, AnalogConv2d)
    assert isinstance(model.blocks[0], AnalogConv2d)
    assert isinstance(model.head, AnalogLinear)
    assert type(model.norm) is nn.BatchNorm2d
    assert number_of_tiles(model) == 3
    assert not any(type(layer) in (nn.Conv2d, nn.Linear) for layer in model.modules())
    assert type(digital.stem) is nn.Conv2d  # the digital network is untouched
    assert callable(model.program_analog_weights)
    assert callable(model.drift_analog_weights)


def test_without_noise_the_analog_network_computes_what_the_digital_one_does() -> None:
    digital = network().eval()
    model = convert(digital, bench(perfect)).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(images()), digital(images()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tile_size", "expected"), [(288, 1), (256, 2), (100, 3), (36, 8 * 2), (32, 9 * 2)])
def test_layers_are_split_over_tiles(tile_size: int, expected: int) -> None:
    # 32 channels * 9 = 288 rows, 40 columns
    model = convert(nn.Sequential(nn.Conv2d(32, 40, 3)), bench(tile_size=tile_size))
    assert number_of_tiles(model) == expected


class ScaledConv(nn.Conv2d):
    pass


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv2d(4, 4, 3, padding_mode="reflect", padding=1), ["reflect"]),
        (nn.Conv2d(4, 4, 3, padding="same"), ["same"]),
        (nn.ConvTranspose2d(4, 4, 3), ["ConvTranspose2d"]),
        (nn.Conv1d(4, 4, 3), ["Conv1d"]),
        (ScaledConv(4, 4, 3), ["ScaledConv"]),
        (nn.LSTM(4, 4), ["LSTM"]),
        (nn.MultiheadAttention(4, 1), ["MultiheadAttention"]),
        (nn.Embedding(4, 4), ["Embedding"]),
    ],
)
def test_layers_that_cannot_be_analog_are_refused_by_name(layer: nn.Module, words: list[str]) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(layer))
    with pytest.raises(HardwareError) as error:
        convert(model, bench())
    assert all(word in str(error.value) for word in [*words, "1.0"])


def test_a_shared_layer_is_refused() -> None:
    layer = nn.Linear(3, 3)
    with pytest.raises(HardwareError, match="'1' is '0' again"):
        convert(nn.Sequential(layer, layer), bench())


def test_a_network_without_matrices_is_refused() -> None:
    with pytest.raises(HardwareError, match="no Conv2d or Linear"):
        convert(nn.Sequential(nn.ReLU()), bench())


def test_what_the_torch_tiles_do_not_simulate_is_refused() -> None:
    def ir_drop(config: Any) -> None:
        config.forward.ir_drop = 1.0

    with pytest.raises(HardwareError, match="IR drop"):
        convert(network(), bench(ir_drop))


@pytest.mark.filterwarnings("ignore::analognas.errors.AnalogNASWarning")
def test_noise_per_output_crashes_in_aihwkits_convolutions_and_is_refused() -> None:
    def per_output(config: Any) -> None:
        config.forward.out_noise_std = 0.3

    with pytest.raises(HardwareError, match="out_noise_std"):
        convert(network(), bench(per_output))
    convert(nn.Sequential(nn.Linear(2, 2)), bench(per_output)).eval()(torch.zeros(1, 2))


def test_networks_whose_classes_have_the_same_name_are_kept_apart() -> None:
    """aihwkit remembers wrapped classes by bare name and would use the first one's forward pass."""

    def double() -> nn.Module:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.head = nn.Linear(2, 2)

            def forward(self, x: Tensor) -> Tensor:
                out: Tensor = 2 * self.head(x)
                return out

        return Net()

    convert(network(), bench())
    digital = double().eval()
    model = convert(digital, bench(perfect)).eval()
    x = torch.ones(1, 2)
    torch.testing.assert_close(model(x), digital(x))


# Noise injection


def noisy_weights(config: Any, size: int = 100) -> tuple[Tensor, Tensor]:
    """Return the weights of a linear layer and those that one forward pass in training mode uses."""
    torch.manual_seed(0)
    digital = nn.Sequential(nn.Linear(size, size, bias=False))
    model = convert(digital, config).train()
    with torch.no_grad():
        return digital[0].weight.detach(), model(torch.eye(size)).T


def test_injected_noise_is_6_percent_of_the_largest_weight() -> None:
    weights, used = noisy_weights(bench(perfect))
    noise = (used - weights) / weights.abs().max()
    assert noise.std().item() == pytest.approx(0.06, rel=0.05)
    assert abs(noise.mean().item()) < 0.003
    # Independent of the weight it is added to.
    assert abs(torch.corrcoef(torch.stack([noise.flatten(), weights.flatten()]))[0, 1].item()) < 0.05


def test_noise_is_drawn_anew_in_training_and_absent_in_evaluation() -> None:
    def no_output_noise(config: Any) -> None:
        config.forward.out_noise = 0.0

    model = convert(network(), bench(no_output_noise))
    with torch.no_grad():
        model.norm.eval()
        assert not torch.equal(model(images()), model(images()))
        model.eval()
        assert torch.equal(model(images()), model(images()))


def test_std_dev_without_a_type_injects_nothing() -> None:
    from aihwkit.simulator.parameters.enums import WeightModifierType

    def off(config: Any) -> None:
        perfect(config)
        config.modifier.type = WeightModifierType.NONE

    assert bench(off).modifier.std_dev == 0.06
    weights, used = noisy_weights(bench(off))
    torch.testing.assert_close(used, weights)


# Clean weights


def test_clean_state_holds_all_that_was_trained_and_only_plain_tensors() -> None:
    model = convert(network(), bench())
    step(model)
    state = clean_state(model)
    assert all(type(tensor) is Tensor and tensor.device.type == "cpu" for tensor in state.values())
    endings = {name.rpartition(".")[2] for name in state}
    assert endings == {
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
        "mapping_scales", "input_range", "input_range_update_idx",
    }  # fmt: skip
    assert "stem.analog_module.tile.weight" in state
    assert "head.analog_module.bias" in state


def test_clean_state_is_a_copy() -> None:
    model = convert(network(), bench())
    state = clean_state(model)
    before = {name: tensor.clone() for name, tensor in state.items()}
    step(model)
    assert all(torch.equal(state[name], before[name]) for name in state)
    assert not torch.equal(clean_state(model)["norm.bias"], before["norm.bias"])


def test_clean_state_restores_the_network_after_programming_and_drift() -> None:
    model = convert(network(), bench())
    step(model)
    state = clean_state(model)
    model.eval()
    torch.manual_seed(3)
    with torch.no_grad():
        before = model(images())
    programmed(model)
    assert is_programmed(model)
    load_clean_state(model, state)
    assert not is_programmed(model)
    torch.manual_seed(3)
    with torch.no_grad():
        assert torch.equal(model(images()), before)  # the compensation factor is gone too
    assert all(tile.alpha.shape == (1,) for _, tile in tiles(model))


def test_clean_state_goes_into_another_instance_and_through_a_file(tmp_path: Any) -> None:
    from safetensors.torch import load_file, save_file

    model = convert(network(), bench())
    step(model)
    save_file(clean_state(model), tmp_path / "model.safetensors")
    other = convert(network(seed=9), bench())
    load_clean_state(other, load_file(tmp_path / "model.safetensors"))
    results = []
    for each in (model, other):
        torch.manual_seed(1)
        programmed(each)
        with torch.no_grad():
            results.append(each(images()))
    assert torch.equal(*results)


def test_aihwkits_own_state_does_not_survive_a_drift_but_the_clean_one_does() -> None:
    """The trap that clean_state is for: after a drift, alpha has another shape."""
    model = convert(network(), bench())
    state = clean_state(model)
    programmed(model)
    fresh = convert(network(seed=9), bench())
    with pytest.raises(RuntimeError, match="alpha"):
        fresh.load_state_dict(model.state_dict())
    fresh = convert(network(seed=9), bench())
    load_clean_state(fresh, state)


def test_training_goes_on_the_same_after_loading() -> None:
    """The gradient hook of a tile keeps the scale that was set last, not the one in its buffer."""
    model = convert(network(), bench())
    step(model)
    other = convert(network(seed=9), bench())
    load_clean_state(other, clean_state(model))
    for each in (model, other):
        torch.manual_seed(2)
        step(each)
    first, second = clean_state(model), clean_state(other)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)


def test_a_programmed_model_is_neither_saved_nor_trained() -> None:
    model = programmed(convert(network(), bench()))
    with pytest.raises(HardwareError, match="programmed"):
        clean_state(model)
    with pytest.raises(HardwareError, match="Cannot train a programmed model"):
        require_clean(model, "train")


def test_training_a_programmed_model_would_be_undone() -> None:
    """The trap that require_clean is for: programming starts from the reference of the first programming."""
    model = convert(network(), bench())
    before = clean_state(model)["stem.analog_module.tile.weight"]
    programmed(model)
    step(model, lr=10.0)
    programmed(model)
    assert torch.equal(model.stem.analog_module.reference_combined_weights, before)


def test_a_state_of_another_network_is_refused_and_changes_nothing() -> None:
    model = convert(network(), bench())
    before = clean_state(model)
    other = {name: tensor + 1 for name, tensor in before.items()}
    missing = {name: tensor for name, tensor in other.items() if name != "norm.bias"}
    more = {**other, "extra": torch.zeros(1)}
    reshaped = {**other, "norm.bias": torch.zeros(7)}
    retyped = {**other, "norm.bias": torch.zeros(4, dtype=torch.float64)}
    for state, words in ((missing, "norm.bias"), (more, "extra"), (reshaped, r"\(7,\)"), (retyped, "float64")):
        with pytest.raises(HardwareError, match=words):
            load_clean_state(model, state)
    after = clean_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_networks_own_parameter_called_alpha_is_kept() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alpha = nn.Parameter(torch.ones(1))
            self.head = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.alpha * self.head(x)
            return out

    state = clean_state(convert(Scaled(), bench()))
    assert "alpha" in state
    assert "head.analog_module.alpha" not in state


def test_learned_output_scales_survive() -> None:
    def learned(config: Any) -> None:
        config.mapping.learn_out_scaling = True
        config.mapping.out_scaling_columnwise = True

    model = convert(network(), bench(learned))
    with torch.no_grad():
        model.head.analog_module.out_scaling_alpha += torch.arange(3)
    other = convert(network(seed=9), bench(learned))
    load_clean_state(other, clean_state(model))
    assert other.head.analog_module.out_scaling_alpha.tolist() == [1.0, 2.0, 3.0]


def test_layers_that_are_made_digital_compute_exactly_and_the_others_as_before() -> None:
    model = convert(network(), bench(tile_size=16)).eval()
    exact = partly_digital(model, {"stem", "blocks.0", "head"})
    torch.testing.assert_close(exact(images()), network().eval()(images()))
    half = partly_digital(model, {"stem"})
    assert [name for name, _ in analog_layers(half)] == ["blocks.0", "head"]
    assert [name for name, _ in analog_layers(model)] == ["stem", "blocks.0", "head"]
    program_and_drift = programmed(half)
    assert is_programmed(program_and_drift)
    with pytest.raises(HardwareError, match="no analog layer 'other'"):
        partly_digital(model, {"other"})
