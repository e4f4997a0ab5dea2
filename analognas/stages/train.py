"""``train``: train the best architecture with the full protocol and measure it on the test set, once.

Reads ``data/search/best.json``; writes ``data/winner/``. A plain residual network of about the same size is
trained and measured in the same way, so that the figures mean something.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from analognas.errors import StageError
from analognas.files import json_bytes, read_sealed, write_sealed, writing_directory
from analognas.folders import write_folder
from analognas.progress import Progress, silent
from analognas.search_algorithms.verdicts import BROKEN, described, verdicts
from analognas.search_spaces.baseline import plain_network
from analognas.stages import inputs, lookup, plots, processes, recorded
from analognas.stages.identity import DatasetSpec
from analognas.training.by_image import by_class, by_image
from analognas.training.card import Known
from analognas.training.columns import time_label
from analognas.training.intervals import half_width, of_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.params import HardwareParams, Params, TrainParams
    from analognas.rows import ResultRow
    from analognas.search_algorithms.constraints import Constraints
    from analognas.search_spaces import Architecture
    from analognas.stages.summaries import Difference, TrainSummary
    from analognas.training.columns import ArchitectureFigures
    from analognas.training.winner import Packed
    from analognas.workspace import Paths

_COMPARED = ("acc_1d", "acc_30d", "avm")
#: Half width of a 90 % interval in standard deviations.
_Z90 = 1.645


@dataclass(frozen=True)
class Training:
    """Everything a worker process needs to train one network and to measure it.

    ``limits`` are those that it must hold on validation before the test set is touched; None: none.
    """

    architecture: Architecture
    dataset: DatasetSpec
    hardware: HardwareParams
    training: TrainParams
    seed: int
    device: str
    limits: Constraints | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a training: rows on validation and on test, and the winner it would be.

    ``images`` holds the means over programmings for every test image, of each figure that is compared, and ``labels``
    the class of each by name. They, ``test`` and ``packed`` are None if the training failed or a limit was broken.
    """

    validation: ResultRow
    test: ResultRow | None = None
    packed: Packed | None = None
    images: dict[str, NDArray[np.float64]] | None = None
    labels: NDArray[np.str_] | None = None


def run(params: Params, paths: Paths, progress: Progress = silent) -> TrainSummary:
    """Train candidates, best first, until one holds the limits on validation; test it and the plain network.

    If none does, the one that comes closest is taken, and the summary says so.

    Raises:
        StageError: if no candidate can be trained, or none holds the limits and ``search.strict`` is set.
        SpaceError, MismatchError, CorruptFileError: if an input does not fit.
    """
    known = inputs.candidates(params, paths)
    limits = inputs.constraints(params, paths)
    if lookup.is_table(params) and not recorded.recorded_dataset(paths)["sizes"]["train"]:
        return _from_table([candidate.architecture for candidate in known], limits, params, paths, progress)
    # What is known to break a limit is not trained in the hope that it holds it.
    hopeful = [candidate.architecture for candidate in known if candidate.limits != BROKEN]
    candidates = hopeful or [known[0].architecture]
    template = Training(
        architecture=candidates[0],
        dataset=DatasetSpec.of(params, paths),
        hardware=params.hardware,
        training=params.train,
        seed=params.base.seed,
        device=params.base.device,
        limits=limits if hopeful or params.search.strict else None,
    )
    progress(0, 2, f"training {candidates[0].id} and a plain network of its size")
    notes = [] if hopeful else ["Nothing that is known holds the limits: what comes closest was trained."]
    tried: list[tuple[Training, Outcome]] = []
    side_by_side = 1 if params.run.runner == "serial" else min(2, processes.workers(params.run.workers))
    with contextlib.closing(processes.Pool(side_by_side)) as pool:
        trainer = _Trainer(pool, progress)
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

    judged = verdicts(limits, _with_interval(winner), task.architecture)
    with writing_directory(paths.winner) as folder:
        winner.packed.write(folder, Known(list(map(str, judged)), _evaluator(paths), notes))
    summary: TrainSummary = {
        "winner": _figures(winner.test) | {"acc_1d_validation": winner.validation["acc_1d"]},
        "limits": described(judged),
        "notes": notes,
    }
    curves = [_curve("winner", winner.test, params)]
    classes = [_by_class("winner", winner)]
    if baseline is not None and baseline.test is not None:
        summary["baseline"] = _figures(baseline.test)
        summary["difference"] = {name: _difference(winner, baseline, name) for name in _COMPARED}
        curves.append(_curve("plain residual network", baseline.test, params))
        classes.append(_by_class("plain residual network", baseline))
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
        "winner": _figures(row),
        "limits": described(verdicts(limits, {**row.measured, **bounds}, architecture)),
        "notes": notes,
    }
    curves = [_looked_up("winner", row)]
    if plain is not None:
        other = lookup.row(plain, params.hardware)
        summary["baseline"] = _figures(other)
        # Both rows carry the luck of one training: how far twins are apart is the standard error of each.
        halves = {name: 1.96 * math.sqrt(2) * std for name, std in spread.items()}
        values = {name: row[name] - other[name] for name in _COMPARED}
        summary["difference"] = {
            name: {"value": value, "low": value - halves[name], "high": value + halves[name]}
            for name, value in values.items()
        }
        curves.append(_looked_up("plain residual network", other))
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


