"""A workspace fitted to the user's data and machine: a protocol that suits both, each choice with its reason.

The data are looked at, a few small characterizations are timed, and the best protocol whose whole run fits the given
time is written into ``params.yaml``, where every value can be edited afterwards (see ``record``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.datasets.registry import canonical
from analognas.errors import AnalogNASError, DatasetError, HoursError, SpaceError
from analognas.setup.protocol_choice import SAMPLED, TEMPLATES, Profile, Tailored, by_key, choose, of_the_data
from analognas.setup.protocol_ladder import Form
from analognas.setup.protocol_levers import CHOSEN, refusal
from analognas.setup.record import Choice, default, lacks_lines, put_into, read_record, with_values, written_by_user
from analognas.setup.run_time import Efforts, EffortsOf, Machine, Shape

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.datasets.records import InputDescription
    from analognas.params import Params
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.workspace import Paths

#: Hours that a run may take if nobody says it.
HOURS = 2.0
#: Images that are larger, in pixels, or differ in size, are resized to this edge length.
LARGEST_SIZE, RESIZED = 64, 32
#: Architectures that are timed.
_TIMED = 5
#: The winner is taken to have a greater effort than this share of so many architectures: those of trial runs (on five
#: datasets) were between the 1st and the 73rd percentile, with all their runners-up.
_LARGE, _MANY = 0.85, 400
#: Why a value is the default again.
_DEFAULT = "the default, which does for these data"


def wanted(values: Mapping[str, Any]) -> bool:
    """Return whether the data are others than those that the template's protocol was made for."""
    return canonical(str(values.get("dataset.name", TEMPLATES))) != TEMPLATES


def fit_again(paths: Paths, values: Mapping[str, Any], hours: float | None) -> float | None:
    """Return the hours to which an existing workspace is fitted now, None if its protocol stays as it is.

    One that was fitted stays while the same is asked of it, so that a run that was stopped goes on with what it has,
    unless the user has deleted a line of it.

    Args:
        paths: the workspace.
        values: by ``section.key``, which the user sets with this call.
        hours: that the user asks for, None if nothing was said. Then a workspace that was fitted before is fitted to
            the hours of before if it is given other data; the protocol of the others is the user's.
    """
    from analognas.params import Params

    record = read_record(paths.params)
    if record is None or (hours is not None and f"{hours:g}" != f"{record.hours:g}"):  # as it is recorded
        return hours
    if hours is not None and lacks_lines(paths.params, record):
        return hours
    now = Params.load(paths.params).model_dump(mode="json")
    deciding = ("dataset",) if hours is None else ("base", "dataset", "space", "hardware", "run")
    for key, value in values.items():
        section, _, name = key.partition(".")
        if section in deciding and name != "augment" and now[section].get(name) != value:
            return record.hours
    return None


def prepare_tailored(
    paths: Paths,
    values: Mapping[str, Any],
    hours: float,
    progress: Callable[[float, float, str], None] | None = None,
) -> Tailored | None:
    """Make a workspace ready to run, as ``preparing.prepare`` does, with a protocol fitted to data and machine.

    Args:
        paths: the workspace.
        values: by ``section.key``, which the user has set: they stay.
        hours: that a run may take.
        progress: told what is going on.

    Returns:
        What was written, or None if there is nothing to train on (results that are only looked up).

    Raises:
        HoursError: if no run that is worth its while fits the hours; nothing is written then.
        InputError: if parameters, dataset or space are not valid; nothing is written then.
        WorkspaceError: if another run works in the workspace.
    """
    from analognas.params.file import Draft
    from analognas.setup.preparing import adopt, check_parts
    from analognas.stages.recorded import load_dataset

    began = time.process_time()
    record = read_record(paths.params)
    draft = Draft(paths.params)
    draft.assign(values)
    yours = {*values, *written_by_user(paths.params, record)}
    given = draft.params()
    # What an earlier fit chose, and nobody has edited since, is as if it had never been chosen.
    stale = {} if record is None else {key: default(key) for key in record.values if key not in yours}
    params = with_values(given, stale)
    before = []
    if "dataset.image_size" not in yours and canonical(params.dataset.name) == "image-folder" and params.dataset.path:
        size = size_of_images(paths.root / Path(params.dataset.path).expanduser())
        before = [] if size is None else [size]
    params = with_values(params, by_key(before))
    check_parts(params)
    dataset = load_dataset(params, paths, progress)
    if not len(dataset.train) or params.characterize.source != "training":
        draft.assign({**stale, **by_key(before)})
        adopt(draft, paths, progress)
        return None
    done = _fitted(paths, params, dataset, hours, yours, before, began, progress)
    chosen = {choice.key for choice in done.choices}
    back = [Choice(key, value, _DEFAULT) for key, value in stale.items() if key not in chosen]
    earlier = set() if record is None else set(record.kept)
    put_into(draft, [*done.choices, *back], done.lines(), hours, {*done.kept, *(yours & earlier)})
    adopt(draft, paths, progress)
    return done


