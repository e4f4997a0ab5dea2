"""``characterize``: train every architecture and measure it under drift.

Reads the architectures, the rounds and the result store; writes ``data/surrogate.parquet``.

It is two functions: ``measure`` turns one architecture into one result (a pure function for a worker process),
``assemble`` makes the table from the store. ``run`` does the first for what is missing, then the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from analognas.errors import StageError
from analognas.files import write_parquet, write_sealed
from analognas.hardware import coverage
from analognas.hardware.cost import effort
from analognas.progress import Progress, silent
from analognas.results import ResultStore, result_key
from analognas.rows import ResultRow
from analognas.seeds import derive_seed
from analognas.stages import identity, inputs, lookup, plots, processes
from analognas.stages.identity import DatasetSpec
from analognas.stages.protocols import PROTOCOLS
from analognas.stages.rows import table, usable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from analognas.params import CharacterizeParams, HardwareParams, Params
    from analognas.search_spaces import Architecture
    from analognas.stages.inputs import Listed
    from analognas.stages.summaries import CharacterizeSummary
    from analognas.workspace import Paths


#: What marks the row of an architecture that was characterized again with another seed.
AGAIN = {"role": "replicate", "round": 0, "decision": "accepted"}


@dataclass(frozen=True)
class Job:
    """Everything a worker process needs to characterize one architecture."""

    architecture: Architecture
    dataset: DatasetSpec
    hardware: HardwareParams
    training: CharacterizeParams
    max_params: int | None
    seed: int
    device: str
    inputs: dict[str, Any]
    replicate: bool = False

    @property
    def cost(self) -> float:
        """How long it takes, relative to others: for progress and for the order of work, largest first."""
        return effort(self.architecture.structure)

    @property
    def key(self) -> str:
        """The key of the result."""
        return result_key(self.inputs)


def jobs(params: Params, paths: Paths) -> list[Job]:
    """Return one job per architecture of the sample and the rounds, then those that are characterized again.

    Raises:
        MismatchError: if the data are not the recorded ones, or the table holds something else.
    """
    lookup.check(params)
    dataset = DatasetSpec.of(params, paths)
    hardware = identity.hardware_id(params.hardware)
    listed = inputs.listed(params, paths)
    versions = {package: version(package) for package in ("torch", "aihwkit")}  # 3 ms each: not once per job
    again = [entry for entry in listed if entry.role == "sample"][: params.characterize.replicates]
    plan = [(entry.architecture, params.base.seed, False) for entry in listed]
    if not lookup.is_table(params):  # the table has one row each
        plan += [(entry.architecture, derive_seed(params.base.seed, "replicate"), True) for entry in again]
    return [
        Job(
            architecture=architecture,
            dataset=dataset,
            hardware=params.hardware,
            training=params.characterize,
            max_params=params.space.max_params,
            seed=seed,
            device=params.base.device,
            inputs=_looked_up(architecture, params)
            if lookup.is_table(params)
            else {
                "architecture": architecture.to_dict(),
                "dataset": dataset.identity("validation"),
                "hardware": hardware,
                "training": params.characterize.protocol,
                # The budget itself does not decide a result, only whether the network is within it.
                "within_budget": params.space.max_params is None or architecture.params <= params.space.max_params,
                "seed": seed,
                "protocol": PROTOCOLS["characterize"],
                "layers": params.hardware.layers,
                "device": params.base.device,
                "threads": params.base.threads,
                **versions,
            },
            replicate=replicate,
        )
        for architecture, seed, replicate in plan
    ]


def _looked_up(architecture: Architecture, params: Params) -> dict[str, Any]:
    """Return what decides a result that is looked up."""
    return {
        "architecture": architecture.to_dict(),
        "source": params.characterize.source,
        "digest": lookup.table().digest,
        "read": lookup.table().reading,
        "tile_size": params.hardware.tile_shape.plain(),
        "protocol": PROTOCOLS["characterize"],
    }


def pending(params: Params, paths: Paths) -> list[Job]:
    """Return the jobs without a stored result; a damaged one is set aside with a warning, and measured anew."""
    store = ResultStore.of(paths.home)
    return [job for job in jobs(params, paths) if not store.holds(job.key)]


def measure(job: Job) -> ResultRow:
    """Characterize one architecture: a pure function of the job, for a worker process.

    Returns:
        The result; a network that diverges or is too large is one with a reason.
    """
    if job.training.source in lookup.TABLES:
        return lookup.row(job.architecture, job.hardware)
    from analognas.training.protocol import characterize

    return characterize(
        job.architecture,
        job.dataset.load(),
        job.hardware,
        job.training,
        seed=job.seed,
        max_params=job.max_params,
        device=job.device,
    ).result


def store(job: Job, result: ResultRow, paths: Paths) -> None:
    """Keep one result; the driver calls this as soon as a worker returns it.

    Raises:
        StageError: if it is no result, or that of another architecture.
    """
    problem = result.problem() if isinstance(result, ResultRow) else "is of another type"
    if problem is None and result.id != job.architecture.id:
        problem = f"is of the architecture {result.id}"
    if problem is not None:
        raise StageError(
            f"A worker returned no result of the architecture {job.architecture.id} (it {problem}): it was not kept; "
            "see that all workers have the same version of analognas, and run again."
        )
    ResultStore.of(paths.home).put(job.inputs, result)


def look_up(params: Params, paths: Paths, progress: Progress = silent) -> None:
    """Keep the results that a table has, see ``lookup``."""
    todo = pending(params, paths)
    for done, job in enumerate(todo, start=1):
        result = measure(job)
        store(job, result, paths)
        progress(done, len(todo), describe(result))


def run(params: Params, paths: Paths, progress: Progress = silent) -> CharacterizeSummary:
    """Measure what is missing in a pool of processes, then assemble the table.

    Raises:
        StageError: if worker processes keep ending.
    """
    if lookup.is_table(params):
        look_up(params, paths, progress)
        return assemble(params, paths)
    todo = pending(params, paths)
    side_by_side = 1 if params.run.runner == "serial" else processes.workers(params.run.workers)
    todo.sort(key=lambda job: -job.cost)
    if todo:
        coverage.tell(params.hardware)
        progress(0, len(todo), f"{len(todo)} architectures to characterize")
    for done, (index, result) in enumerate(processes.each(measure, todo, side_by_side), start=1):
        store(todo[index], result, paths)
        progress(done, len(todo), describe(result))
    return assemble(params, paths)


def tabulated(params: Params, paths: Paths, todo: Iterable[Job], listed: Iterable[Listed]) -> pd.DataFrame:
    """Return the stored results of jobs as the table that stages pass on, one row each, in their order.

    ``listed`` says what each architecture is characterized for. Raises CorruptFileError if a result is missing.
    """
    results, common = ResultStore.of(paths.home), identity.context(params, paths)
    roles = {
        entry.architecture.id: {"role": entry.role, "round": entry.round, "decision": entry.decision}
        for entry in listed
    }
    rows = [
        common | (AGAIN if job.replicate else roles[job.architecture.id]) | results.get(job.key).to_dict()
        for job in todo
    ]
    return table(rows, params.characterize.times)


def describe(result: ResultRow) -> str:
    """Return one line about a result."""
    if not result.ok:
        return f"{result.id}: {result.status}, {result.reason}"
    return f"{result.id}: {result.params:,} parameters, {result['acc_1d']:.1f} % after 1 day"


def assemble(params: Params, paths: Paths) -> CharacterizeSummary:
    """Write the table of all stored results of the sample and the rounds, and its summary.

    Raises:
        CorruptFileError: if a result is missing or damaged.
    """
    frame = tabulated(params, paths, jobs(params, paths), inputs.listed(params, paths))
    write_parquet(paths.surrogate, frame)
    frame = frame[frame["role"] != AGAIN["role"]]
    good = usable(frame)
    summary: CharacterizeSummary = {
        "architectures": len(frame),
        "diverged": int((frame["status"] == "diverged").sum()),
        "too_large": int((frame["status"] == "too_large").sum()),
    }
    if len(good):
        figures = {
            f"{name}_{what}": float(getattr(good[name], what)())
            for name in ("acc_digital", "acc_1d", "acc_1d_std", "avm")
            for what in ("median", "max")
        }
        summary |= cast("CharacterizeSummary", figures)
    write_sealed(paths.metrics("characterize"), summary)
    plots.measured(paths, good)
    return summary
