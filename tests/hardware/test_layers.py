"""The fast layers against aihwkit's own: the same numbers without noise, the same distribution with it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from aihwkit.inference.compensation.drift import PerColumnDriftCompensation
from aihwkit.nn import AnalogConv2d, AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.parameters.enums import (
    BoundManagementType,
    NoiseManagementType,
    WeightModifierType,
    WeightRemapType,
)
from scipy import stats
from torch import Tensor, nn

from analognas.errors import AnalogNASWarning
from analognas.hardware import converters as conv
from analognas.hardware.analog import clean_state, convert, from_aihwkit, tiles, to_aihwkit, trained_tensors
from analognas.hardware.layers import FastConvolution, FastLinear, uncovered

Maker = Callable[..., Any]


def no_noise(config: Any) -> None:
    config.forward.out_noise = 0.0
    config.modifier.type = WeightModifierType.NONE


def pass_through(model: nn.Module, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Return the output and all gradients of a pass in the mode that the model is in."""
    model.zero_grad()
    x = x.clone().requires_grad_()
    out = model(x)
    out.backward(gradient)
    assert x.grad is not None
    found = {"output": out.detach(), "input": x.grad}
    return found | {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def both(model: nn.Module, x: Tensor, training: bool = True) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the fast layers and what aihwkit's compute."""
    model.train(training)
    slow = to_aihwkit(model)
    with torch.no_grad():
        gradient = torch.randn_like(to_aihwkit(model)(x))
    return pass_through(model, x, gradient), pass_through(slow, x, gradient)


CONVOLUTIONS = [
    (kernel, stride, padding, channels, tile_size)
    for (kernel, padding), stride, channels, tile_size in itertools.product(
        [(1, 0), (3, 0), (3, 1), (5, 2), (7, 3)], [1, 2], [1, 5], [1024, 20, 8]
    )
    if (kernel, tile_size) != (7, 8) or channels == 1  # hundreds of tiles prove nothing more
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_convolutions_without_noise(bench: Maker, analog: Maker, dtype: torch.dtype) -> None:
    """Kernels, strides, paddings; one tile, and splits between channels, inside them and over outputs."""
    differ = total = 0
    for kernel, stride, padding, channels, tile_size in CONVOLUTIONS:
        torch.manual_seed(kernel + channels)
        layer = nn.Conv2d(channels, 11, kernel, stride, padding)
        model = analog(layer, bench(no_noise, tile_size=tile_size), dtype)
        ours, theirs = both(model, torch.randn(3, channels, 9, 8, dtype=dtype))
        assert ours.keys() == theirs.keys()
        exact = dtype == torch.float64
        for name, expected in theirs.items():
            error = (ours[name] - expected).abs()
            scale = expected.abs().max()
            if name == "output":  # rounded sums may fall on the other side of a converter's step
                differ += int((error > 1e-5 * scale).sum())
                total += error.numel()
                step = max(tile.mapping_scales.max() * abs(tile.input_range) for _, tile in tiles(model)) * 20 / 254
                assert error.max() <= 1.001 * step
            else:
                limit = (1e-12 if exact else 1e-5) * scale
                if name.endswith("input_range"):  # sums the output, steps included
                    limit = limit if exact else 2e-4 * scale
                assert error.max() <= limit, (name, kernel, stride, padding, channels, tile_size)
    assert total > 50_000
    assert differ <= total / 10_000


@pytest.mark.parametrize("tile_size", [1024, 20])
@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_linear_layers_without_noise(bench: Maker, analog: Maker, tile_size: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = analog(nn.Linear(50, 33), bench(no_noise, tile_size=tile_size), torch.float64)
    ours, theirs = both(model, torch.randn(*shape, 50, dtype=torch.float64))
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-12, atol=1e-12)


def no_range(config: Any) -> None:
    config.pre_post.input_range.enable = False


def fixed_range(config: Any) -> None:
    config.pre_post.input_range.learn_input_range = False


def absolute_gradient(config: Any) -> None:
    config.pre_post.input_range.gradient_relative = False
    config.pre_post.input_range.decay = 0.0


def strong_decay(config: Any) -> None:
    config.pre_post.input_range.decay = 0.5
    config.pre_post.input_range.input_min_percentage = 0.1


def no_converters(config: Any) -> None:
    config.forward.inp_res = config.forward.out_res = -1.0
    config.forward.inp_bound = config.forward.out_bound = -1.0


def many_levels(config: Any) -> None:
    config.forward.inp_res = config.forward.out_res = 62.0  # the number of steps instead of their size


def tight_output(config: Any) -> None:
    config.forward.out_bound = 0.3


def output_scale(config: Any) -> None:
    config.forward.out_scale = 0.7


def columnwise(config: Any) -> None:
    config.mapping.weight_scaling_columnwise = True
    config.remap.type = WeightRemapType.CHANNELWISE_SYMMETRIC


def no_scales(config: Any) -> None:
    config.mapping.weight_scaling_omega = 0.0
    config.remap.type = WeightRemapType.NONE


def learned_scale(config: Any) -> None:
    config.mapping.learn_out_scaling = True


def learned_scales(config: Any) -> None:
    config.mapping.learn_out_scaling = config.mapping.out_scaling_columnwise = True


def no_compensation(config: Any) -> None:
    config.drift_compensation = None


def ideal(config: Any) -> None:
    config.forward.is_perfect = True
    config.forward.noise_management = NoiseManagementType.ABS_MAX  # not looked at


def discretized(config: Any) -> None:
    config.modifier.type = WeightModifierType.DISCRETIZE
    config.modifier.res = 0.0937  # no multiple of the converters' steps: sums would lie between two of them


COVERED = [
    no_range, fixed_range, absolute_gradient, strong_decay, no_converters, many_levels, tight_output, output_scale,
    columnwise, no_scales, learned_scale, learned_scales, no_compensation, ideal, discretized,
]  # fmt: skip


@pytest.mark.parametrize("tile_size", [256, 20])
@pytest.mark.parametrize("change", COVERED, ids=lambda change: change.__name__)
def test_every_covered_setting_without_noise(bench: Maker, analog: Maker, change: Any, tile_size: int) -> None:
    torch.manual_seed(0)
    model = analog(nn.Conv2d(3, 6, 3, padding=1), bench(no_noise, change, tile_size=tile_size), torch.float64)
    for _, tile in tiles(model):
        if tile.out_scaling_alpha is not None:
            tile.out_scaling_alpha.data.uniform_(0.5, 2)
    for training in (True, False):
        ours, theirs = both(model, torch.randn(4, 3, 8, 7, dtype=torch.float64), training)
        assert ours.keys() == theirs.keys()
        for name, expected in theirs.items():
            torch.testing.assert_close(ours[name], expected, rtol=1e-11, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("tile_size", [256, 20])
@pytest.mark.parametrize(
    "make", [lambda: nn.Conv2d(3, 6, 3, padding=1), lambda: nn.Linear(50, 6)], ids=["2d", "linear"]
)
def test_drift_is_compensated_column_by_column(bench: Maker, analog: Maker, make: Any, tile_size: int) -> None:
    def by_column(config: Any) -> None:
        config.drift_compensation = PerColumnDriftCompensation()

    torch.manual_seed(0)
    layer = make()
    model = analog(layer, bench(no_noise, by_column, learned_scales, tile_size=tile_size), torch.float64)
    for _, tile in tiles(model):
        tile.alpha = torch.rand(len(tile.tile.weight), dtype=torch.float64) + 0.5
    x = torch.randn(4, 3, 8, 7) if isinstance(layer, nn.Conv2d) else torch.randn(4, 50)
    for training in (True, False):  # in training nothing is compensated
        ours, theirs = both(model, x.double(), training)
        assert ours.keys() == theirs.keys()
        for name, expected in theirs.items():
            torch.testing.assert_close(ours[name], expected, rtol=1e-12, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
    assert type(model[0]) in (FastConvolution, FastLinear)
    assert uncovered(model[0].analog_module) is None


def test_a_compensation_of_another_shape_is_left_to_aihwkit(bench: Maker, analog: Maker) -> None:
    model = analog(nn.Linear(50, 6), bench(no_noise), torch.float64)
    for _, tile in tiles(model):
        tile.alpha = torch.rand(1, 6, dtype=torch.float64) + 0.5
    assert uncovered(model[0].analog_module) == "what the drift compensation GlobalDriftCompensation multiplies with"
    ours, theirs = both(model, torch.randn(4, 50, dtype=torch.float64), training=False)
    assert all(torch.equal(ours[name], expected) for name, expected in theirs.items())


def test_the_loops_are_what_runs_and_agree_with_tensor_operations(
    bench: Maker, analog: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = analog(nn.Conv2d(3, 6, 3, padding=1), bench(no_noise)).train()
    x, gradient = torch.randn(4, 3, 8, 7), torch.randn(4, 6, 8, 7)
    loops = pass_through(model, x, gradient)
    assert conv.fast(x)
    monkeypatch.setattr(conv, "fast", lambda tensor: False)
    for name, expected in pass_through(model, x, gradient).items():
        torch.testing.assert_close(loops[name], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tile_size", [256, 20])
def test_input_ranges_start_from_the_same_data(bench: Maker, tile_size: int) -> None:
    torch.manual_seed(0)
    fast = convert(nn.Sequential(nn.Conv2d(5, 6, 3, 2, 1)), bench(no_noise, tile_size=tile_size)).train()
    slow = to_aihwkit(fast)
    for _ in range(3):
        x = torch.randn(4, 5, 8, 8)
        fast(x)
        slow(x)
        for (_, ours), (_, theirs) in zip(tiles(fast), tiles(slow), strict=True):
            assert ours.input_range_update_idx == theirs.input_range_update_idx
            torch.testing.assert_close(ours.input_range, theirs.input_range, rtol=1e-5, atol=0)


# --- noise --------------------------------------------------------------------------------------------------

#: Chance that layers of the same distribution fail one of the statistical tests.
FALSE_ALARM = 1e-6
REPEATS = 600


def outputs(model: nn.Module, x: Tensor, seed: int) -> Tensor:
    """Return the outputs of many passes with fresh noise, (repeats, everything)."""
    torch.manual_seed(seed)
    with torch.no_grad():
        return torch.stack([model(x).flatten() for _ in range(REPEATS)]).double()


@pytest.mark.parametrize("training", [False, True])
def test_with_noise_means_variances_and_covariances_are_the_same(bench: Maker, analog: Maker, training: bool) -> None:
    """Over images, channels, positions and two tiles that are summed; in training the weights are noisy too."""
    torch.manual_seed(0)
    model = analog(nn.Conv2d(4, 3, 3, padding=1, bias=False), bench(tile_size=20)).train(training)
    x = torch.randn(2, 4, 3, 3)
    ours, theirs = outputs(model, x, 1), outputs(to_aihwkit(model), x, 2)
    size = ours.shape[1]
    z = abs((ours.mean(0) - theirs.mean(0)) / ((ours.var(0) + theirs.var(0)) / REPEATS).sqrt())
    assert z.max() < stats.norm.isf(FALSE_ALARM / size)
    ratio = (ours.var(0) / theirs.var(0)).log().abs()
    assert ratio.max() < stats.norm.isf(FALSE_ALARM / size) * (4 / REPEATS) ** 0.5 * 1.15
    # Covariances, each difference in units of its standard error for normal numbers.
    first, second = ours.T.cov(), theirs.T.cov()
    variances = (first.diagonal() + second.diagonal()) / 2
    error = ((variances[:, None] * variances[None, :] + ((first + second) / 2).square()) * 2 / REPEATS).sqrt()
    pairs = torch.triu_indices(size, size, 1)
    z = ((first - second) / error)[pairs[0], pairs[1]].abs()
    assert z.max() < stats.norm.isf(FALSE_ALARM / z.numel()) * 1.15  # sums of steps are not quite normal
    if not training:  # the converters' noise has no memory: repeats are independent of each other
        centred = (ours - ours.mean(0)) / ours.std(0)
        assert abs((centred[1:] * centred[:-1]).mean()) < stats.norm.isf(FALSE_ALARM) / (REPEATS * size) ** 0.5


def test_noise_follows_the_seed(bench: Maker, analog: Maker) -> None:
    model = analog(nn.Conv2d(4, 3, 3), bench()).eval()
    x = torch.randn(2, 4, 5, 5)
    first = outputs(model, x, 1)
    assert torch.equal(first, outputs(model, x, 1))
    assert not torch.equal(first, outputs(model, x, 2))


def test_trained_both_ways_a_network_is_equally_good(bench: Maker) -> None:
    """Five networks each: the mean accuracies differ by less than chance makes them (false alarm 1e-3)."""
    torch.manual_seed(0)
    x = torch.randn(300, 2, 6, 6)
    y = (x[:, 0, 1:5, 1:5].mean((1, 2)) > x[:, 1].mean((1, 2))).long()
    accuracies: dict[str, list[float]] = {"fast": [], "aihwkit": []}
    for seed in range(5):
        for layers, found in accuracies.items():
            torch.manual_seed(seed)
            network = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 2))
            model = convert(network, bench(), layers).train()
            optimizer = AnalogSGD(model.parameters(), lr=0.05)
            optimizer.regroup_param_groups(model)
            for step in range(40):
                part = slice(step % 4 * 50, step % 4 * 50 + 50)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[part]), y[part]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                found.append(float((model(x[200:]).argmax(1) == y[200:]).double().mean()))
    assert stats.ttest_ind(accuracies["fast"], accuracies["aihwkit"]).pvalue > 1e-3
    assert min(sum(found) / 5 for found in accuracies.values()) > 0.7


# --- conversion, and what is not covered -------------------------------------------------------------------------


def test_conversion_loses_nothing_in_either_direction(bench: Maker, analog: Maker) -> None:
    fast = analog(nn.Conv2d(5, 6, 3), bench(tile_size=20))
    slow = to_aihwkit(fast)
    again = from_aihwkit(slow)
    assert [type(model[0]) for model in (fast, slow, again)] == [FastConvolution, AnalogConv2d, FastConvolution]
    assert type(to_aihwkit(convert(nn.Sequential(nn.Linear(3, 3)), bench()))[0]) is AnalogLinear
    assert type(convert(nn.Sequential(nn.Linear(3, 3)), bench())[0]) is FastLinear
    assert type(convert(nn.Sequential(nn.Linear(3, 3)), bench(), "aihwkit")[0]) is AnalogLinear
    state = clean_state(fast)
    for other in (slow, again):
        copied = clean_state(other)
        assert copied.keys() == state.keys()
        assert all(torch.equal(copied[name], value) for name, value in state.items())
        pairs = zip(trained_tensors(fast), trained_tensors(other), strict=True)
        assert all(ours.data_ptr() != theirs.data_ptr() for (_, ours), (_, theirs) in pairs)


def test_copies_keep_the_scale_of_the_weights_gradient(bench: Maker, analog: Maker) -> None:
    fast = analog(nn.Conv2d(3, 4, 3), bench(no_noise), torch.float64).train()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    gradient = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    expected = pass_through(fast, x, gradient)
    for copied in (to_aihwkit(fast), from_aihwkit(to_aihwkit(fast))):
        for name, value in pass_through(copied, x, gradient).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-12, atol=1e-12)


def absolute_maximum(config: Any) -> None:
    config.forward.noise_management = NoiseManagementType.ABS_MAX


def iterative(config: Any) -> None:
    config.forward.bound_management = BoundManagementType.ITERATIVE


def input_noise(config: Any) -> None:
    config.forward.inp_noise = 0.1


def input_asymmetry(config: Any) -> None:
    config.forward.inp_asymmetry = 0.1


def output_asymmetry(config: Any) -> None:
    config.forward.out_asymmetry = 0.1


def stochastic_input(config: Any) -> None:
    config.forward.inp_sto_round = True


def stochastic_output(config: Any) -> None:
    config.forward.out_sto_round = True


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (absolute_maximum, "forward.noise_management ABS_MAX"),
        (iterative, "forward.bound_management ITERATIVE"),
        (input_noise, "forward.inp_noise"),
        (input_asymmetry, "forward.inp_asymmetry"),
        (output_asymmetry, "forward.out_asymmetry"),
        (stochastic_input, "forward.inp_sto_round"),
        (stochastic_output, "forward.out_sto_round"),
    ],
)
def test_what_is_not_covered_is_named_once_and_left_to_aihwkit(
    bench: Maker, change: Callable[[Any], None], named: str
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    with pytest.warns(AnalogNASWarning, match=named) as caught:
        model = convert(network, bench(change))
    assert len(caught) == 1
    # The same words for a network of any size: Python then says it once in a process, not once for each network.
    assert "all layers stay aihwkit's" in str(caught[0].message)
    assert "ten times" in str(caught[0].message)
    slow = to_aihwkit(model)
    x = torch.randn(2, 3, 6, 6)
    for mode in (True, False):
        torch.manual_seed(1)
        ours = model.train(mode)(x)
        torch.manual_seed(1)
        assert torch.equal(ours, slow.train(mode)(x))


def test_a_setting_that_is_changed_later_is_seen(bench: Maker, analog: Maker) -> None:
    model = analog(nn.Conv2d(3, 6, 3), bench()).eval()
    slow = to_aihwkit(model)
    for one in (model, slow):
        for _, tile in tiles(one):
            tile.rpu_config.forward.noise_management = NoiseManagementType.ABS_MAX
    x = torch.randn(2, 3, 6, 6)
    torch.manual_seed(1)
    ours = model(x)
    torch.manual_seed(1)
    assert torch.equal(ours, slow(x))


def test_the_default_configuration_gives_no_warning(bench: Maker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = convert(nn.Sequential(nn.Conv2d(3, 6, 3)), bench())
    assert isinstance(model[0], FastConvolution)


def test_tiles_that_derive_from_aihwkits_are_left_alone() -> None:
    from aihwkit.simulator.configs import TorchInferenceRPUConfigIRDropT

    config = TorchInferenceRPUConfigIRDropT()
    config.forward.noise_management = NoiseManagementType.NONE
    config.forward.bound_management = BoundManagementType.NONE
    with pytest.warns(AnalogNASWarning, match="a tile of the class"):
        model = convert(nn.Sequential(nn.Conv2d(3, 6, 3)), config)
    assert "a tile of the class" in str(uncovered(model[0].analog_module))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("tile_size", [256, 20])
def test_on_cuda_too(bench: Maker, analog: Maker, tile_size: int) -> None:
    torch.manual_seed(0)
    model = analog(nn.Conv2d(3, 6, 3, padding=1), bench(no_noise, tile_size=tile_size), torch.float64).cuda()
    ours, theirs = both(model, torch.randn(4, 3, 8, 7, dtype=torch.float64).cuda())
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-9, atol=1e-9)
