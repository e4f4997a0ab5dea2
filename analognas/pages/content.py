"""What the page shows, read from the files that the stages wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.columns import TEXT, WHOLE, Column, Table
from analognas.errors import AnalogNASError, CorruptFileError
from analognas.files import file_digest, read_parquet, read_sealed
from analognas.folders import read_folder
from analognas.hardware.tile_shape import TileShape
from analognas.report import Told, collect, column_of, told
from analognas.search_spaces.architecture import Architecture
from analognas.stages.protocols import STAGES
from analognas.versioning import git

if TYPE_CHECKING:
    import pandas as pd

    from analognas.report import OwnFigures, RunFigures
    from analognas.workspace import Paths

_REMEDY = "`analognas run` writes it"
_SHOWN_DIGITS = 12
#: The tables behind the plots of stages, as DVC draws them: text that anybody may edit. Accuracies in percent.
_PLOTTED = {
    "train": Table(
        "table of the drift",
        (
            Column("network", TEXT),
            Column("seconds", least=0.0),
            Column("accuracy", least=0.0, most=100.0),
            Column("std", least=0.0),
        ),
    ),
    "classes": Table(
        "table of classes",
        (
            Column("network", TEXT),
            Column("class", TEXT),
            Column("images", WHOLE, least=1),
            *(Column(name, least=0.0, most=100.0) for name in ("acc_1d", "acc_30d")),
        ),
    ),
    "fit": Table(
        "table of predictions",
        (
            Column("id", TEXT),
            Column("acc_1d_measured", least=0.0, most=100.0),
            *(Column(name) for name in ("acc_1d", "acc_1d_low", "acc_1d_high")),
        ),
    ),
    "search": Table(
        "table of a search",
        (Column("search", TEXT), Column("evaluation", WHOLE, least=1), Column("best", missing=True)),
    ),
}


@dataclass(frozen=True)
class DrawnLayer:
    """One analog layer of the winner and its tiles.

    Attributes:
        name: of the module.
        what: its kind and size in words.
        output: channels x height x width of what it gives.
        rows: inputs of its matrix.
        columns: outputs of its matrix.
        down: tiles that its rows are split over.
        across: tiles that its columns are split over.
        filled: share of the rows and of the columns of each of these tiles that holds weights, both in (0, 1].
    """

    name: str
    what: str
    output: str
    rows: int
    columns: int
    down: int
    across: int
    filled: tuple[float, float]

    @property
    def tiles(self) -> int:
        """How many tiles it occupies."""
        return self.down * self.across


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that is on the page. What shows the same is equal.

    Attributes:
        figures: what ``report.collect`` gives.
        told: the same as table and sentences.
        curves: accuracy over time of the networks that were trained at the end (``data/plots/train.csv``), and of the
            user's own ones.
        classes: accuracy on the test images of each class (``data/plots/classes.csv``), and of the user's own networks;
            empty if it was looked up.
        measured: what was characterized (``data/surrogate.parquet``).
        unseen: predictions out of fold and what was measured (``data/plots/fit.csv``).
        contributions: what features of architectures contribute to their predicted AVM, see ``stages.explaining``.
        progress: best objective by evaluations of each search (``data/plots/search.csv``).
        layers: of the winner, in the order of execution.
        origin: what everything was made from: name and value.
        seconds: how long each stage took here, of those that are known.
    """

    figures: RunFigures
    told: Told
    curves: pd.DataFrame
    classes: pd.DataFrame
    measured: pd.DataFrame
    unseen: pd.DataFrame
    contributions: pd.DataFrame
    progress: pd.DataFrame
    layers: tuple[DrawnLayer, ...]
    origin: tuple[tuple[str, str], ...]
    seconds: tuple[tuple[str, float], ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Content):
            return NotImplemented
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return all(left.equals(right) if hasattr(left, "equals") else left == right for left, right in pairs)

    def __hash__(self) -> int:
        return hash((self.told, self.origin))

    @property
    def subject(self) -> str:
        """Data, chip and budget, for the titles of figures."""
        hardware, budget = self.figures["hardware"], self.figures["budget"]
        parts = [self.figures["dataset"], *([hardware["rpu_config"]] if hardware else [])]
        return ", ".join([*parts, *([f"at most {budget:,} parameters"] if budget is not None else [])])


def read(paths: Paths) -> Content:
    """Return what the page of a finished run shows.

    Raises:
        CorruptFileError: if a stage has not run yet, or a file is damaged.
    """
    figures = collect(paths)
    tables = {name: _plotted(paths, name) for name in ("train", "classes", "fit", "search")}
    return Content(
        figures=figures,
        told=told(figures),
        curves=_with_own(tables["train"], figures["own"]),
        classes=_with_classes_of_own(tables["classes"], figures["own"]),
        measured=read_parquet(paths.surrogate, remedy=_REMEDY),
        unseen=tables["fit"],
        contributions=_contributions(paths),
        progress=tables["search"],
        layers=tuple(_layers(paths, figures)),
        origin=tuple(_origin(paths)),
        seconds=tuple(_seconds(paths)),
    )


