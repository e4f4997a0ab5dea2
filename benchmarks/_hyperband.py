"""Optuna's TPE with its Hyperband pruner, as somebody would use it who has no evaluator: it trains, and stops early.

After each epoch of the digital and of the hardware-aware training the accuracy on validation images is reported, and
Hyperband (Li et al., JMLR 18, 2018; factor 3, 1 to all epochs) decides whether to go on. What was trained to its end is
programmed and drifted as a characterization is. It takes core time until its budget is used up, and recommends the
best that it measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

    from analognas.search_algorithms.tpe import TPE
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.stages.characterize import Job


@dataclass(frozen=True)
class Study:
    """A study in the space of a job's architecture, with the job's data, chip and protocol.

    Attributes:
        job: whose architecture does not matter.
        space: that is searched.
        seed: of the sampler and of the trainings.
        seconds: core seconds that it may take; the last training may end later.
    """

    job: Job
    space: ConfigSpace
    seed: int
    seconds: float


class Pruned(Exception):  # noqa: N818 - no error
    """Hyperband ends a training."""


def recommended(study: Study) -> Architecture:
    """Return the best architecture that a study measured whole."""
    import optuna

    from analognas.search_algorithms.tpe import TPE

    epochs = study.job.training.epochs + study.job.training.hwa_epochs
    sampler = TPE(population_size=10, min_acc_1d=0.0).bind(study.space, study.seed)
    sampler._study.pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    begun = time.process_time()
    while time.process_time() - begun < study.seconds:
        asked = sampler.ask(1)
        if not asked:
            break
        _try(sampler, study, asked[0])
    return sampler.result().best


def _try(sampler: TPE, study: Study, architecture: Architecture) -> None:
    """Train an architecture, and tell what was measured, or that it was stopped."""
    import optuna
    import pandas as pd

    trial = sampler._running[architecture.id]

    def report(accuracy: float, epoch: int) -> None:
        trial.report(100 - accuracy, epoch)  # costs are minimised
        if trial.should_prune():
            raise Pruned

    try:
        row = _characterized(replace(study.job, architecture=architecture, seed=study.seed), report)
    except Pruned:
        del sampler._running[architecture.id]
        sampler._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return
    sampler.tell([architecture], pd.DataFrame([row]))


def _characterized(job: Job, report: Any) -> dict[str, float]:
    """Characterize with a look at the accuracy on validation images after each epoch."""
    from analognas.hardware import convert
    from analognas.hardware.rpu_config import rpu_config
    from analognas.seeds import derive_seed, seed_torch
    from analognas.training import digital
    from analognas.training.protocol import Trained, train_digitally, train_on_tiles

    dataset = job.dataset.load()
    data, (x, y) = dataset.tensors("train"), dataset.tensors("validation")
    own = derive_seed(job.seed, "characterize", job.architecture.id)

    def looking(model: nn.Module, first: int) -> Any:
        def look(done: int, epochs: int, name: str) -> None:
            model.eval()
            with torch.no_grad(), torch.random.fork_rng():
                accuracy = float((model(x).argmax(1) == y).float().mean()) * 100
            model.train()
            report(accuracy, first + done)

        return look

    seed_torch(own, "init")
    network = job.architecture.build()
    failed = {"acc_1d": float("nan"), "acc_1d_std": float("nan"), "avm": float("nan")}
    try:
        train_digitally(network, data, job.training, own=own, augment=dataset.augment, progress=looking(network, 0))
        model = convert(network, rpu_config(job.hardware), job.hardware.layers)
        train_on_tiles(
            model, network, data, job.hardware, job.training, own=own, augment=dataset.augment,
            progress=looking(model, job.training.epochs),
        )  # fmt: skip
    except digital.DivergedError:
        return failed
    trained = Trained(job.architecture, job.hardware, job.training, job.seed, network, model)
    row = trained.measure(dataset, "validation").row
    return {name: row[name] for name in failed}
