from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from analognas.training.flat_sgd import FlatSGD, falling, one_cycle

STEPS = 20


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36, 5))


def trained(model: nn.Module, optimizer: Any, schedule: Any = None) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(torch.randn(7, 1, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_it_gives_the_same_bytes_as_torchs():
    ours, theirs = network(), network()
    found = trained(ours, FlatSGD(ours.parameters(), one_cycle(0.1, STEPS), weight_decay=5e-4))
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(sgd, 0.1, total_steps=STEPS)
    for own, other in zip(found, trained(theirs, sgd, schedule), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("steps", [2, 3, 17, 300])
def test_schedules_are_torchs(steps: int):
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(sgd, 0.3, total_steps=steps)
    ours = one_cycle(0.3, steps)
    for step in range(steps):
        group = sgd.param_groups[0]
        assert ours(step) == (group["lr"], group["momentum"])
        sgd.step()
        if step < steps - 1:
            schedule.step()
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, steps)
    ours = falling(0.1, 0.9, steps)
    for step in range(steps):
        assert ours(step) == (pytest.approx(sgd.param_groups[0]["lr"]), 0.9)
        sgd.step()
        schedule.step()


def test_parameters_are_parts_of_one_vector_until_they_are_released():
    model = network()
    optimizer = FlatSGD(model.parameters(), falling(0.1, 0.9, STEPS))
    trained(model, optimizer)
    memory = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    assert memory == {optimizer.values.untyped_storage().data_ptr()}
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.release()
    assert len({parameter.untyped_storage().data_ptr() for parameter in model.parameters()}) == len(before)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_parameter_without_gradient_is_left_alone():
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "unused": nn.Linear(3, 2)})
    optimizer = FlatSGD(model.parameters(), falling(0.1, 0.9, 5), weight_decay=0.1)
    kept = {name: layer.weight.detach().clone() for name, layer in model.items()}
    for _ in range(3):
        optimizer.zero_grad()
        model["used"](torch.ones(1, 3)).sum().backward()
        optimizer.step()
    assert torch.equal(model["unused"].weight, kept["unused"])
    assert not torch.equal(model["used"].weight, kept["used"])


def test_what_is_asked_for_is_called():
    model, called = nn.Linear(3, 2), []
    schedule = falling(0.1, 0.9, 5)
    optimizer = FlatSGD(
        model.parameters(), schedule, before=lambda gradient: gradient.zero_(), after=lambda: called.append(1)
    )
    kept = model.weight.detach().clone()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(model.weight, kept)
    assert called == [1]


def test_parameters_of_several_kinds_are_not_for_it():
    assert FlatSGD.suits(network().parameters())
    assert not FlatSGD.suits([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2).double())])