def _plotted(paths: Paths, stage: str) -> pd.DataFrame:
    """Return the table behind the plot of a stage."""
    import pandas as pd

    from analognas.files import read_bytes

    path = paths.plot(f"{stage}.csv")
    # A class may be called 7, or NA: text is never read as something else.
    texts = [column.name for column in _PLOTTED[stage].columns if column.kind == TEXT]
    numbers = {column.name: [""] for column in _PLOTTED[stage].columns if column.kind != TEXT}
    try:
        table = pd.read_csv(
            BytesIO(read_bytes(path, remedy=_REMEDY)),
            dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=numbers,
        )  # fmt: skip
    except ValueError:
        raise CorruptFileError(f"{path} is damaged, or was not written by analognas: {_REMEDY}.") from None
    _PLOTTED[stage].check(table, str(path), remedy=_REMEDY, error=CorruptFileError)
    return table


def _with_own(curves: pd.DataFrame, own: list[OwnFigures]) -> pd.DataFrame:
    """Return the curves with those of the user's own networks behind them."""
    import pandas as pd

    points = [
        {
            "network": column_of(network).name,
            "seconds": point["seconds"],
            "accuracy": point["accuracy"],
            "std": point["std"],
        }
        for network in own
        for point in network["curve"]
    ]
    return pd.concat([curves, pd.DataFrame(points)], ignore_index=True) if points else curves


def _with_classes_of_own(classes: pd.DataFrame, own: list[OwnFigures]) -> pd.DataFrame:
    """Return the accuracies by class with those of the user's own networks behind them."""
    import pandas as pd

    rows = [{"network": column_of(network).name, **row} for network in own for row in network["classes"]]
    return pd.concat([classes, pd.DataFrame(rows)], ignore_index=True) if rows else classes


def _contributions(paths: Paths) -> pd.DataFrame:
    from analognas.params import Params
    from analognas.stages.explaining import of_sample

    return of_sample(Params.load(paths.params), paths, "avm")


def _layers(paths: Paths, figures: RunFigures) -> Iterator[DrawnLayer]:
    """Yield the winner's layers; none where the space it is of is not installed here."""
    _, files = read_folder(paths.winner, "winner.json", remedy=_REMEDY)
    try:
        structure = Architecture.from_dict(json.loads(files["architecture.json"])).structure
    except AnalogNASError:
        return
    shape = TileShape.of(figures["hardware"]["tile_size"] if figures["hardware"] else (0, 0))
    for layer in structure.layers:
        down, across = shape.parts(layer.rows, layer.columns)
        kernel = f"{layer.kernel_size}x{layer.kernel_size} convolution" if layer.kind == "conv" else "linear layer"
        stride = f", stride {layer.stride}" if layer.stride > 1 else ""
        yield DrawnLayer(
            name=layer.name,
            what=f"{kernel}{stride}, {layer.in_channels} to {layer.out_channels} channels",
            output=f"{layer.out_channels} x {layer.out_height} x {layer.out_width}",
            rows=layer.rows,
            columns=layer.columns,
            down=down,
            across=across,
            filled=(
                layer.rows / down / (shape.rows or layer.rows),
                layer.columns / across / (shape.columns or layer.columns),
            ),
        )


def _origin(paths: Paths) -> Iterator[tuple[str, str]]:
    dataset = read_sealed(paths.dataset, remedy=_REMEDY)
    environment = read_sealed(paths.environment, remedy=_REMEDY)
    yield "data", f"{dataset['name']}, digest {_short(dataset['digest'])}, split {_short(dataset['split_digest'])}"
    yield "licence of the data", str(dataset.get("licence", "not recorded"))
    rounds = [path.stem for number, path in paths.round_files().items() if number]
    yield "table of characterizations", f"{_of(paths.surrogate)}, rounds: {', '.join(rounds) or 'none'}"
    yield "evaluator", _of(paths.evaluator)
    yield "winner", _of(paths.winner)
    commit = git.commit_of(paths.root)
    if commit is not None:
        yield "commit", commit.sha + (" and changes that are not committed" if commit.dirty else "")
    versions = [f"{name} {environment[name]}" for name in ("torch", "aihwkit", "xgboost") if name in environment]
    yield "made with", ", ".join(versions)


def _seconds(paths: Paths) -> Iterator[tuple[str, float]]:
    file = paths.data / "timings.json"
    try:
        timings = read_sealed(file, remedy=_REMEDY)
    except CorruptFileError:  # of another machine: only here it is known how long they took
        return
    yield from ((stage, float(timings[stage]["seconds"])) for stage in STAGES if stage in timings)


def _of(path: Path) -> str:
    return f"{path.name} {_short(file_digest(path))}"


def _short(value: Any) -> str:
    return str(value)[:_SHOWN_DIGITS]
