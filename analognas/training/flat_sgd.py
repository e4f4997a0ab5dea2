"""Stochastic gradient descent with all parameters in one vector.

A small network has dozens of parameters of a few numbers each, and torch's optimizers go from one to the next. What
they do is done value by value, so done to all of them at once it gives the same bytes. Besides, the first of torch's
optimizers in a process loads its compiler: 140 MB and more than two seconds that nothing else needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

#: Learning rate and momentum of each step, counted from 0.
Schedule = Callable[[int], tuple[float, float]]


class FlatSGD:
    """Gradient descent with Nesterov momentum (as ``torch.optim.SGD``); the parameters are parts of one vector.

    Parameters without a gradient stay as they are. ``release`` gives each memory of its own again.

    Args:
        parameters: to be trained; those for which ``suits`` says so.
        schedule: of learning rate and momentum.
        weight_decay: L2 penalty.
        before: changes all gradients in place before they are used, (n,) in the order of ``parameters``.
        after: is called after each step.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        schedule: Schedule,
        *,
        weight_decay: float = 0.0,
        before: Callable[[Tensor], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._schedule, self._decay = schedule, weight_decay
        self._before, self._after = before, after
        self._momenta: Tensor | None = None
        self._steps = 0
        #: All parameters, one after the other.
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters])
        for parameter, part in zip(self._parameters, self._parts(self.values), strict=True):
            parameter.data = part

    @staticmethod
    def suits(parameters: Iterable[nn.Parameter]) -> bool:
        """Return whether parameters can lie in one vector."""
        return len({(parameter.dtype, parameter.device) for parameter in parameters if parameter.requires_grad}) == 1

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients."""
        rate, momentum = self._schedule(self._steps)
        self._steps += 1
        given = [parameter.grad for parameter in self._parameters]
        unused = any(gradient is None for gradient in given)
        parts = [
            parameter.new_zeros(parameter.numel()) if gradient is None else gradient.reshape(-1)
            for parameter, gradient in zip(self._parameters, given, strict=True)
        ]
        gradient = torch.cat(parts)
        if self._before is not None:
            self._before(gradient)
        if self._decay != 0:
            gradient.add_(self.values, alpha=self._decay)
        if unused:
            for part, own in zip(self._parts(gradient), given, strict=True):
                if own is None:
                    part.zero_()
        if self._momenta is None:
            self._momenta = gradient.clone()
        else:
            self._momenta.mul_(momentum).add_(gradient)
        self.values.add_(gradient.add_(self._momenta, alpha=momentum), alpha=-rate)
        if self._after is not None:
            self._after()

    def release(self) -> None:
        """Give each parameter memory of its own; no step may follow."""
        for parameter in self._parameters:
            parameter.data = parameter.data.clone()

    def _parts(self, values: Tensor) -> list[Tensor]:
        parts = torch.split(values, [parameter.numel() for parameter in self._parameters])
        return [part.view(parameter.shape) for parameter, part in zip(self._parameters, parts, strict=True)]


def one_cycle(peak: float, steps: int) -> Schedule:
    """Return the one-cycle schedule with the settings that ``torch.optim.lr_scheduler.OneCycleLR`` begins with.

    The learning rate rises from a 25th of its peak over three tenths of the steps and falls to a 10,000th of where it
    began; the momentum goes from 0.95 to 0.85 and back; both along cosines (Smith & Topin, arXiv 1708.07120).
    """
    first, last = peak / 25, peak / 25 / 1e4
    top = 0.3 * steps - 1  # not a whole number, and below zero for a few steps

    def at(step: int) -> tuple[float, float]:
        if step <= top:
            done = step / top
            return _cosine(first, peak, done), _cosine(0.95, 0.85, done)
        done = (step - top) / (steps - 1 - top)
        return _cosine(peak, last, done), _cosine(0.85, 0.95, done)

    return at


def falling(rate: float, momentum: float, steps: int) -> Schedule:
    """Return a learning rate that falls to zero along a cosine, and a momentum that stays."""
    return lambda step: (_cosine(rate, 0.0, step / steps), momentum)


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)
