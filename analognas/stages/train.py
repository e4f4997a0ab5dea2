"""``train``: train the best architecture with the full protocol and measure it on the test set, once.

Reads ``data/search/best.json``; writes ``data/winner/``. A plain residual network of about the same size is
trained and measured in the same way, so that the figures mean something.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analognas import workers
from analognas.errors import StageError
from analognas.files import write_json, writing_directory
from analognas.results import ONE_DAY, ONE_SECOND, THIRTY_DAYS, time_label
from analognas.search_spaces.baseline import plain_network
from analognas.stages import Progress, _inputs, _plots, _table, silent
from analognas.stages._inputs import DatasetSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.params import HardwareParams, Params, TrainParams
    from analognas.search_spaces import Architecture
    from analognas.training.protocol import Characterization
    from analognas.workspace import Paths

_COMPARED = ("acc_1d", "acc_30d", "avm")


@dataclass(frozen=True)
class Job:
    """Everything a worker process needs to train one network and to measure it.

    ``limit`` is the largest AVM on validation, percentage points, with which the test set is touched.
    """

    architecture: Architecture
    dataset: DatasetSpec
    hardware: HardwareParams
    training: TrainParams
    seed: int
    device: str
    limit: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job: rows on validation and on test, and the files of the winner it would be.

    ``images`` holds the means over programmings for every test image, of each figure that is compared. It, ``test`` and
    ``files`` are None if the training failed or the limit was broken.
    """

    validation: dict[str, Any]
    test: dict[str, Any] | None = None
    files: dict[str, bytes] | None = None
    images: dict[str, NDArray[np.float64]] | None = None


def run(params: Params, paths: Paths, progress: Progress = silent) -> dict[str, Any]:
    """Train candidates, best first, until one keeps the AVM limit on validation; test it and the plain network.

    Raises:
        StageError: if no candidate can be trained.
        SpaceError, MismatchError, CorruptFileError: if an input does not fit.
    """
    candidates = _inputs.best_architectures(params, paths)
    if _table.is_table(params) and not _inputs.recorded_dataset(paths)["sizes"]["train"]:
        return _from_table(candidates, params, paths, progress)
    job = Job(
        architecture=candidates[0],
        dataset=DatasetSpec.of(params, paths),
        hardware=params.hardware,
        training=params.train,
        seed=params.base.seed,
        device=params.base.device,
        limit=params.search.T_AVM,
    )
    progress(0, 2, f"training {candidates[0].id} and a plain network of its size")
    notes: list[str] = []
    tried: list[tuple[Job, Outcome]] = []
    for architecture in candidates:
        here = replace(job, architecture=architecture)
        winner, baseline = _train(here, params, progress)
        if winner.test is not None:
            break
        tried.append((here, winner))
        notes.append(_why_not(architecture, winner.validation, params.search.T_AVM))
    else:
        here, winner, baseline = _least_variation(tried, params, progress)
        notes.append(f"No candidate keeps the limit: {here.architecture.id} varies least of {len(tried)} and is taken.")
    assert winner.test is not None
    assert winner.files is not None

    with writing_directory(paths.winner) as folder:
        for name, content in winner.files.items():
            (folder / name).write_bytes(content)
    summary: dict[str, Any] = {
        "winner": _figures(winner.test) | {"acc_1d_validation": winner.validation["acc_1d"]},
        "notes": notes,
    }
    curves = [_curve("winner", winner.test, params)]
    if baseline is not None and baseline.test is not None:
        summary["baseline"] = _figures(baseline.test)
        summary["difference"] = {name: _difference(winner, baseline, name) for name in _COMPARED}
        curves.append(_curve("plain residual network", baseline.test, params))
    summary["hardware"] = params.hardware.told()
    write_json(paths.metrics("train"), summary)
    _plots.drift_curves(paths, pd.concat(curves, ignore_index=True))
    progress(2, 2, f"{here.architecture.id}: {winner.test['acc_1d']:.1f} % on test after 1 day")
    return summary


def _from_table(candidates: list[Architecture], params: Params, paths: Paths, progress: Progress) -> dict[str, Any]:
    """Look up the best candidate that keeps the AVM limit, and the plain network: there are no images to train on."""
    rows = [_table.row(one, params.hardware) for one in candidates]
    limit = params.search.T_AVM
    kept = [place for place, row in enumerate(rows) if row["status"] == "ok" and (limit is None or row["avm"] <= limit)]
    place = kept[0] if kept else 0
    notes = ["Looked up in AnalogNAS-Bench: nothing was trained, AVM starts at 60 s, and there are no weights."]
    notes += [_why_not(candidates[before], rows[before], limit) for before in range(place)]
    architecture, row = candidates[place], rows[place]
    if row["status"] != "ok":
        raise StageError(f"The table has no value for any of {len(candidates)} candidates: search again.")
    with writing_directory(paths.winner) as folder:
        write_json(folder / "architecture.json", architecture.to_dict())
        write_json(folder / "winner.json", {"row": row, "source": params.characterize.source})
    plain = plain_network(architecture.space, architecture.params)
    summary: dict[str, Any] = {"winner": _figures(row), "notes": notes}
    curves = [_looked_up("winner", row)]
    if plain is not None:
        other = _table.row(plain, params.hardware)
        spread = _table.twin_std()
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
    write_json(paths.metrics("train"), summary)
    _plots.drift_curves(paths, pd.concat(curves, ignore_index=True))
    progress(2, 2, f"{architecture.id}: {row['acc_1d']:.1f} % after 1 day, as published")
    return summary


