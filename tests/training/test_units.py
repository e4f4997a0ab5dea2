"""What units keep of each other; that they compute what layers do is in ``test_trunk``."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from analognas.training.units import Desk, Unit, Values, key_numbers


def unit(source: int, other: int | None = None) -> Unit:
    return Unit(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), source, other, rectified=True)


def test_keys_are_drawn_from_torchs_generator_and_the_first_is_odd():
    torch.manual_seed(4)
    drawn = list(key_numbers(50))
    torch.manual_seed(4)
    assert drawn == list(key_numbers(50))
    assert all(key[0] % 2 == 1 and len(key) == 3 and key[0].dtype == np.uint32 for key in drawn)
    assert len(set(drawn)) == 50
    assert list(key_numbers(0)) == []


def test_a_gradient_is_begun_by_the_first_that_adds_to_it():
    first, second = unit(0), unit(1)
    values = Values([first, second], [4, 5, 6], Desk())
    values.begin(np.arange(6, dtype=np.float32))
    assert np.array_equal(values.gradient_of(second), np.arange(6))
    begun, memory = values.to_be_changed(1)
    assert not begun
    assert memory is values.gradient_of(first)
    assert values.to_be_changed(1)[0]
    values.begin(np.zeros(6, np.float32))
    assert not values.to_be_changed(1)[0]


def test_the_memory_of_a_gradient_that_was_used_is_the_next_ones():
    units = [unit(0), unit(1), unit(2)]
    values = Values(units, [4, 5, 5, 5], Desk())
    values.begin(np.zeros(5, np.float32))
    used = values.gradient_of(units[2])
    between = values.to_be_changed(2)[1]
    assert between is not used
    values.done(units[2])
    assert values.to_be_changed(1)[1] is used
    values.done(units[1])
    values.done(units[0])
    values.begin(np.zeros(5, np.float32))  # the next step needs no more than this one did
    assert any(values.gradient_of(units[2]) is memory for memory in (used, between))


def test_memory_is_that_of_the_largest_batch():
    made, desk = unit(0), Desk()

    def out(images: int) -> np.ndarray:
        return made.forward(np.ones(images * 50, np.float32), (images, 2, 5, 5), None, iter(()), desk)

    largest = out(18)
    assert made.out_shape((17, 2, 5, 5)) == (17, 3, 5, 5)
    assert out(17).size == 17 * 3 * 25
    assert np.shares_memory(out(17), largest)
    assert int(made.norm.num_batches_tracked) == 3
    made.release()
    assert not np.shares_memory(out(18), largest)


def test_a_digital_convolution_draws_no_noise():
    assert [part.draws for part in unit(0).parts] == [False]