def _looked_up(network: str, row: ResultRow) -> pd.DataFrame:
    seconds = {"1h": 3_600.0, "1d": 86_400.0, "30d": 2_592_000.0}
    return pd.DataFrame(
        {
            "network": network,
            "seconds": list(seconds.values()),
            "accuracy": [row[f"acc_{label}"] for label in seconds],
            "std": [row[f"acc_{label}_std"] for label in seconds],
        }
    )


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
    """Trains candidates in the same workers, and remembers what came of the plain networks."""

    def __init__(self, pool: processes.Pool, progress: Progress) -> None:
        self._pool, self._progress = pool, progress
        self._plain: dict[str, Outcome] = {}

    def train(self, task: Training) -> tuple[Outcome, Outcome | None]:
        """Train a candidate and, beside it, the plain network of its size (None if the space has none)."""
        tasks = [task]
        plain = plain_network(task.architecture.space, task.architecture.params)
        if plain is not None and plain.id not in self._plain:
            tasks.append(replace(task, architecture=plain, limits=None))
        results: dict[int, Outcome] = {}
        for index, result in processes.each(train, tasks, self._pool):
            results[index] = result
            name = "candidate" if index == 0 else "plain network"
            self._progress(len(results) / len(tasks), 2, f"{name} {tasks[index].architecture.id} is trained")
        if 1 in results:
            self._plain[tasks[1].architecture.id] = results[1]
        return results[0], None if plain is None else self._plain[plain.id]


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


def _with_interval(winner: Outcome) -> dict[str, float | None]:
    """Return what was measured of the winner on test with 90 % intervals over programmings and test images."""
    assert winner.test is not None
    assert winner.images is not None
    row = winner.test
    values = dict(row.measured)
    for name in ("acc_1d", "avm"):
        images = winner.images[name]
        half = half_width(
            [row[f"{name}_sem"] ** 2, of_images(images)],
            [row.repeats - 1, max(1, len(images) - 1)],
            0.95,
        )
        values |= {f"{name}_low": row[name] - half, f"{name}_high": row[name] + half}
    return values


def _figures(row: ResultRow) -> ArchitectureFigures:
    figures = {"id": row.id, "params": row.params, "tiles": row.tiles, "repeats": row.repeats, **row.measured}
    return cast("ArchitectureFigures", figures)


def _difference(winner: Outcome, baseline: Outcome, name: str) -> Difference:
    """Return winner minus plain network with a 95 % interval over programmings and test images.

    Three variances add up: of the mean over programmings of each network, and of the mean over images of their
    difference on the same image (crossed random effects). The quantile is Student's, its degrees of freedom are
    Welch's and Satterthwaite's. It holds for these two trained networks: how much another training would change them
    is not in it.
    """
    assert winner.test is not None
    assert winner.images is not None
    assert baseline.test is not None
    assert baseline.images is not None
    apart = winner.images[name] - baseline.images[name]
    half = half_width(
        [
            winner.test[f"{name}_sem"] ** 2,
            baseline.test[f"{name}_sem"] ** 2,
            of_images(apart),
        ],
        [winner.test.repeats - 1, baseline.test.repeats - 1, max(1, len(apart) - 1)],
        0.975,
    )
    value = winner.test[name] - baseline.test[name]
    return {"value": value, "low": value - half, "high": value + half}


def _curve(network: str, row: ResultRow, params: Params) -> pd.DataFrame:
    labels = [time_label(time) for time in params.train.times]
    return pd.DataFrame(
        {
            "network": network,
            "seconds": params.train.times,
            "accuracy": [row[f"acc_{label}"] for label in labels],
            "std": [row[f"acc_{label}_std"] for label in labels],
        }
    )


def _by_class(network: str, outcome: Outcome) -> pd.DataFrame:
    """Return the accuracy on the test images of each class, the mean over programmings, percent."""
    assert outcome.images is not None
    assert outcome.labels is not None
    table = by_class(outcome.images, outcome.labels)
    table.insert(0, "network", network)
    return table[plots.OF_CLASSES]