def _looked_up(network: str, row: dict[str, Any]) -> pd.DataFrame:
    seconds = {"1h": 3_600.0, "1d": 86_400.0, "30d": 2_592_000.0}
    return pd.DataFrame(
        {
            "network": network,
            "seconds": list(seconds.values()),
            "accuracy": [row[f"acc_{label}"] for label in seconds],
            "std": [row[f"acc_{label}_std"] for label in seconds],
        }
    )


def train(job: Job) -> Outcome:
    """Train one network and measure it: a pure function of the job, for a worker process."""
    from analognas.training.protocol import characterize
    from analognas.training.winner import save_winner

    dataset = job.dataset.load()
    on_validation = characterize(
        job.architecture, dataset, job.hardware, job.training, seed=job.seed, device=job.device
    )
    trained = on_validation.trained
    if trained is None or (job.limit is not None and on_validation.row["avm"] > job.limit):
        return Outcome(on_validation.row)
    on_test = trained.measure(dataset, "test")
    with tempfile.TemporaryDirectory() as folder:
        save_winner(Path(folder) / "winner", on_test, dataset)
        files = {path.name: path.read_bytes() for path in (Path(folder) / "winner").iterdir()}
    return Outcome(on_validation.row, on_test.row, files, _images(on_test, job.training.times))


def _train(job: Job, params: Params, progress: Progress) -> tuple[Outcome, Outcome | None]:
    """Train a candidate and, beside it, the plain network of its size (None if the space has none)."""
    jobs = [job]
    plain = plain_network(job.architecture.space, job.architecture.params)
    if plain is not None:
        jobs.append(replace(job, architecture=plain, limit=None))
    processes = 1 if params.run.runner == "serial" else min(2, workers.workers(params.run.workers))
    results: dict[int, Outcome] = {}
    for index, result in workers.each(train, jobs, processes):
        results[index] = result
        name = "candidate" if index == 0 else "plain network"
        progress(len(results) / len(jobs), 2, f"{name} {jobs[index].architecture.id} is trained")
    return results[0], results.get(1)


def _least_variation(
    tried: list[tuple[Job, Outcome]], params: Params, progress: Progress
) -> tuple[Job, Outcome, Outcome | None]:
    trained = [(job, result) for job, result in tried if result.validation["status"] == "ok"]
    if not trained:
        raise StageError(
            f"None of {len(tried)} candidates could be trained ({tried[0][1].validation['reason']}): "
            "lower train.learning_rate, or sample and search again."
        )
    job, _ = min(trained, key=lambda pair: (pair[1].validation["avm"], pair[0].architecture.id))
    job = replace(job, limit=None)
    return job, *_train(job, params, progress)


def _why_not(architecture: Architecture, row: dict[str, Any], limit: float | None) -> str:
    if row["status"] != "ok":
        return f"Candidate {architecture.id} could not be trained ({row['reason']}); the next one is taken."
    return (
        f"Candidate {architecture.id} breaks the limit on validation: it varies by {row['avm']:.2f} points "
        f"in a month, T_AVM is {limit:g}; the next one is taken."
    )


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    left_out = ("space", "genes", "status", "reason", "accuracy")
    return {name: value for name, value in row.items() if name not in left_out}


def _images(measured: Characterization, times: tuple[float, ...]) -> dict[str, NDArray[np.float64]]:
    """Return the mean over programmings for every image, (images,), in percent, or points for the AVM."""
    assert measured.right is not None
    mean = 100.0 * measured.right.mean(axis=0)  # (times, images)
    day, second, month = (mean[times.index(time)] for time in (ONE_DAY, ONE_SECOND, THIRTY_DAYS))
    return {"acc_1d": day, "acc_30d": month, "avm": second - month}


def _difference(winner: Outcome, baseline: Outcome, name: str) -> dict[str, float]:
    """Return winner minus plain network with a 95 % interval over programmings and test images.

    Three variances add up: of the mean over programmings of each network, and of the mean over images of their
    difference on the same image (crossed random effects). The quantile is Student's, its degrees of freedom are
    Welch's and Satterthwaite's. It holds for these two trained networks: how much another training would change them
    is not in it.
    """
    from scipy.stats import t as student  # slow to import

    assert winner.test is not None
    assert winner.images is not None
    assert baseline.test is not None
    assert baseline.images is not None
    apart = winner.images[name] - baseline.images[name]
    variances = np.array(
        [
            winner.test[f"{name}_sem"] ** 2,
            baseline.test[f"{name}_sem"] ** 2,
            np.var(apart, ddof=1) / len(apart) if len(apart) > 1 else 0.0,
        ]
    )
    freedom = np.array([winner.test["repeats"] - 1, baseline.test["repeats"] - 1, max(1, len(apart) - 1)])
    total = float(variances.sum())
    half = 0.0
    if total > 0:
        half = float(student.ppf(0.975, total**2 / float((variances**2 / freedom).sum()))) * math.sqrt(total)
    value = winner.test[name] - baseline.test[name]
    return {"value": value, "low": value - half, "high": value + half}


def _curve(network: str, row: dict[str, Any], params: Params) -> pd.DataFrame:
    labels = [time_label(time) for time in params.train.times]
    return pd.DataFrame(
        {
            "network": network,
            "seconds": params.train.times,
            "accuracy": [row[f"acc_{label}"] for label in labels],
            "std": [row[f"acc_{label}_std"] for label in labels],
        }
    )