def _fitted(
    paths: Paths,
    params: Params,
    dataset: Dataset,
    hours: float,
    yours: Set[str],
    before: Sequence[Choice],
    began: float,
    progress: Callable[[float, float, str], None] | None,
) -> Tailored:
    """Time some architectures, and choose; where the networks or images become other ones, time these.

    Raises:
        HoursError: if nothing fits.
    """
    from analognas.stages.inputs import space_of
    from analognas.stages.recorded import load_dataset

    profile = Profile.of(dataset)
    efforts = _efforts_of(dataset)
    adapted = with_values(params, by_key(choice for choice in of_the_data(profile, params) if choice.key not in yours))
    space = space_of(adapted, _described(dataset, dataset.input_shape))
    more = _besides(paths, space)
    form = Form()
    while True:
        if progress is not None:
            progress(0, 1, "timing a few small characterizations")
        machine = timed(space, dataset, adapted, paths, began)
        if progress is not None:
            progress(1, 1, "timed a few small characterizations")
        done = choose(profile, before, params, machine, efforts, hours, yours, more, form)
        if not done.fits:
            break
        if done.form == form:
            return done
        form, adapted = done.form, done.params
        dataset = load_dataset(adapted, paths, progress)
        space = space_of(adapted, _described(dataset, dataset.input_shape))

    def without(keys: Set[str]) -> Tailored:
        defaults = {key: default(key) for key in keys if key not in CHOSEN}
        others = yours - keys
        return choose(profile, before, with_values(params, defaults), machine, efforts, hours, others, more)

    raise HoursError(refusal(done, params, yours, more, without), done.to_dict())


def timed(space: ConfigSpace, dataset: Dataset, params: Params, paths: Paths, began: float) -> Machine:
    """Time some architectures of a space and the start of a worker process; see ``probe``.

    Args:
        space: whose architectures are timed, from the smallest to the largest.
        dataset: of the workspace.
        params: of its runs.
        paths: of the workspace.
        began: processor seconds of this process when looking began.
    """
    from analognas.setup import probe
    from analognas.stages.recorded import dataset_arguments

    speed = probe.measure(_spread(space), dataset, params)
    start, read = probe.start_up(dataset_arguments(params, paths))
    return Machine(speed, _side_by_side(params), start, read, time.process_time() - began + start)


def _side_by_side(params: Params) -> int:
    """Return how many processes characterize at the same time, each with a processor of its own."""
    from analognas.stages.processes import workers

    if params.run.runner == "serial":
        return 1
    if params.run.runner == "processes":  # more than there are processors take as long as so many
        return min(workers(params.run.workers), len(os.sched_getaffinity(0)))
    return workers(params.run.workers)


def _described(dataset: Dataset, shape: Shape) -> InputDescription:
    return {"name": dataset.name, "input_shape": shape, "classes": dataset.classes}


