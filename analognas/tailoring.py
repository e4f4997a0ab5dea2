"""A workspace fitted to the user's data and machine: a protocol that suits both, each choice with its reason.

The data are looked at, a few small characterizations are timed, and the best protocol whose whole run fits the given
time is written into ``params.yaml``, where every value can be edited afterwards (see ``fitted``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analognas._yaml import scalar
from analognas.fitted import Choice, Record, default, read_record, with_values, write, written_by_user
from analognas.protocol_choice import SAMPLED, TEMPLATES, Profile, Tailored, by_key, choose, of_the_data

if TYPE_CHECKING:
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.workspace import Paths

#: Hours that a run may take if nobody says it.
HOURS = 2.0
#: Images that are larger, in pixels, or differ in size, are resized to this edge length.
LARGEST_SIZE, RESIZED = 64, 32
#: Architectures that are timed.
_TIMED = 5
#: Why a value is the default again.
_DEFAULT = "the default, which does for these data"


def wanted(assignments: Sequence[str]) -> bool:
    """Return whether the data are others than those that the template's protocol was made for."""
    return _values(assignments).get("dataset.name", TEMPLATES) != TEMPLATES


def hours_again(paths: Paths, assignments: Sequence[str]) -> float | None:
    """Return the hours to which a workspace is fitted anew because it is given other data, None if it is not.

    Only a workspace that was fitted before is: the protocol of the others is nobody's but the user's.
    """
    from analognas.params import Params

    record = read_record(paths.params)
    now = Params.load(paths.params).values("dataset")
    given = {key.partition(".")[2]: value for key, value in _values(assignments).items() if key.startswith("dataset.")}
    other = {name for name, value in given.items() if name != "augment" and now.get(name) != scalar(value)}
    return record.hours if record is not None and other else None


def _values(assignments: Sequence[str]) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (one.partition("=") for one in assignments)}


def prepare_tailored(
    paths: Paths,
    assignments: Sequence[str],
    hours: float,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    held: bool = False,
) -> Tailored | None:
    """Make a workspace ready to run, as ``environment.prepare`` does, with a protocol fitted to data and machine.

    Args:
        paths: the workspace.
        assignments: ``section.key=value`` that the user has set: they stay.
        hours: that a run may take.
        progress: told what is going on.
        held: as for ``environment.prepare``.

    Returns:
        What was written, or None if there is nothing to train on (results that are only looked up).

    Raises:
        InputError: if parameters, dataset or space are not valid; nothing is written then.
        WorkspaceError: if another run works in the workspace.
    """
    from analognas.environment import prepare
    from analognas.params import Params

    given = _values(assignments)
    params, record = Params.load(paths.params), read_record(paths.params)
    yours = {*given, *written_by_user(paths.params, record)}
    dataset = params.dataset
    name, path = given.get("dataset.name", dataset.name), given.get("dataset.path", dataset.path)
    chosen = []
    if "dataset.image_size" not in yours:
        size = size_of_images(paths.root / Path(path).expanduser()) if name == "image-folder" and path else None
        # What an earlier fit chose for other images must not be in the way of reading these.
        chosen = [size or Choice("dataset.image_size", None, _DEFAULT)] if size or dataset.image_size else []
    known = [f"{one.key}={'null' if one.value is None else one.value}" for one in chosen]
    if "dataset.per_class" not in yours and dataset.per_class is not None:  # nor what it left out of them
        known.append("dataset.per_class=null")
    prepare(paths, [*assignments, *known], progress, held=held)
    return _tailor(paths, hours, yours, chosen, record, progress, held)


def _tailor(
    paths: Paths,
    hours: float,
    yours: Set[str],
    before: Sequence[Choice],
    record: Record | None,
    progress: Callable[[float, float, str], None] | None,
    held: bool,
) -> Tailored | None:
    from analognas.environment import load_dataset, prepare
    from analognas.params import Params
    from analognas.stages._inputs import space_of
    from analognas.training import probe
    from analognas.workers import workers
    from analognas.workspace import alone

    params = Params.load(paths.params)
    dataset = load_dataset(params, paths)
    if not len(dataset.train) or params.characterize.source != "training":
        return None
    profile = Profile.of(dataset)
    # What an earlier fit chose, and nobody has edited since, is as if it had never been chosen.
    stale = {} if record is None else {key: default(key) for key in record.values if key not in yours}
    params = with_values(params, {**stale, **by_key(before)})
    of_data = by_key(one for one in of_the_data(profile, params.dataset.name) if one.key not in yours)
    params = with_values(params, of_data)
    described = {"name": dataset.name, "input_shape": dataset.input_shape, "classes": dataset.classes}
    efforts, spread = _efforts(space_of(params, described))
    if progress is not None:
        progress(0, 1, "timing a few small characterizations")
    speed = probe.measure(spread, dataset, params)
    if progress is not None:
        progress(1, 1, "timed a few small characterizations")
    side_by_side = 1 if params.run.runner == "serial" else workers(params.run.workers)
    done = choose(profile, before, params, speed, efforts, side_by_side, hours, yours)
    if done.per_class is not None:
        params = prepare(paths, [f"dataset.per_class={done.per_class}"], progress, held=held)
        done = replace(done, profile=Profile.of(load_dataset(params, paths)))
    chosen = {one.key for one in done.choices}
    back = [Choice(key, value, _DEFAULT) for key, value in stale.items() if key not in chosen]
    earlier = set() if record is None else set(record.kept)
    with nullcontext() if held else alone(paths):  # a run that began meanwhile keeps its parameters
        write(paths.params, [*done.choices, *back], done.lines(), hours, {*done.kept, *(yours & earlier)})
    return done


def size_of_images(folder: Path, looked_at: int = 300) -> Choice | None:
    """Return the size to which the images of a folder are resized, None if they stay as they are.

    Only headers are read, of some of the files: all other mistakes are told when the dataset is loaded.
    """
    from analognas.datasets.images import EXTENSIONS, inspect
    from analognas.errors import DatasetError

    sizes = set()
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in EXTENSIONS]
    for path in files[:: max(1, len(files) // looked_at)]:
        try:
            sizes.add(inspect(path)[0])
        except DatasetError:
            return None
    if not sizes or (len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_SIZE):
        return None
    what = "they differ in size" if len(sizes) > 1 else "they are {}x{}".format(*next(iter(sizes)))
    return Choice("dataset.image_size", RESIZED, f"{what}; twice the size takes four times as long")


def _efforts(space: ConfigSpace) -> tuple[list[float], list[Architecture]]:
    """Return the efforts of some architectures of a space, sorted, and some that are spread evenly over them."""
    from analognas.errors import SpaceError
    from analognas.hardware.cost import effort

    try:
        sample = space.sample(SAMPLED, seed=0)
    except SpaceError:  # a space that holds fewer
        sample = list(space.enumerate())
    sample.sort(key=lambda one: effort(one.structure))
    places = sorted({int((place + 0.5) * len(sample) / _TIMED) for place in range(_TIMED)})
    return [effort(one.structure) for one in sample], [sample[place] for place in places]
