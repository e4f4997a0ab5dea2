"""What a run would do: which stages, what is stored already, how long it would take. Nothing is written.

DVC is asked what is up to date. Parameters and data that are not written yet are held against what ``dvc.lock`` has
recorded of each stage. The time is estimated as for ``--hours``: a few small characterizations are timed, the others
are judged by their layers (``run_time``), and only what is left to do counts.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASWarning
from analognas.files import digest, write_sealed
from analognas.params import Params
from analognas.params.file import Draft
from analognas.progress import Progress, silent
from analognas.results import ResultStore
from analognas.setup import run_time
from analognas.setup.preparing import check_parts, check_size, check_source, current_environment
from analognas.setup.tailoring import finalists, timed
from analognas.stages import STAGES, characterize, inputs, lookup, sample
from analognas.stages.recorded import describe_dataset, load_dataset
from analognas.versioning import Versioning
from analognas.versioning.repository import NOT_IN_CACHE
from analognas.workspace import Paths

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.datasets.records import Description
    from analognas.search_spaces import ConfigSpace
    from analognas.stages.characterize import Job

#: What becomes of a stage: it runs, it runs unless what it reads comes out the same, it is up to date.
RUNS, DEPENDS, CACHED = "runs", "depends", "up to date"
#: How ``Versioning`` says that a parameter differs.
_PARAMETER = re.compile(r"parameter (\S+) of (\S+): .*")
#: Reasons of a stage that are told.
_TOLD = 3


@dataclass(frozen=True)
class Step:
    """What becomes of a stage, why, and how many seconds it takes (None: that was not estimated)."""

    stage: str
    what: str
    reasons: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        steps: of the stages, in order.
        architectures: that are characterized, replicates included.
        stored: how many of them are in the result store.
        seconds: of the whole run if every stage runs that may; None: nothing was timed.
        around: those of them that it takes besides its stages.
        unversioned: why DVC can tell nothing, so that every stage runs; None if it can.
    """

    steps: tuple[Step, ...]
    architectures: int
    stored: int
    seconds: float | None
    around: float | None
    unversioned: str | None

    @property
    def nothing(self) -> bool:
        """Whether every stage is up to date."""
        return all(step.what == CACHED for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        steps = [
            {
                "stage": step.stage, "what": step.what, "reasons": list(step.reasons),
                "seconds": None if step.seconds is None else round(step.seconds),
            }
            for step in self.steps
        ]  # fmt: skip
        return {
            "stages": steps,
            "architectures": self.architectures,
            "stored": self.stored,
            "seconds": None if self.seconds is None else round(self.seconds),
            "seconds_around": None if self.around is None else round(self.around),
            "unversioned": self.unversioned,
        }

    def sentences(self) -> list[str]:
        """Return what has to be known besides the stages, in words."""
        if self.nothing:
            return ["Every stage is up to date: nothing would run."]
        said = []
        if self.unversioned:
            said.append(f"Nothing is versioned, so every stage runs. {self.unversioned}.")
        said.append(
            f"Of {self.architectures:,} characterizations (replicates included) {self.stored:,} are stored already."
        )
        if self.seconds is not None and self.around is not None:
            whole, around = map(run_time.duration, (self.seconds, self.around))
            said.append(
                f"The run would take {whole}, {around} of it to start and log, on this machine if it does nothing "
                "else: estimated from a few small characterizations that were timed just now, the others judged by "
                "their layers; a stage that may come out the same counts as one that runs."
            )
        return said


def plan(paths: Paths, values: Mapping[str, Any], progress: Progress = silent) -> Plan:
    """Return what ``analognas run`` would do in a workspace, with other values by ``section.key``.

    Raises:
        InputError: as ``preparing.prepare``: what a run would refuse is refused here.
    """
    began = time.process_time()
    draft = Draft(paths.params)
    draft.assign(values)
    params = draft.params()
    dataset = describe_dataset(params, paths, progress)
    space = inputs.space_of(params, dataset)
    check_parts(params)
    check_source(params, dataset)
    check_size(params, paths, space)
    unversioned = Versioning.problem(paths.root)
    becomes = _stages(paths, params, dataset) if unversioned is None else dict.fromkeys(STAGES, (RUNS, ()))
    with _as_it_would_be(paths, dataset) as there:
        jobs = _jobs(there, params, paths, sampled=becomes["sample"][0] != CACHED)
    store = ResultStore.of(paths.home)
    left = [job for job in jobs if job.key not in store]
    seconds, around = _seconds(paths, params, space, jobs, left, becomes, began, progress)
    steps = tuple(
        Step(stage, what, reasons, 0.0 if what == CACHED else seconds.get(stage))
        for stage, (what, reasons) in becomes.items()
    )
    whole = None if around is None else around + sum(step.seconds or 0.0 for step in steps)
    return Plan(steps, len(jobs), len(jobs) - len(left), whole, around, unversioned)


def points_seconds(paths: Paths, points: Sequence[Params], progress: Progress = silent) -> float | None:
    """Return how long it takes to run the stages with each of several parameters, one after the other, without DVC.

    What the result store has, and what another one of them characterizes before, is not counted. A few
    characterizations are timed for each kind of data, layers and device among them.

    Args:
        paths: the workspace.
        points: the parameters, looked at.
        progress: called as it gets on.

    Returns:
        Seconds; None if results are looked up in a table: nothing is trained then.
    """
    store, known = ResultStore.of(paths.home), set[str]()
    machines: dict[str, run_time.Machine] = {}
    seconds = 0.0
    for number, params in enumerate(points):
        began = time.process_time()
        if lookup.is_table(params):
            return None
        progress(number, len(points), "estimating how long it takes")
        described = describe_dataset(params, paths)
        space = inputs.space_of(params, described)
        with _as_it_would_be(paths, described) as there:
            jobs = _jobs(there, params, paths, sampled=True)
        dataset = load_dataset(params, paths)
        kind = digest([params.dataset.model_dump(mode="json"), params.hardware.layers, params.base.device])
        if kind not in machines:
            machines[kind] = timed(space, dataset, params, paths, began)
        left = [job for job in jobs if job.key not in known and job.key not in store]
        known |= {job.key for job in left}
        seconds += sum(_of_stages(params, space, dataset, jobs, left, machines[kind]).values())
    progress(len(points), len(points), "estimated how long it takes")
    return seconds


def _stages(paths: Paths, params: Params, dataset: Description) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return what becomes of each stage and why."""
    versioning = Versioning(paths.root)
    known = versioning.looked(STAGES)
    environment = current_environment(params, paths)
    becomes: dict[str, tuple[str, tuple[str, ...]]] = {}
    for stage in STAGES:
        recorded = versioning.stage_params(stage)
        changed = [] if recorded is None else list(_changed(recorded, params, dataset, environment))
        others = [reason for reason in known[stage] if _parameter(reason) not in (recorded or {})]
        if versioning.recorded_hash(stage) is not None:  # what is here as recorded, a run puts into the cache again
            others = [reason for reason in others if not reason.endswith(NOT_IN_CACHE)]
        certain = [*changed, *(reason for reason in others if not reason.startswith("input "))]
        before = [name for name, (what, _) in becomes.items() if what != CACHED]
        if certain:
            becomes[stage] = RUNS, tuple(certain[:_TOLD])
        elif others or before:
            becomes[stage] = DEPENDS, (*others[:_TOLD], *(f"{name} runs before it" for name in before[-1:]))
        else:
            becomes[stage] = CACHED, ()
    return becomes


def _parameter(reason: str) -> str | None:
    """Return the parameter that a reason of DVC's is about, as it is recorded; None if it is about none.

    DVC compares them with what the files say, which are written anew when something runs.
    """
    match = _PARAMETER.fullmatch(reason)
    if match is None:
        return None
    return match[1] if match[2] == "params.yaml" else f"{Path(match[2]).stem}.{match[1]}"


def _changed(
    recorded: Mapping[str, Any], params: Params, dataset: Mapping[str, Any], environment: Mapping[str, Any]
) -> Iterator[str]:
    """Yield which of the values that were recorded of a stage are others now."""
    now = params.model_dump(mode="json")
    sections: dict[str, Any] = {}
    for name, before in recorded.items():
        section, _, key = name.partition(".")
        if section in ("dataset", "environment"):
            if _value(dataset if section == "dataset" else environment, key) != before:
                yield f"{name} is another one"
        elif key:
            sections.setdefault(section, {})[key] = before
        else:
            sections[section] = before
    try:
        then = Params.model_validate({name: values for name, values in sections.items() if name in now})
    except ValueError:  # recorded by a version with other parameters
        yield "it was recorded by another version"
        return
    for section, values in then.model_dump(mode="json").items():
        if section not in sections:
            continue
        # A section that is recorded whole may lack keys that are newer: these have their defaults.
        keys = values if section in recorded else sections[section]
        for key in keys:
            if values.get(key) != now[section].get(key):
                yield f"{section}.{key} is {now[section][key]}, was {values[key]}"


def _value(values: Mapping[str, Any], key: str) -> Any:
    """Return what stands under a dotted key."""
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


@contextmanager
def _as_it_would_be(paths: Paths, dataset: Description) -> Iterator[Paths]:
    """Yield a folder for a moment, with the small files of a workspace as a run would write them first."""
    with tempfile.TemporaryDirectory() as folder:
        there = Paths(Path(folder))
        write_sealed(there.dataset, dataset)
        if paths.rounds.is_dir():
            shutil.copytree(paths.rounds, there.rounds)
        if paths.architectures.is_file():
            shutil.copyfile(paths.architectures, there.architectures)
        yield there


def _jobs(there: Paths, params: Params, paths: Paths, *, sampled: bool) -> list[Job]:
    """Return the characterizations of a run; its architectures are sampled first if the stage ``sample`` runs."""
    if params.dataset.path is not None:  # relative to the workspace
        absolute = str(paths.root / Path(params.dataset.path).expanduser())
        params = params.model_copy(update={"dataset": params.dataset.model_copy(update={"path": absolute})})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalogNASWarning)  # they were told when the data were looked at
        if sampled:
            sample.run(params, there)
        return characterize.jobs(params, there)


def _seconds(
    paths: Paths,
    params: Params,
    space: ConfigSpace,
    jobs: list[Job],
    left: list[Job],
    becomes: Mapping[str, tuple[str, tuple[str, ...]]],
    began: float,
    progress: Progress,
) -> tuple[dict[str, float], float | None]:
    """Return the seconds of each stage, and those besides; nothing if all is up to date or nothing is trained."""
    if all(what == CACHED for what, _ in becomes.values()) or lookup.is_table(params):
        return {}, None
    progress(0, 1, "timing a few small characterizations")
    dataset = load_dataset(params, paths)
    machine = timed(space, dataset, params, paths, began)
    progress(1, 1, "timed a few small characterizations")
    return _of_stages(params, space, dataset, jobs, left, machine), run_time.starting(machine)


def _of_stages(
    params: Params, space: ConfigSpace, dataset: Dataset, jobs: list[Job], left: list[Job], machine: run_time.Machine
) -> dict[str, float]:
    """Return the seconds of each stage, of which the characterizations ``left`` are still to be made."""
    sizes = {part: len(dataset.part(part)) for part in ("train", "validation", "test")}
    efforts = finalists(space, by_hand=params.sample.known)
    costs = [job.cost for job in left]
    return {
        "sample": 0.0,
        "characterize": run_time.characterizing(costs, params, sizes, machine) if costs else 0.0,
        "fit": run_time.fitting(len(jobs), machine),
        "search": run_time.searching(params, machine),
        "train": run_time.training(efforts, params, sizes, machine),
    }
