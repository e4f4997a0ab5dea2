from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analognas.datasets import AUGMENTATIONS
from analognas.params import TrainingParams
from analognas.params.sections import Augmentation
from analognas.training import digital, hardware_aware
from analognas.training.augmentation import augment
from analognas.training.protocol import characterize

SHAPES = [(1, 8, 8), (3, 32, 32), (1, 49, 10), (1, 40, 101)]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def numbered(shape: tuple[int, ...], images: int = 64) -> Tensor:
    """Return images in which every pixel has a value of its own, none of them zero."""
    return torch.arange(1, 1 + images * int(np.prod(shape)), dtype=torch.float32).reshape(images, *shape)


def test_the_names_are_the_same_everywhere() -> None:
    assert get_args(Augmentation) == AUGMENTATIONS
    for name in AUGMENTATIONS:
        assert augment(numbered((1, 8, 8)), [name], generator()).shape == (64, 1, 8, 8)
    with pytest.raises(KeyError):
        augment(numbered((1, 8, 8)), ["mirror"], generator())


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_function_of_batch_and_seed_that_leaves_the_batch_alone(name: str, shape: tuple[int, int, int]) -> None:
    x = numbered(shape)
    first = augment(x, [name], generator())
    assert torch.equal(x, numbered(shape))
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert torch.equal(augment(x, [name], generator()), first)
    assert not torch.equal(augment(x, [name], generator(1)), first)
    assert len({tuple((one - other).flatten().tolist()) for one, other in zip(first, x, strict=True)}) > 1


def test_without_names_nothing_happens_and_nothing_is_drawn() -> None:
    x, draws = numbered((1, 8, 8)), generator()
    assert augment(x, [], draws) is x
    assert draws.random() == generator().random()


@pytest.mark.parametrize("shape", SHAPES)
def test_crop_moves_every_image_by_its_own_offset(shape: tuple[int, int, int]) -> None:
    x = numbered(shape, 200)
    offsets = set()
    most = [round(side / 8) for side in shape[1:]]
    for before, after in zip(x, augment(x, ["crop"], generator()), strict=True):
        padded = nn.functional.pad(before, (most[1], most[1], most[0], most[0]))
        matches = [
            (row, column)
            for row in range(2 * most[0] + 1)
            for column in range(2 * most[1] + 1)
            if torch.equal(padded[:, row : row + shape[1], column : column + shape[2]], after)
        ]
        assert len(matches) == 1
        offsets.update(matches)
    assert {row for row, _ in offsets} == set(range(2 * most[0] + 1))  # the farthest ones too
    assert len(offsets) > 5


def test_flip_mirrors_about_half_of_the_images() -> None:
    x = numbered((3, 4, 5), 400)
    changed = augment(x, ["flip"], generator())
    mirrored = [torch.equal(one, other.flip(2)) for one, other in zip(changed, x, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(changed, x, strict=True)]
    assert all(one != other for one, other in zip(mirrored, same, strict=True))
    assert 160 < sum(mirrored) < 240


def test_cutout_blanks_one_square_of_half_the_side() -> None:
    x = numbered((3, 16, 16), 300)
    areas = []
    for before, after in zip(x, augment(x, ["cutout"], generator()), strict=True):
        blank = after == 0
        assert torch.equal(after[~blank], before[~blank])
        assert torch.equal(blank[0], blank[1])
        rows, columns = blank[0].any(1).nonzero().flatten().tolist(), blank[0].any(0).nonzero().flatten().tolist()
        assert all(b - a == 1 for line in (rows, columns) for a, b in pairwise(line))
        assert blank[0].sum() == len(rows) * len(columns)
        areas.append(int(blank[0].sum()))
    assert max(areas) == 64
    assert min(areas) >= 16  # the centre is inside


def test_shift_moves_in_time_only() -> None:
    x = numbered((1, 50, 6), 200)
    shifts = set()
    for before, after in zip(x, augment(x, ["shift"], generator()), strict=True):
        frames = torch.arange(50)
        (by,) = (
            by for by in range(-5, 6) if torch.equal(after, before[:, (frames + by).clamp(0, 49)])
        )  # what comes in repeats the edge
        shifts.add(by)
    assert shifts == set(range(-5, 6))


def test_noise_is_of_another_strength_in_every_image() -> None:
    x = torch.zeros(200, 1, 30, 30)
    strengths = augment(x, ["noise"], generator()).std(dim=(1, 2, 3))
    assert strengths.max() < 0.27
    assert strengths.min() < 0.02
    assert 0.1 < strengths.mean() < 0.15


def test_one_after_the_other() -> None:
    x = numbered((1, 8, 8))
    draws = generator()
    expected = augment(augment(x, ["crop"], draws), ["flip"], draws)
    assert torch.equal(augment(x, ["crop", "flip"], generator()), expected)


@pytest.mark.parametrize("training", [digital.train, hardware_aware.train])
def test_both_trainings_are_seeded_and_see_other_images_in_every_epoch(
    training, network, model, train_set, monkeypatch
) -> None:
    seen: list[Tensor] = []

    def watched(x: Tensor, names: tuple[str, ...], draws: np.random.Generator) -> Tensor:
        seen.append(augment(x, names, draws))
        return seen[-1]

    monkeypatch.setattr(digital.augmentation, "augment", watched)
    protocol = {"epochs": 2, "batch_size": 60, "learning_rate": 0.01, "seed": 1}
    if training is digital.train:
        protocol["weight_decay"] = 0.0
    x, y = train_set
    trained = network if training is digital.train else model
    for _ in range(2):
        training(trained, x, y, **protocol, augment=("noise",))
    assert len(seen) == 4
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    clean = [batch.mean(dim=(1, 2, 3)).sort().values for batch in seen[:2]]
    assert not torch.equal(*clean)


def test_a_result_depends_on_the_augmentation_of_the_dataset(architecture, dataset, protocol) -> None:
    from dataclasses import replace

    from analognas.params import HardwareParams

    rows = [
        characterize(architecture, one, HardwareParams(), TrainingParams.model_validate(protocol), seed=0).accuracy
        for one in (dataset, replace(dataset, augment=()), replace(dataset, augment=("crop", "flip")))
    ]
    assert rows[0].tolist() == rows[1].tolist()
    assert rows[0].tolist() != rows[2].tolist()
