"""The converters of all groups: loops against tensor operations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from analognas.hardware import converters as conv
from analognas.hardware import grouped_converters as grouped
from analognas.hardware.converters import Converters, Window
from analognas.hardware.layers import _unfolded_std

WINDOW = Window((3, 3), (2, 1), (1, 0), (1, 2), (0, 18))
#: Steps that are powers of two: nothing is rounded on the way, so that both ways round to the same.
CONVERTERS = Converters(1 / 64, 0.75, 1 / 8, 1.5, 0.0, 1.0)


def steps(*size: int, seed: int = 0) -> torch.Tensor:
    values = torch.randn(*size, generator=torch.Generator().manual_seed(seed))
    return conv.dense((values * 32).round() / 32)


def ways(*given: Any) -> Any:
    """Return what is given for the loops (float32), and for tensor operations."""
    return given, tuple(part.double() if isinstance(part, torch.Tensor) else part for part in given)


@pytest.mark.parametrize("ranges", [torch.tensor([0.5, 2.0, 1.0]), None])
def test_inputs_and_their_gradients(ranges: torch.Tensor | None) -> None:
    x, d_input = steps(3, 6, 9, 8), steps(3, 6, 9, 8, seed=1)
    found, expected = (
        (grouped.to_input(a, own, CONVERTERS), *grouped.from_input(b, a, own, CONVERTERS))
        for a, b, own in ways(x, d_input, ranges)
    )
    assert torch.equal(found[0], expected[0].float())
    torch.testing.assert_close(found[1], expected[1].float(), rtol=1e-6, atol=0)
    if ranges is None:
        assert found[2] is expected[2] is None
    else:
        torch.testing.assert_close(found[2], expected[2].float(), rtol=1e-5, atol=1e-4)
        assert (found[1] == 0).sum() > 100


@pytest.mark.parametrize("bound", [1.5, 100.0])
def test_outputs_and_their_gradients(bound: float) -> None:
    converters = Converters(0, 1, 1 / 8, bound, 0.0, 1.0)
    z, gradient, scale = steps(3, 6, 9, 8), steps(3, 6, 9, 8, seed=1), torch.tensor([0.5, 2, 1, 4, 0.25, 1])
    told = []
    for a, b, own in ways(z, gradient, scale):
        out = a.clone(memory_format=torch.preserve_format)
        inside = grouped.to_output(out, converters, own, gradients=True)
        assert (inside is None) == (bound == 100)
        assert grouped.to_output(a.clone(memory_format=torch.preserve_format), converters, own, gradients=False) is None
        told.append((out, *grouped.from_output(b, out, inside, own)))
    for found, expected in zip(*told, strict=True):
        torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    assert ((told[0][1] == 0) & (gradient != 0)).any() == (bound == 1.5)


def test_clipped_inputs() -> None:
    x, kernels, ranges = steps(3, 6, 9, 8), steps(9, 2, 3, 3, seed=2), torch.tensor([0.5, 2.0, 1.0])
    gradient = steps(3, 9, *conv.output_size(WINDOW, (9, 8)), seed=1)
    found, expected = (
        grouped.clipped_terms(a, b, c.contiguous(), own, replace(CONVERTERS, inp_bound=1.5), WINDOW)
        for a, b, c, own in ways(x, gradient, kernels, ranges)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.to(one.dtype), rtol=1e-5, atol=1e-5)
        assert (one != 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_inputs_of_each_group_have_their_own_deviation(dtype: torch.dtype) -> None:
    x = torch.randn(3, 6, 9, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    x = x * torch.arange(1, 7).view(1, -1, 1, 1) + 2
    expected = torch.stack([_unfolded_std(part, WINDOW) for part in x.split(2, 1)])
    torch.testing.assert_close(grouped.deviations(x, 3, WINDOW), expected)
