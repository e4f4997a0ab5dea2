import numpy as np
import pytest

from analognas.datasets import load
from analognas.datasets.reduction import reduced
from analognas.errors import DatasetError


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def counts(split):
    return np.bincount(split.y, minlength=10).tolist()


def pairs(split):
    return {(image.tobytes(), int(label)) for image, label in zip(split.x, split.y, strict=True)}


def test_every_class_keeps_so_many_images_of_the_same_part(digits):
    small = reduced(digits, 20)
    assert [counts(small.part(part)) for part in ("train", "validation", "test")] == [[20] * 10, [5] * 10, [10] * 10]
    for part in ("train", "validation", "test"):
        assert pairs(small.part(part)) <= pairs(digits.part(part))


def test_a_smaller_part_is_within_a_larger_one_and_all_are_told_apart(digits):
    smaller, larger = reduced(digits, 10), reduced(digits, 30)
    held = {image.tobytes() for image in larger.train.x}
    assert {image.tobytes() for image in smaller.train.x} <= held
    assert len({one.split_digest for one in (digits, smaller, larger)}) == 3
    assert digits.digest == smaller.digest == larger.digest
    assert reduced(digits, 10).split_digest == smaller.split_digest


def test_normalisation_is_that_of_what_is_kept(digits):
    small = reduced(digits, 4)
    images, _ = small.tensors("train")
    assert (float(images.mean()), float(images.std(correction=0))) == pytest.approx((0, 1), abs=1e-5)
    assert small.mean != digits.mean


def test_what_is_small_enough_stays_as_it_is(digits):
    assert reduced(digits, 1_000) is digits


def test_load_reduces(digits):
    assert load("digits", per_class=7).split_digest == reduced(digits, 7).split_digest
    with pytest.raises(DatasetError, match="per_class is 0"):
        load("digits", per_class=0)
