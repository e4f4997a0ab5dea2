"""The product of one tile by itself: what the layers pass to it, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from aihwkit.simulator.parameters import InputRangeParameter
from torch import Tensor
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode

from analognas.hardware import mvm
from analognas.hardware.converters import Converters, Window
from analognas.hardware.mvm import product

IDEAL = Converters.of(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
NO_RANGE_RULES = InputRangeParameter(gradient_relative=False, decay=0.0)


def call(x: Tensor, weight: Tensor, **changes: Any) -> Tensor:
    settings: dict[str, Any] = {
        "input_range": None, "converters": IDEAL, "window": None, "noisy": None, "scale": 1.0, "alpha": 1.0,
        "range_parameters": NO_RANGE_RULES,
    }  # fmt: skip
    input_range = changes.pop("input_range", None)
    settings.pop("input_range")
    return product(x, weight, input_range, **{**settings, **changes})


def test_with_ideal_converters_it_is_a_matrix_product() -> None:
    x, weight = torch.randn(5, 7), torch.randn(3, 7)
    torch.testing.assert_close(call(x, weight, scale=2.0, alpha=0.5), x @ weight.T)


def test_rows_that_are_not_on_the_tile_count_as_zero() -> None:
    x, weight = torch.randn(2, 3, 6, 5), torch.randn(4, 20)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), (4, 24))  # begins and ends inside a channel
    whole = torch.zeros(4, 27)
    whole[:, 4:24] = weight
    torch.testing.assert_close(call(x, weight, window=window), conv2d(x, whole.view(4, 3, 3, 3), padding=1))


def test_the_gradient_goes_to_the_weights_although_noisy_ones_are_multiplied() -> None:
    x, weight = torch.randn(5, 7, requires_grad=True), torch.randn(3, 7, requires_grad=True)
    noisy = weight.detach() + 1.0
    out = call(x, weight, noisy=noisy)
    torch.testing.assert_close(out.detach(), x.detach() @ noisy.T)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    torch.testing.assert_close(weight.grad, gradient.T @ x.detach())
    torch.testing.assert_close(x.grad, gradient @ noisy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_gradients_are_those_of_the_smooth_part(dtype: torch.dtype) -> None:
    """Without steps and inside of all bounds the product is differentiable in the ordinary sense."""
    x = torch.rand(2, 2, 4, 4, dtype=dtype, requires_grad=True)
    weight = torch.randn(3, 18, dtype=dtype, requires_grad=True)
    input_range = torch.tensor([2.0], dtype=dtype, requires_grad=True)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), (0, 18))
    out = call(x, weight, input_range=input_range, window=window, scale=0.7)
    expected = 0.7 * conv2d(x, weight.view(3, 2, 3, 3), padding=1)
    torch.testing.assert_close(out, expected)
    gradient = torch.randn_like(out)
    ours = torch.autograd.grad(out, (x, weight, input_range), gradient)
    theirs = torch.autograd.grad(expected, (x, weight), gradient)
    for found, wanted in zip(ours, theirs, strict=False):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    # The range divides the input and multiplies the output.
    torch.testing.assert_close(ours[2], torch.zeros_like(input_range), rtol=0, atol=1e-4)


def test_without_gradients_nothing_is_kept() -> None:
    with torch.no_grad():
        out = call(torch.randn(5, 7), torch.randn(3, 7, requires_grad=True))
    assert out.grad_fn is None


class Given(TorchDispatchMode):
    """Keeps the kernels and strides of convolutions whose gradients are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution_backward.default:
            self.convolutions.append((tuple(args[2].shape[2:]), tuple(args[4])))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("side", [4, 7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [((1, 1), (2, 2)), ((1, 1), (1, 2)), ((1, 1), (1, 1)), ((3, 3), (2, 2))])
@pytest.mark.parametrize("overruns", [True, False])
def test_onednn_is_not_asked_for_what_it_cannot_do(side, kernel, stride, overruns, monkeypatch) -> None:
    """Its AVX2 code for weight gradients of strided kernels of one pixel writes beyond its memory."""
    monkeypatch.setattr(mvm, "_onednn_overruns", lambda: overruns)
    torch.manual_seed(0)
    padding = (kernel[0] // 2, kernel[1] // 2)
    window = Window(kernel, stride, padding, (1, 1), (0, 5 * kernel[0] * kernel[1]))
    x = torch.randn(9, 5, side, side).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(3, 5, *kernel, requires_grad=True)
    out = torch.conv2d(x, weight, None, stride, padding)
    gradient = torch.randn_like(out)
    expected = torch.autograd.grad(out, (x, weight), gradient)
    with Given() as given, torch.no_grad():
        found = mvm._convolution_gradients(gradient, x, weight, window, True, True)
        only_weight = mvm._convolution_gradients(gradient, x, weight, window, False, True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert only_weight[0] is None
    assert given.convolutions == [(kernel, (1, 1) if kernel == (1, 1) and overruns else stride)] * 2


@pytest.mark.parametrize(
    ("capability", "told", "overruns"),
    [
        ("AVX2", "", True),
        ("AVX512", "", False),
        ("DEFAULT", "", False),
        ("AVX512", "avx2", True),
        ("AVX2", "SSE41", True),
    ],
)
def test_it_is_so_where_there_is_no_avx_512(capability, told, overruns, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", told)
    assert mvm._onednn_overruns.__wrapped__() is overruns
