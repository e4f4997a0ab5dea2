from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analognas.training import digital
from analognas.training.digital import DivergedError, accuracy, batches, steps_per_epoch

PROTOCOL: dict[str, Any] = {"epochs": 3, "batch_size": 16, "learning_rate": 0.1, "weight_decay": 5e-4, "seed": 1}


def weights(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("images", "batch_size", "steps"), [(1000, 64, 16), (1025, 64, 17), (60, 64, 1), (7, 3, 3)])
def test_batches_cover_every_image_once_in_nearly_equal_parts(images: int, batch_size: int, steps: int) -> None:
    parts = list(batches(images, batch_size, (0, 0)))
    sizes = [len(part) for part in parts]
    assert len(parts) == steps == steps_per_epoch(images, batch_size)
    assert max(sizes) - min(sizes) <= 1  # a rest of one image would have no batch-norm statistics
    assert max(sizes) <= batch_size
    assert sorted(torch.cat(parts).tolist()) == list(range(images))


def test_shuffling_depends_on_seed_and_epoch_and_nothing_else() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        torch.manual_seed(torch.seed())
        return torch.cat(list(batches(50, 16, (seed, epoch)))).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_training_learns_and_ends_in_evaluation_mode(
    network: nn.Module, train_set: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]
) -> None:
    digital.train(network, *train_set, **{**PROTOCOL, "epochs": 8})
    assert not network.training
    assert accuracy(network, *held_out) > 90


def test_training_is_a_function_of_its_arguments(network: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    results = []
    for seed, state in ((1, 0), (1, 99), (2, 0)):
        model = copy.deepcopy(network)
        torch.manual_seed(state)
        digital.train(model, *train_set, **{**PROTOCOL, "seed": seed})
        results.append(weights(model))
    assert equal(results[0], results[1])
    assert not equal(results[0], results[2])


def test_weight_decay_counts(network: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    norms = []
    for weight_decay in (0.0, 0.5):
        model = copy.deepcopy(network)
        digital.train(model, *train_set, **{**PROTOCOL, "weight_decay": weight_decay})
        norms.append(model[0].weight.norm().item())
    assert norms[1] < 0.8 * norms[0]


def test_one_single_step_is_possible(network: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    before, told = weights(network), []
    digital.train(
        network, *train_set, **{**PROTOCOL, "epochs": 1, "batch_size": 100}, progress=lambda *at: told.append(at)
    )
    assert told == [(1, 1, "digital")]
    assert not equal(before, weights(network))
    assert all(torch.isfinite(tensor).all() for tensor in weights(network))


def test_progress_is_told_after_each_epoch(network: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    told: list[tuple[float, float, str]] = []
    digital.train(network, *train_set, **PROTOCOL, progress=lambda *at: told.append(at))
    assert told == [(epoch, 3, "digital") for epoch in (1, 2, 3)]


def test_a_loss_that_is_not_finite_is_a_divergence(network: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(DivergedError, match=r"loss is (nan|inf) in epoch 1 of 3"):
        digital.train(network, train_set[0] * float("inf"), train_set[1], **PROTOCOL)


def test_weights_that_are_not_finite_are_a_divergence(network: nn.Module, train_set: tuple[Tensor, Tensor]) -> None:
    """The very last step may spoil them, after the last loss."""
    with pytest.raises(DivergedError, match="not finite after 1 epochs"):
        digital.train(
            network,
            *train_set,
            **{**PROTOCOL, "epochs": 1, "batch_size": 60, "learning_rate": 1e38, "weight_decay": 1e3},
        )


def test_accuracy_is_the_percentage_in_evaluation_mode_for_any_number_of_images() -> None:
    class Answer(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert not self.training
            assert len(x) * x[0, 0].numel() <= digital.EVALUATION_PIXELS
            return x.flatten(1)

    y = torch.arange(257) % 3
    x = nn.functional.one_hot(torch.where(torch.arange(257) < 64, y, (y + 1) % 3), 3).float()
    assert accuracy(Answer().train(), x, y) == 100 * 64 / 257