def _efforts_of(dataset: Dataset) -> EffortsOf:
    """Return what tells the efforts of the networks of a run on a dataset, whose images may become smaller."""
    from analognas.seeds import derive_seed
    from analognas.stages.inputs import space_of

    spaces: dict[tuple[int | None, Shape], tuple[ConfigSpace, Efforts] | None] = {}
    known: dict[tuple[int | None, Shape, int], Efforts] = {}

    def efforts(params: Params, shape: Shape, size: int) -> Efforts | None:
        place = (params.space.max_params, shape)
        if place not in spaces:
            try:
                space = space_of(params, _described(dataset, shape))
                spaces[place] = (space, finalists(space, by_hand=params.sample.known))
            except SpaceError:
                spaces[place] = None
        entry = spaces[place]
        if entry is None:
            return None
        if (*place, size) not in known:
            seed = derive_seed(params.base.seed, "sample")
            sample = _sample(entry[0], size, seed, params.sample.method, params.sample.spread)
            known[(*place, size)] = replace(entry[1], sample=_costs(sample))
        return known[(*place, size)]

    return efforts


def finalists(space: ConfigSpace, *, by_hand: bool) -> Efforts:
    """Return the efforts of the winner, as large as it may reasonably be, and of what stands beside it; no sample's.

    Args:
        space: of the run.
        by_hand: whether the networks that people take by hand are looked at (``sample.known``).
    """
    from analognas.search_spaces.baseline import BESIDE, known_networks, plain_network

    costs = sorted(_costs(_sample(space, _MANY, 0)))
    budget = space.max_params or max(architecture.params for architecture in _sample(space, SAMPLED, 0))
    plain = plain_network(space.id, budget)
    known = known_networks(space.id, space.max_params) if by_hand else {}
    return Efforts(
        sample=(),
        winner=costs[int(_LARGE * (len(costs) - 1))],
        plain=0.0 if plain is None else _costs([plain])[0],
        known=_costs(list(known.values())),
        beside=_costs([network for key, network in known.items() if key in BESIDE]),
    )


def _besides(paths: Paths, space: ConfigSpace) -> int:
    """Return how many architectures are characterized besides the sample: those of rounds and the sentinel set."""
    from analognas.stages.rounds import read_rounds, read_sentinel

    try:
        rounds = {entry.architecture.id for added in read_rounds(paths, space) for entry in added.entries}
        return len(rounds | {architecture.id for architecture in read_sentinel(paths, space)})
    except AnalogNASError:  # of another space: the stages say so
        return 0


def size_of_images(folder: Path, looked_at: int = 300) -> Choice | None:
    """Return the size to which the images of a folder are resized, None if they stay as they are.

    Only headers are read, of some of the files: all mistakes are told when the dataset is loaded.
    """
    from analognas.datasets.image_folder import image_files
    from analognas.datasets.images import inspect

    sizes = set()
    try:
        files = image_files(folder)
        for path in files[:: max(1, len(files) // looked_at)]:
            sizes.add(inspect(path)[0])
    except DatasetError:
        return None
    if not sizes or (len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_SIZE):
        return None
    what = "they differ in size" if len(sizes) > 1 else "they are {}x{}".format(*next(iter(sizes)))
    return Choice("dataset.image_size", RESIZED, f"{what}; twice the size takes four times as long")


def _sample(
    space: ConfigSpace, size: int, seed: int, method: str = "latin_hypercube", spread: str = "genes"
) -> list[Architecture]:
    """Return so many architectures of a space, or all that it has."""
    try:
        return space.sample(size, seed=seed, method=method, spread=spread)
    except SpaceError:  # a space that holds fewer
        return list(space.enumerate())


def _costs(architectures: Sequence[Architecture]) -> tuple[float, ...]:
    from analognas.hardware.cost import effort

    return tuple(effort(architecture.structure) for architecture in architectures)


def _spread(space: ConfigSpace) -> list[Architecture]:
    """Return some architectures of a space, spread evenly over their efforts."""
    sample = _sample(space, SAMPLED, 0)
    order = [
        architecture for _, architecture in sorted(zip(_costs(sample), sample, strict=True), key=lambda pair: pair[0])
    ]
    return [order[place] for place in sorted({int((place + 0.5) * len(order) / _TIMED) for place in range(_TIMED)})]
