"""What is said of the figures of a run: a table of networks side by side, and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from analognas.errors import CorruptFileError
from analognas.hardware.chips import GIVEN
from analognas.hardware.tile_shape import TileShape
from analognas.report.figures import REMEDY

if TYPE_CHECKING:
    from analognas.hardware.params import ToldHardware
    from analognas.report.figures import OwnFigures, RunCosts, RunFigures
    from analognas.stages.summaries import Difference
    from analognas.training.columns import NetworkFigures

#: Relative difference in parameters up to which two networks are of one size.
_SAME_SIZE = 0.1
_FURTHER = "What helps: `analognas search --true-evaluations 16`, or a larger sample.size and `analognas run`."
#: Costs that are told, what they are called, in which unit of theirs, and how.
_COSTS = (
    ("utilisation", "of their weights in use, %", 100, "{:.1f}"),
    ("latency_us", "latency, us", 1, "{:,.4g}"),
    ("energy_uj", "energy, uJ", 1, "{:,.4g}"),
)
_TIMES = (("1s", "1 s"), ("1h", "1 h"), ("1d", "1 day"), ("30d", "1 month"))


@dataclass(frozen=True)
class Told:
    """What a report says, before it is laid out: a table with a heading for each column, and sentences."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]


def told(figures: RunFigures) -> Told:
    """Return what a report says of the figures that ``collect`` gives.

    Raises:
        CorruptFileError: if they are no figures of a run, or of another version's.
    """
    try:
        return _told(figures)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptFileError(f"The figures in data/metrics are of another version, or damaged: {REMEDY}.") from None


def _told(figures: RunFigures) -> Told:
    winner, baseline, own = figures["winner"], figures["baseline"], figures.get("own", [])
    costs = figures.get("cost") or {}
    columns = [Column("winner", winner, costs.get("winner"))]
    if baseline:
        columns.append(Column("plain residual network", baseline, costs.get("baseline")))
    columns += [Column(known["name"], known["figures"], known["cost"]) for known in figures.get("known", [])]
    columns += [column_of(network) for network in own]
    what = "test accuracy" if "avm_std" in winner else "published accuracy"
    return beside(f"{figures['dataset']}: {what} while the chip drifts", columns, _sentences(figures))


@dataclass(frozen=True)
class Column:
    """A network as the table of a report has it: name, figures and what an inference costs, if that is known."""

    name: str
    figures: NetworkFigures
    cost: Mapping[str, float] | None


def column_of(own: OwnFigures) -> Column:
    """Return the column of a network of the user's own, of what ``own_figures`` gives."""
    return Column(f"{own['name']} (yours)", own["figures"], own["cost"])


def beside(title: str, columns: Sequence[Column], lines: Iterable[str]) -> Told:
    """Return networks side by side; which rows there are says the first one."""
    first = columns[0]
    rows: list[tuple[str, ...]] = []

    def row(name: str, text: Callable[[NetworkFigures], str]) -> None:
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


def _with_spread(name: str, network: Mapping[str, object]) -> str:
    return f"{network[name]:.2f} ± {network[f'{name}_std']:.2f}"


def _sentences(figures: RunFigures) -> Iterator[str]:
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
    for known in figures.get("known", []):
        for key, name in (("acc_1d", "1 day"), ("acc_30d", "1 month")):
            yield f"Winner minus {known['name']}, accuracy after {name}: {_interval(known['difference'][key])}"
    yield from _helped(chain(_compared(figures), _by_hand(figures), _limits(figures), _ranking(figures)))
    tau = figures["evaluator"]["targets"]["acc_1d"]["kendall_tau"]
    if tau["value"] is not None:
        interval = f"95 % interval {tau['low']:.2f} to {tau['high']:.2f}"
        yield (
            f"Evaluator, out of fold: Kendall tau of 1-day accuracy {tau['value']:.2f} "
            f"({interval}, {figures['evaluator']['architectures']} architectures)"
        )
    prior = figures["evaluator"].get("prior")
    if prior is not None:
        yield (
            f"It starts from an evaluator of {prior['architectures']} architectures on {prior['hardware'] or '?'} "
            f"({prior['dataset'] or 'unknown data'}, protocol {prior['protocol'] or '?'})"
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
    data = figures.get("data")
    if data and "reading" in data:  # of the user's own files
        yield "Data:"
        yield from (f"  {line}" for line in of_data(data))
    if figures["changed"]:
        verb = "has" if len(figures["changed"]) == 1 else "have"
        yield f"These figures are older: {', '.join(figures['changed'])} {verb} changed since; `analognas run`."


def of_own(own: OwnFigures) -> Iterator[str]:
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


def _of_cost(costs: RunCosts) -> Iterator[str]:
    """Yield whose latency and energy are told, and what must be known of them."""
    if "problem" in costs:
        yield f"Latency and energy cannot be told: {costs['problem']}"
    if "chip" in costs:
        chip, winner = costs["chip"], costs["winner"]
        yield (
            f"Latency and energy of an inference are those of the tiles of {chip['name']} "
            f"({chip['note'] or chip['source']}); pipelined, there is an answer every {winner['interval_us']:,.4g} us"
        )
        given = [constant for constant in chip["constants"] if constant["source"].endswith(GIVEN)]
        if given:
            named = (f"{constant['name']} {constant['value']:,.6g} {constant['unit']}".rstrip() for constant in given)
            yield f"Constants of {chip['name']} that are {GIVEN}: {', '.join(named)}"
        if chip["tiles"] and winner["tiles"] > chip["tiles"]:
            yield f"{chip['name']} has {chip['tiles']} tiles: the winner needs more than one such chip."


def _compared(figures: RunFigures) -> Iterator[str]:
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


def _by_hand(figures: RunFigures) -> Iterator[str]:
    """Yield which networks that people take by hand are better than the winner."""
    for known in figures.get("known", []):
        if known["difference"]["acc_1d"]["high"] < 0:
            yield f"{known['name']} is the better one: take it, or look further. {_FURTHER}"


def _limits(figures: RunFigures) -> Iterator[str]:
    """Yield whether each limit of the search holds, as measured on test images, and what helps if it does not."""
    from analognas.search_algorithms.verdicts import HELD, from_described, overall

    verdicts = from_described(figures["limits"])
    for verdict in verdicts:
        yield f"Limit {verdict}"
    if overall(verdicts) != HELD:
        yield f"A limit that is not held asks for more than was found. {_FURTHER}"


def _ranking(figures: RunFigures) -> Iterator[str]:
    """Yield what must be said of an evaluator that does not rank."""
    tau = figures["evaluator"]["targets"]["acc_1d"]["kendall_tau"]
    if tau["value"] is None or tau["low"] is None or tau["low"] <= 0:
        yield f"The evaluator is not shown to rank better than chance: the winner is mostly a guess. {_FURTHER}"


def _chip(hardware: ToldHardware) -> str:
    """Return preset, tile size and what is not the preset's."""
    usual = ("rpu_config", "tile_size", "layers")
    replaced = [f"{name} {value}" for name, value in hardware.items() if name not in usual]
    return ", ".join([hardware["rpu_config"], f"tiles of {TileShape.of(hardware['tile_size'])}", *replaced])


def _interval(difference: Difference) -> str:
    """Return a difference in points; one whose interval holds zero is called what it is."""
    text = f"{difference['value']:+.2f} points (95 % interval {difference['low']:+.2f} to {difference['high']:+.2f})"
    return text + (", inconclusive" if difference["low"] <= 0 <= difference["high"] else "")
