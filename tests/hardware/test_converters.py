from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import unfold

from analognas.hardware import converters as conv
from analognas.hardware.converters import Converters, Window

BENCH = Converters.of(1 / 254, 1.0, 1 / 254, 10.0, 0.0, 1.0)
CONVERTERS = [
    BENCH,
    Converters.of(62.0, 1.0, 126.0, 2.0, 0.0, 0.7),  # numbers of steps, a tight bound, a scale
    Converters.of(-1.0, -1.0, -1.0, -1.0, 0.0, 1.0),  # ideal
    Converters.of(1 / 30, 0.8, 1 / 30, 0.5, 0.0, 1.0),  # bounds that clip a lot
]


def test_a_resolution_above_one_is_a_number_of_steps_and_none_is_exact() -> None:
    assert Converters.of(254.0, 1.0, 1 / 254, 1.0, 0.0, 1.0).inp_step == BENCH.inp_step
    ideal = CONVERTERS[2]
    assert (ideal.inp_step, ideal.out_step) == (0, 0)
    assert (ideal.inp_bound, ideal.out_bound) == (math.inf, math.inf)


@pytest.fixture
def tensor_operations(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return what switches the loops off."""
    return monkeypatch


def off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "fast", lambda tensor: False)


@pytest.mark.parametrize("converters", CONVERTERS)
@pytest.mark.parametrize("bound", [None, 1.3, -1.3])
def test_loops_and_tensor_operations_compute_the_same(
    converters: Converters, bound: float | None, tensor_operations: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 5, 7, 6)
    x.view(-1)[:3] = torch.tensor([1.3, -1.3, 0.0])  # exactly at the bounds too
    x = conv.dense(x)
    input_range = None if bound is None else torch.tensor([bound])
    z, gradient = conv.dense(3 * torch.randn(3, 4, 5, 5)), conv.dense(torch.randn(3, 4, 5, 5))
    d_input = conv.dense(torch.randn(3, 5, 7, 6))

    def everything() -> list[object]:
        found: list[object] = [conv.to_input(x, input_range, converters)]
        out = z.clone()
        inside = conv.to_output(out, converters, (0.3, 1.2), gradients=True)
        found += [out, 0 if inside is None else inside.reshape(-1).sum()]
        found += [*conv.from_output(gradient, out, inside, 0.36)]
        d_x, total, terms = conv.from_input(d_input, x, input_range, converters, each_once=True)
        if input_range is not None:
            assert terms is not None
            found += [total, *terms]
        return [*found, d_x]

    loops = everything()
    off(tensor_operations)
    for ours, theirs in zip(loops, everything(), strict=True):
        torch.testing.assert_close(
            torch.as_tensor(ours, dtype=torch.float32),
            torch.as_tensor(theirs, dtype=torch.float32),
            rtol=1e-5,
            atol=1e-5,
        )


WINDOWS = [
    Window((3, 3), (1, 1), (1, 1), (1, 1), (0, 45)),
    Window((3, 2), (2, 1), (0, 1), (1, 2), (0, 30)),
    Window((5, 5), (2, 3), (2, 1), (1, 1), (7, 103)),  # begins and ends inside a channel
    Window((1, 1), (2, 2), (0, 0), (1, 1), (0, 5)),
]


@pytest.mark.parametrize("window", WINDOWS)
def test_clipped_terms_are_those_of_the_unfolded_input(window: Window, tensor_operations: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    x, input_range = torch.randn(2, 5, 9, 8), torch.tensor([1.1])
    sizes = conv.output_size(window, (9, 8))
    weight, gradient = torch.randn(4, 5, *window.kernel), torch.randn(2, 4, *sizes)
    rows = slice(*window.rows)
    weight.view(4, -1)[:, : rows.start] = weight.view(4, -1)[:, rows.stop :] = 0
    unfolded = unfold(x, window.kernel, window.dilation, window.padding, window.stride)[:, rows]
    entries = torch.einsum("nol,ok->nkl", gradient.flatten(2), weight.view(4, -1)[:, rows]) / input_range
    upper = entries[unfolded >= input_range].clamp(max=0).sum()
    lower = entries[unfolded <= -input_range].clamp(min=0).sum()
    count = (unfolded.abs() >= input_range).sum()

    for _ in range(2):
        found = conv.clipped_terms(conv.dense(x), conv.dense(gradient), weight, input_range, BENCH, window)
        assert float(found[0]) == pytest.approx(float(upper), rel=1e-4)
        assert float(found[1]) == pytest.approx(float(lower), rel=1e-4)
        assert int(found[2]) == int(count)
        off(tensor_operations)


@pytest.mark.parametrize("window", WINDOWS)
def test_uses_count_what_unfolding_repeats(window: Window) -> None:
    image = torch.arange(1.0, 5 * 9 * 8 + 1).view(1, 5, 9, 8)
    unfolded = unfold(image, window.kernel, window.dilation, window.padding, window.stride)[:, slice(*window.rows)]
    counts = torch.bincount(unfolded.flatten().long(), minlength=5 * 9 * 8 + 1)[1:]
    assert torch.equal(conv.uses(window, (5, 9, 8)).flatten().long(), counts)


def test_keys_follow_torchs_generator() -> None:
    torch.manual_seed(3)
    first, again = conv.keys(), conv.keys()
    torch.manual_seed(3)
    assert conv.keys() == first != again
    assert first[0] % 2 == 1
