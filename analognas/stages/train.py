"""``train``: train the best architecture with the full protocol and measure it on the test set, once.

Reads ``data/search/best.json``; writes ``data/winner/``. A plain residual network of about the same size and those that
people take by hand are trained and measured in the same way, so that the figures mean something.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analognas.errors import StageError
from analognas.files import json_bytes, read_sealed, write_sealed, writing_directory
from analognas.folders import write_folder
from analognas.progress import Progress, silent
from analognas.search_algorithms.verdicts import BROKEN, described, verdicts
from analognas.search_spaces.baseline import BESIDE, NAMES, plain_network
from analognas.stages import inputs, lookup, plots, processes, recorded
from analognas.stages.identity import DatasetSpec
from analognas.stages.trained import (
    COMPARED,
    Outcome,
    Training,
    by_class_of,
    curve,
    differences,
    figures,
    looked_up,
    with_interval,
)
from analognas.training.by_image import by_image
from analognas.training.card import Known

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.rows import ResultRow
    from analognas.search_algorithms.constraints import Constraints
    from analognas.search_spaces import Architecture
    from analognas.stages.summaries import TrainSummary
    from analognas.workspace import Paths

#: Half width of a 90 % interval in standard deviations.
_Z90 = 1.645


def run(params: Params, paths: Paths, progress: Progress = silent) -> TrainSummary:
    """Train candidates, best first, until one holds the limits on validation; test it and the plain network.

    If none does, the one that comes closest is taken, and the summary says so.

    Raises:
        StageError: if no candidate can be trained, or none holds the limits and ``search.strict`` is set.
        SpaceError, MismatchError, CorruptFileError: if an input does not fit.
    """
    proposed = inputs.candidates(params, paths)
    limits = inputs.constraints(params, paths)
    if lookup.is_table(params) and not recorded.recorded_dataset(paths)["sizes"]["train"]:
        return _from_table([candidate.architecture for candidate in proposed], limits, params, paths, progress)
    # What is known to break a limit is not trained in the hope that it holds it.
    hopeful = [candidate.architecture for candidate in proposed if candidate.limits != BROKEN]
    candidates = hopeful or [proposed[0].architecture]
    template = Training(
        architecture=candidates[0],
        dataset=DatasetSpec.of(params, paths),
        hardware=params.hardware,
        training=params.train,
        seed=params.base.seed,
        device=params.base.device,
        limits=limits if hopeful or params.search.strict else None,
    )
    by_hand = inputs.by_hand(params, paths)
    beside = {key: network for key, network in by_hand.items() if key in BESIDE}
    progress(0, 2, f"training {candidates[0].id}, a plain network of its size{_and(beside)}")
    notes = [] if hopeful else ["Nothing that is known holds the limits: what comes closest was trained."]
    tried: list[tuple[Training, Outcome]] = []
    workers = 1 if params.run.runner == "serial" else processes.workers(params.run.workers)
    side_by_side = min(2 + len(beside), workers)
    with contextlib.closing(processes.Pool(side_by_side)) as pool:
        trainer = _Trainer(pool, progress, beside)
        for architecture in candidates:
            task = replace(template, architecture=architecture)
            winner, baseline = trainer.train(task)
            if winner.test is not None:
                break
            tried.append((task, winner))
            notes.append(_why_not(architecture, winner.validation, limits))
        else:
            task = _closest(tried, limits, params)
            winner, baseline = trainer.train(task)
            closest = f"{task.architecture.id} comes closest of {len(tried)} and is taken."
            notes.append(f"No candidate holds the limits when it is measured: {closest}")
    assert winner.test is not None
    assert winner.packed is not None
    assert winner.images is not None

    for key, network in by_hand.items():
        if network == task.architecture:
            notes.append(f"The winner is a network that people take by hand ({NAMES[key]}): nothing better was found.")
    judged = verdicts(limits, with_interval(winner), task.architecture)
    with writing_directory(paths.winner) as folder:
        winner.packed.write(folder, Known(list(map(str, judged)), _evaluator(paths), notes))
    summary: TrainSummary = {
        "winner": figures(winner.test) | {"acc_1d_validation": winner.validation["acc_1d"]},
        "limits": described(judged),
        "notes": notes,
    }
    curves = [curve("winner", winner.test, params)]
    classes = [by_class_of("winner", winner)]
    if baseline is not None and baseline.test is not None:
        summary["baseline"] = figures(baseline.test)
        summary["difference"] = differences(winner, baseline)
        curves.append(curve("plain residual network", baseline.test, params))
        classes.append(by_class_of("plain residual network", baseline))
    summary["known"] = {}
    for key, network in beside.items():
        known = trainer.beside.get(network.id)  # it lacks the winner
        if known is not None and network != task.architecture and known.test is not None:
            summary["known"][key] = {"figures": figures(known.test), "difference": differences(winner, known)}
            curves.append(curve(NAMES[key], known.test, params))
            classes.append(by_class_of(NAMES[key], known))
    summary["hardware"] = params.hardware.told()
    write_sealed(paths.metrics("train"), summary)
    plots.drift_curves(paths, pd.concat(curves, ignore_index=True))
    plots.classes(paths, pd.concat(classes, ignore_index=True))
    progress(2, 2, f"{task.architecture.id}: {winner.test['acc_1d']:.1f} % on test after 1 day")
    return summary


def _from_table(
    candidates: list[Architecture], limits: Constraints, params: Params, paths: Paths, progress: Progress
) -> TrainSummary:
    """Look up the best candidate that holds the limits, and the plain network: there are no images to train on."""
    rows = [lookup.row(candidate, params.hardware) for candidate in candidates]
    measured = [place for place, row in enumerate(rows) if row.ok]
    if not measured:
        raise StageError(f"The table has no value for any of {len(candidates)} candidates: search again.")
    place = min(measured, key=lambda index: (limits.violation(candidates[index], rows[index].measured), index))
    _refuse_if_strict(limits, [(candidates[index], rows[index]) for index in measured], params)
    notes = ["Looked up in AnalogNAS-Bench: nothing was trained, AVM starts at 60 s, and there are no weights."]
    notes += [_why_not(candidates[before], rows[before], limits) for before in range(place)]
    architecture, row = candidates[place], rows[place]
    spread = lookup.twin_std()
    bounds = {
        f"{name}_{end}": row[name] + sign * _Z90 * spread[name]
        for name in ("acc_1d", "avm")
        for end, sign in (("low", -1), ("high", 1))
    }
    with writing_directory(paths.winner) as folder:
        files = {"architecture.json": json_bytes(architecture.to_dict())}
        write_folder(folder, "winner.json", {"row": row.to_dict(), "source": params.characterize.source}, files)
    plain = plain_network(architecture.space, architecture.params)
    summary: TrainSummary = {
        "winner": figures(row),
        "limits": described(verdicts(limits, {**row.measured, **bounds}, architecture)),
        "notes": notes,
    }
    curves = [looked_up("winner", row)]
    if plain is not None:
        other = lookup.row(plain, params.hardware)
        summary["baseline"] = figures(other)
        # Both rows carry the luck of one training: how far twins are apart is the standard error of each.
        halves = {name: 1.96 * math.sqrt(2) * std for name, std in spread.items()}
        values = {name: row[name] - other[name] for name in COMPARED}
        summary["difference"] = {
            name: {"value": value, "low": value - halves[name], "high": value + halves[name]}
            for name, value in values.items()
        }
        curves.append(looked_up("plain residual network", other))
    summary["hardware"] = params.hardware.told()
    write_sealed(paths.metrics("train"), summary)
    plots.drift_curves(paths, pd.concat(curves, ignore_index=True))
    plots.classes(paths, pd.DataFrame(columns=plots.OF_CLASSES))  # a table tells no images
    progress(2, 2, f"{architecture.id}: {row['acc_1d']:.1f} % after 1 day, as published")
    return summary


def _evaluator(paths: Paths) -> str | None:
    """Return how well the evaluator ranks, as the stage ``fit`` measured it; None if that is not known."""
    if not paths.metrics("fit").is_file():
        return None
    try:
        told = read_sealed(paths.metrics("fit"), remedy="run `analognas stage fit`")
        tau, count = told["targets"]["acc_1d"]["kendall_tau"], told["architectures"]
        return (
            f"Kendall tau of 1-day accuracy, out of fold: {tau['value']:.2f} (95 % interval {tau['low']:.2f} to "
            f"{tau['high']:.2f}, {count} architectures)."
        )
    except (KeyError, TypeError, ValueError):  # none was measured
        return None


def train(task: Training) -> Outcome:
    """Train one network and measure it: a pure function of the task, for a worker process."""
    from analognas.training.protocol import characterize
    from analognas.training.winner import pack

    dataset = task.dataset.load()
    on_validation = characterize(
        task.architecture, dataset, task.hardware, task.training, seed=task.seed, device=task.device
    )
    trained = on_validation.trained
    if trained is None:
        return Outcome(on_validation.row)
    if task.limits is not None and task.limits.violation(task.architecture, on_validation.row.measured) > 0:
        return Outcome(on_validation.row)
    on_test = trained.measure(dataset, "test")
    packed = pack(on_test, dataset)
    labels = np.array(dataset.class_names)[dataset.tensors("test")[1].numpy()]
    assert on_test.right is not None
    images = by_image(on_test.right.mean(axis=0), task.training.times)
    return Outcome(on_validation.row, on_test.row, packed, images, labels)


class _Trainer:
    """Trains candidates in the same workers, and remembers what came of the networks beside them, by id."""

    def __init__(self, pool: processes.Pool, progress: Progress, by_hand: Mapping[str, Architecture]) -> None:
        self._pool, self._progress = pool, progress
        self._by_hand = by_hand
        self.beside: dict[str, Outcome] = {}

    def train(self, task: Training) -> tuple[Outcome, Outcome | None]:
        """Train a candidate and, beside it, what is to be compared with it and was not trained yet.

        Returns:
            What came of it, and of the plain network of its size (None if the space has none, or it is that itself).
        """
        plain = plain_network(task.architecture.space, task.architecture.params)
        if plain is not None and plain.id == task.architecture.id:
            plain = None
        others = [*([] if plain is None else [plain]), *self._by_hand.values()]
        there = {task.architecture.id, *self.beside}
        beside = {network.id: network for network in others if network.id not in there}
        tasks = [task, *(replace(task, architecture=network, limits=None) for network in beside.values())]
        for done, (index, result) in enumerate(processes.each(train, tasks, self._pool), start=1):
            if index == 0:
                candidate = result
            else:
                self.beside[tasks[index].architecture.id] = result
            name = "candidate" if index == 0 else "network beside it"
            self._progress(done / len(tasks), 2, f"{name} {tasks[index].architecture.id} is trained")
        return candidate, None if plain is None else self.beside[plain.id]


def _and(by_hand: Mapping[str, Architecture]) -> str:
    return "".join(f", {NAMES[key]}" for key in by_hand)


def _closest(tried: list[tuple[Training, Outcome]], limits: Constraints, params: Params) -> Training:
    """Return the training of the candidate that came closest to the limits on validation, for the test set now."""
    trained = [(task, result) for task, result in tried if result.validation.ok]
    if not trained:
        raise StageError(
            f"None of {len(tried)} candidates could be trained ({tried[0][1].validation.reason}): "
            "lower train.learning_rate, or sample and search again."
        )
    _refuse_if_strict(limits, [(task.architecture, result.validation) for task, result in trained], params)

    def order(pair: tuple[Training, Outcome]) -> tuple[float, float, str]:
        architecture, row = pair[0].architecture, pair[1].validation
        return limits.violation(architecture, row.measured), -row["acc_1d"], architecture.id

    return replace(min(trained, key=order)[0], limits=None)


def _refuse_if_strict(limits: Constraints, measured: list[tuple[Architecture, ResultRow]], params: Params) -> None:
    excess = [limits.violation(architecture, row.measured) for architecture, row in measured]
    if params.search.strict and all(value > 0 for value in excess):
        broken = "; ".join(f"{architecture.id}: {_broken(limits, architecture, row)}" for architecture, row in measured)
        raise StageError(
            f"None of {len(measured)} candidates holds the limits when it is measured ({broken}). Characterize more "
            "architectures (`analognas search --true-evaluations 16`), keep more of them (search.candidates), or leave "
            "search.strict false."
        )


def _why_not(architecture: Architecture, row: ResultRow, limits: Constraints) -> str:
    if not row.ok:
        return f"Candidate {architecture.id} could not be trained ({row.reason}); the next one is taken."
    why = _broken(limits, architecture, row)
    return f"Candidate {architecture.id} breaks a limit when it is measured ({why}); the next one is taken."


def _broken(limits: Constraints, architecture: Architecture, row: ResultRow) -> str:
    """Return which limits an architecture breaks that was measured."""
    parts = []
    if limits.T_AVM is not None and row["avm"] > limits.T_AVM:
        parts.append(f"it varies by {row['avm']:.2f} points in a month, T_AVM is {limits.T_AVM:g}")
    if limits.min_acc_1d is not None and row["acc_1d"] < limits.min_acc_1d:
        parts.append(f"{row['acc_1d']:.2f} % after a day, min_acc_1d is {limits.min_acc_1d:g}")
    if limits.cost is not None:
        known = limits.cost.costs([architecture]).iloc[0]
        parts += [
            f"{name} {value:.4g}, the limit is {limits.cost.limits[str(name)]:g}"
            for name, value in known.items()
            if value > limits.cost.limits[str(name)]
        ]
    return ", ".join(parts)
