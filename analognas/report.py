"""What a finished pipeline found: read from the files that the stages wrote, laid out for a terminal or a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError, InputError
from analognas.files import read_sealed
from analognas.folders import read_folder
from analognas.hardware.tile_shape import TileShape
from analognas.redaction import redact

if TYPE_CHECKING:
    from rich.console import RenderableType

    from analognas.training.measured import Stored
    from analognas.workspace import Paths

_REMEDY = "`analognas run` writes it"
#: Relative difference in parameters up to which two networks are of one size.
_SAME_SIZE = 0.1
_FURTHER = "What helps: `analognas search --true-evaluations 16`, or a larger sample.size and `analognas run`."
#: Costs that are told, what they are called, in which unit of theirs, and how.
_COSTS = (
    ("utilisation", "of their weights in use, %", 100, "{:.1f}"),
    ("latency_us", "latency, us", 1, "{:,.4g}"),
    ("energy_uj", "energy, uJ", 1, "{:,.4g}"),
)
#: Networks in one table of a terminal.
_BESIDE = 3
_TIMES = (("1s", "1 s"), ("1h", "1 h"), ("1d", "1 day"), ("30d", "1 month"))


def collect(paths: Paths) -> dict[str, Any]:
    """Return the figures of the last run.

    Returns:
        ``winner`` and ``baseline`` (test accuracies in percent, tiles, parameters), ``difference`` of the two,
        ``limits`` (``held``, ``not shown`` or ``broken``, with the figures), ``evaluator`` (out-of-fold metrics),
        ``dataset``, ``data`` (what ``datasets check`` says of it, ``None`` before it was recorded), ``hardware``,
        ``cost`` (of an inference of each network on the chip of ``cost``, see ``hardware.cost``; with ``chip``, or
        ``problem`` if there is no such chip),
        ``own`` (networks of the user's own that were measured as the winner was, with name, cost and notes), ``notes``
        (what a reader must know), ``use`` (how to use the winner, ``None`` if it was looked up and has no
        weights), ``changed`` (parameters that have other values now than the figures were made with).

    Raises:
        CorruptFileError: if a stage has not run yet.
    """
    train = read_sealed(paths.metrics("train"), remedy=_REMEDY)
    fit = read_sealed(paths.metrics("fit"), remedy=_REMEDY)
    manifest, files = read_folder(paths.winner, "winner.json", remedy=_REMEDY)
    dataset = read_sealed(paths.dataset, remedy=_REMEDY)
    try:
        architecture = json.loads(files["architecture.json"])
        figures = _collected(architecture, dataset, train, fit)
        figures |= {"cost": _costs(architecture, figures, paths), "use": _use(files)}
        figures["own"], damaged = _own(paths, manifest, files)
        figures["notes"] = [*figures["notes"], *damaged]
        return figures | {"changed": _changed(paths)}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptFileError(f"{paths.data} holds files of something else than a run: {_REMEDY}.") from None


def _collected(
    architecture: dict[str, Any], dataset: dict[str, Any], train: dict[str, Any], fit: dict[str, Any]
) -> dict[str, Any]:
    return {
        "winner": {"genes": architecture["genes"], "id": architecture["id"], **train["winner"]},
        "baseline": train.get("baseline"),
        "difference": train.get("difference", {}),
        "limits": train.get("limits", {}),
        "evaluator": fit,
        "notes": train["notes"],
        "dataset": dataset["name"],
        "data": dataset.get("looked"),
        "hardware": train.get("hardware"),
    }


def _use(files: Mapping[str, bytes]) -> str | None:
    """Return how a winner with these files is used, None if it has no weights."""
    if "preprocessing.json" not in files:
        return None
    if json.loads(files["preprocessing.json"])["files"] is None:
        return 'load_winner("data/winner").predict(ARRAY) in Python'
    return "analognas predict FILE... --after 30d"


def _costs(described: dict[str, Any], figures: dict[str, Any], paths: Paths) -> dict[str, Any] | None:
    """Return what an inference costs on the chip that the parameters name now: it follows from the architecture."""
    from analognas.hardware.cost import cost
    from analognas.params import HardwareParams, Params
    from analognas.search_spaces import Architecture
    from analognas.search_spaces.baseline import plain_network

    if not figures["hardware"]:  # of an earlier version, which did not say on which tiles
        return None
    try:
        hardware = HardwareParams.model_validate(figures["hardware"])
        chip = Params.load(paths.params).cost.of(hardware)
        winner = Architecture.from_dict(described)
        told: dict[str, Any] = {"chip": chip.to_dict(), "winner": cost(winner, chip)}
    except InputError as error:  # parameters that were changed since, or a space that is not installed here
        return {"problem": str(error)}
    plain = plain_network(winner.space, winner.params)
    if figures["baseline"] and plain is not None and plain.id == figures["baseline"].get("id"):
        told["baseline"] = cost(plain, chip)
    return told


def _own(paths: Paths, winner: dict[str, Any], files: Mapping[str, bytes]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the user's own networks that may stand beside a winner, and what is wrong with others."""
    from analognas.training.measured import all_measured

    if "hardware.json" not in files:  # looked up: nothing was measured here
        return [], []
    chip = json.loads(files["hardware.json"])
    whole, damaged = all_measured(paths.measured)
    return [own_figures(paths, stored) for stored in whole if stored.is_of(winner, chip)], damaged


def own_figures(paths: Paths, stored: Stored) -> dict[str, Any]:
    """Return the figures of a network of the user's own as ``collect`` gives them."""
    from analognas.hardware.cost import cost
    from analognas.hardware.recorded import spec_of
    from analognas.params import Params

    told: dict[str, Any] = {
        "name": stored.name, "figures": stored.figures, "notes": stored.notes, "sensitivity": stored.sensitivity,
        "curve": stored.curve, "cost": None,
    }  # fmt: skip
    with suppress(InputError):  # there is no such chip: that is said of the winner
        told["cost"] = cost(stored.structure, Params.load(paths.params).cost.of(spec_of(stored.hardware)))
    return told


def _changed(paths: Paths) -> list[str]:
    """Return the parameters whose values are others now than DVC has recorded of the stages; [] without DVC."""
    from analognas.params import Params
    from analognas.stages.protocols import RECORD, STAGES
    from analognas.versioning import Versioning

    versioning = Versioning.find(paths.root)
    if versioning is None:
        return []
    now = Params.load(paths.params).model_dump(mode="json")
    differing: dict[str, None] = {}  # a set in order
    for stage in (RECORD, *STAGES):
        then: dict[str, Any] = {}
        compared: list[tuple[str, str]] = []
        for name, value in (versioning.stage_params(stage) or {}).items():
            section, _, key = name.partition(".")
            if section not in now or (section == "dataset" and stage != RECORD):
                continue  # there `dataset.` is what data/dataset.json recorded
            if key:
                then.setdefault(section, {})[key] = value
            else:
                then[section] = value  # of `hardware` that may be a plain name
            compared += [(section, parameter) for parameter in ([key] if key else now[section])]
        try:
            before = Params.model_validate(then).model_dump(mode="json")
        except ValueError:  # recorded by a version with other parameters
            differing.update(dict.fromkeys(then))
            continue
        changed = [f"{section}.{key}" for section, key in compared if before[section][key] != now[section][key]]
        differing.update(dict.fromkeys(changed))
    return list(differing)


@dataclass(frozen=True)
class Told:
    """What a report says, before it is laid out: a table with a heading for each column, and sentences."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]


def render(figures: dict[str, Any]) -> RenderableType:
    """Return the figures as a table for a terminal; raises what ``told`` raises."""
    return laid_out(told(figures))


def laid_out(report: Told) -> RenderableType:
    """Return a report as tables of a few networks each, and lines, for a terminal of 80 columns."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    tables: list[Table] = []
    for first in range(1, len(report.columns), _BESIDE):
        shown = slice(first, first + _BESIDE)
        table = Table(title=None if tables else report.title, title_justify="left")
        table.add_column(report.columns[0])
        for column in report.columns[shown]:
            table.add_column(column, justify="right")
        for row in report.rows:
            table.add_row(row[0], *row[shown])
        tables.append(table)
    return Group(*tables, *map(Text, report.lines))


def markdown(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown: a table, and a list of what must be known of it."""
    report = told(figures)
    lines = [f"## {report.title}", "", _row(report.columns), _row(["---", *["---:"] * (len(report.columns) - 1)])]
    use = [f"The winner is in `data/winner` (`card.md` there): `{figures['use']}`"] if figures.get("use") else []
    return "\n".join([*lines, *map(_row, report.rows), "", *(f"- {line}" for line in (*report.lines, *use)), ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def told(figures: dict[str, Any]) -> Told:
    """Return what a report says of the figures that ``collect`` gives.

    Raises:
        CorruptFileError: if they are no figures of a run, or of another version's.
    """
    try:
        return _told(figures)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptFileError(f"The figures in data/metrics are of another version, or damaged: {_REMEDY}.") from None


def _told(figures: dict[str, Any]) -> Told:
    winner, baseline, own = figures["winner"], figures["baseline"], figures.get("own", [])
    costs = figures.get("cost") or {}
    columns = [Column("winner", winner, costs.get("winner"))]
    if baseline:
        columns.append(Column("plain residual network", baseline, costs.get("baseline")))
    columns += [column_of(network) for network in own]
    what = "test accuracy" if "avm_std" in winner else "published accuracy"
    return beside(f"{figures['dataset']}: {what} while the chip drifts", columns, _sentences(figures))


@dataclass(frozen=True)
class Column:
    """A network as the table of a report has it: name, figures and what an inference costs, if that is known."""

    name: str
    figures: Mapping[str, Any]
    cost: Mapping[str, float] | None


def column_of(own: Mapping[str, Any]) -> Column:
    """Return the column of a network of the user's own, of what ``own_figures`` gives."""
    return Column(f"{own['name']} (yours)", own["figures"], own["cost"])


def beside(title: str, columns: Sequence[Column], lines: Iterable[str]) -> Told:
    """Return networks side by side; which rows there are says the first one."""
    first = columns[0]
    rows: list[tuple[str, ...]] = []

    def row(name: str, text: Callable[[Mapping[str, Any]], str]) -> None:
        rows.append((name, *(text(column.figures) for column in columns)))

    row("parameters", lambda network: f"{network['params']:,}")
    row("tiles", lambda network: f"{network['tiles']}")
    if first.cost:
        for key, name, unit, form in _COSTS:
            rows.append((name, *(form.format(unit * column.cost[key]) if column.cost else "" for column in columns)))
    row("digital, %", lambda network: f"{network['acc_digital']:.2f}")
    for label, name in _TIMES:
        if f"acc_{label}" not in first.figures:  # looked up: the table has no such time
            continue
        row(f"after {name}, %", partial(_with_spread, f"acc_{label}"))
    if "avm_std" in first.figures:
        row("AVM (1 s to 1 month), points", partial(_with_spread, "avm"))
    else:
        row("AVM (60 s to 1 month), points", lambda network: f"{network['avm']:.2f}")
    return Told(title, ("", *(column.name for column in columns)), tuple(rows), tuple(lines))


def _with_spread(name: str, network: Mapping[str, Any]) -> str:
    return f"{network[name]:.2f} ± {network[f'{name}_std']:.2f}"


def _sentences(figures: dict[str, Any]) -> Iterator[str]:
    """Yield what a reader must know beside the table."""
    from analognas.datasets.looking import of_data

    winner = figures["winner"]
    if figures["hardware"]:  # figures of an earlier version lack it
        yield f"Chip {_chip(figures['hardware'])}"
    yield from _of_cost(figures.get("cost") or {})
    genes = ", ".join(f"{name} {value}" for name, value in winner["genes"].items())
    yield f"Winner {winner['id']}: {genes}"
    for key, name in (("acc_1d", "accuracy after 1 day"), ("avm", "AVM")):
        if key in figures["difference"]:
            yield f"Winner minus plain network, {name}: {_interval(figures['difference'][key])}"
    yield from _helped(chain(_compared(figures), _limits(figures), _ranking(figures)))
    tau = figures["evaluator"]["targets"]["acc_1d"]["kendall_tau"]
    if tau["value"] is not None:
        interval = f"95 % interval {tau['low']:.2f} to {tau['high']:.2f}"
        yield (
            f"Evaluator, out of fold: Kendall tau of 1-day accuracy {tau['value']:.2f} "
            f"({interval}, {figures['evaluator']['architectures']} architectures)"
        )
    ceiling = figures["evaluator"].get("ceiling", {}).get("acc_1d", {"value": None})
    if ceiling["value"] is not None:
        yield (
            f"The luck of a training allows a tau of {ceiling['value']:.2f} (95 % interval {ceiling['low']:.2f} to "
            f"{ceiling['high']:.2f}, from {ceiling['pairs']} architectures that were characterized twice)"
        )
    yield from figures["notes"]
    for network in figures.get("own", []):
        yield from (f"{network['name']}: {sentence}" for sentence in of_own(network))
    if "reading" in (figures.get("data") or {}):  # of the user's own files
        yield "Data:"
        yield from (f"  {line}" for line in of_data(figures["data"]))
    if figures["changed"]:
        verb = "has" if len(figures["changed"]) == 1 else "have"
        yield f"These figures are older: {', '.join(figures['changed'])} {verb} changed since; `analognas run`."


def of_own(own: Mapping[str, Any]) -> Iterator[str]:
    """Yield what becomes of a network of the user's own on tiles, and which of its layers lose accuracy."""
    from analognas.training.measured import most_sensitive

    yield from own["notes"]
    if own["sensitivity"]:
        yield most_sensitive(own["sensitivity"])


def _helped(sentences: Iterable[str]) -> Iterator[str]:
    """Yield sentences; what helps against several of them is said with the first."""
    said = False
    for sentence in sentences:
        yield sentence.removesuffix(f" {_FURTHER}") if said else sentence
        said = said or sentence.endswith(_FURTHER)


def _of_cost(costs: dict[str, Any]) -> Iterator[str]:
    """Yield whose latency and energy are told, and what must be known of them."""
    if "problem" in costs:
        yield f"Latency and energy cannot be told: {costs['problem']}"
    if "chip" in costs:
        chip, winner = costs["chip"], costs["winner"]
        yield (
            f"Latency and energy of an inference are those of the tiles of {chip['name']} "
            f"({chip['note'] or chip['source']}); pipelined, there is an answer every {winner['interval_us']:,.4g} us"
        )
        if chip["tiles"] and winner["tiles"] > chip["tiles"]:
            yield f"{chip['name']} has {chip['tiles']} tiles: the winner needs more than one such chip."


def _compared(figures: dict[str, Any]) -> Iterator[str]:
    """Yield what must be said of the comparison with the plain network."""
    winner, plain = figures["winner"], figures["baseline"]
    if not plain:
        return
    larger = plain["params"] / winner["params"] - 1
    if abs(larger) > _SAME_SIZE:
        yield (
            f"The plain network has {abs(larger):.0%} {'more' if larger > 0 else 'fewer'} parameters than the winner: "
            "the space has none of its size."
        )
    difference = figures["difference"].get("acc_1d")
    if difference and difference["high"] < 0:
        yield f"The plain network is the better one: take it, or look further. {_FURTHER}"
    elif difference and difference["low"] <= 0:
        yield f"The winner is not shown to be better than the plain network after a day. {_FURTHER}"


def _limits(figures: dict[str, Any]) -> Iterator[str]:
    """Yield whether each limit of the search holds, as measured on test images, and what helps if it does not."""
    from analognas.search_algorithms.verdicts import HELD, from_described, overall

    verdicts = from_described(figures["limits"])
    for verdict in verdicts:
        yield f"Limit {verdict}"
    if overall(verdicts) != HELD:
        yield f"A limit that is not held asks for more than was found. {_FURTHER}"


def _ranking(figures: dict[str, Any]) -> Iterator[str]:
    """Yield what must be said of an evaluator that does not rank."""
    tau = figures["evaluator"]["targets"]["acc_1d"]["kendall_tau"]
    if tau["value"] is None or tau["low"] is None or tau["low"] <= 0:
        yield f"The evaluator is not shown to rank better than chance: the winner is mostly a guess. {_FURTHER}"


def _chip(hardware: dict[str, Any]) -> str:
    """Return preset, tile size and what is not the preset's."""
    usual = ("rpu_config", "tile_size", "layers")
    replaced = [f"{name} {value}" for name, value in hardware.items() if name not in usual]
    return ", ".join([hardware["rpu_config"], f"tiles of {TileShape.of(hardware['tile_size'])}", *replaced])


def _interval(difference: dict[str, float]) -> str:
    """Return a difference in points; one whose interval holds zero is called what it is."""
    text = f"{difference['value']:+.2f} points (95 % interval {difference['low']:+.2f} to {difference['high']:+.2f})"
    return text + (", inconclusive" if difference["low"] <= 0 <= difference["high"] else "")


def where_to_look(
    paths: Paths, page: str | None = None, tracked: str | None = None, use: str | None = None
) -> list[str]:
    """Return lines: the report as a page if it is there, plots, MLflow, Prefect, and the winner if there is one.

    Args:
        paths: the workspace.
        page: address of the page in Prefect of the run that has ended.
        tracked: where MLflow's pages show that run, below their address.
        use: what ``collect`` says of how the winner is used; None: there is nothing to use.
    """
    import os

    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    interface = os.environ.get("PREFECT_API_URL")
    served = redact(tracking or "").rstrip("/")
    shown = f"/#/{tracked}" if tracked else ""
    if served.startswith("http"):
        mlflow = served + shown
    else:
        command = f"mlflow ui --backend-store-uri {served or 'sqlite:///mlflow.db'}"
        mlflow = f"{command}   then http://127.0.0.1:5000{shown}"
    # The interface is where the API is, one level up.
    prefect = (
        redact(page or (interface or "").rstrip("/").removesuffix("/api"))
        or "prefect server start   then http://127.0.0.1:4200"
    )
    return [
        *([f"Report    {paths.page}"] if paths.page.is_file() else []),
        f"Plots     {paths.plot('train.png').parent}",
        f"MLflow    {mlflow}",
        f"Prefect   {prefect}",
        *([f"Winner    {paths.winner}   (card.md tells what it is)   {use}"] if use else []),
    ]
