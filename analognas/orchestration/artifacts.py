"""What Prefect's interface shows of a run: the characterized architectures, the drift, and what came of them.

While architectures are characterized, two artifacts are updated in place; the others are made from the files that the
stages wrote. That the server refuses one is no reason to fail.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASError
from analognas.orchestration.prefect_inside import update_artifact
from analognas.training.columns import time_name

if TYPE_CHECKING:
    from uuid import UUID

    import pandas as pd

    from analognas.retraining.records import AskedFigures, RetrainingSummary
    from analognas.rows import ResultRow
    from analognas.workspace import Paths

#: A longer table is no longer looked at, and Prefect keeps every version of it.
_MOST_ROWS = 200
#: Columns of results, and what people read instead: figures with their units.
_COLUMNS = {
    "id": "architecture", "status": "status", "params": "parameters", "tiles": "tiles", "acc_digital": "digital, %",
    "acc_1d": "after 1 day, %", "acc_1d_std": "± over programmings, points", "avm": "AVM, points", "genes": "genes",
}  # fmt: skip
#: What an inference costs, beside them in the whole table.
_COSTS = {"latency_us": "latency, us", "energy_uj": "energy, uJ"}
_RESULTS = "characterized"
# Every update is an event that Prefect's server keeps for a week.
_PROGRESS_SECONDS, _TABLE_SECONDS, _SECONDS_AFTER_FAILURE = 2.0, 10.0, 60.0
#: Widest drift plot in pixels: the image is part of the artifact, which is no place for a large one.
_PLOT_WIDTH = 900


class Characterizing:
    """Shows characterizations while they are going on: how many are done, and a table of the results so far.

    Make it within a flow run; calls must not overlap.

    Args:
        total: how many there are.
    """

    def __init__(self, total: int) -> None:
        from prefect.artifacts import create_progress_artifact, create_table_artifact

        self._total = total
        self._rows: list[dict[str, Any]] = []
        text = f"{total} architectures to characterize"
        self._progress = _Updated(
            _PROGRESS_SECONDS, lambda: create_progress_artifact(0.0, key="characterize-progress", description=text)
        )
        self._table = _Updated(_TABLE_SECONDS, lambda: create_table_artifact([], key=_RESULTS, description=text))

    def add(self, result: ResultRow) -> None:
        """Take notice of one more result row."""
        values = result.to_dict()
        self._rows.append({name: values.get(name) for name in _COLUMNS})
        done = len(self._rows)
        last = done >= self._total
        text = f"{done} of {self._total} architectures characterized"
        self._progress.update(lambda: 100.0 * done / self._total, text, last)
        self._table.update(lambda: json.dumps(_cells(self._rows)), text, last)


@contextlib.contextmanager
def if_it_can_be_shown() -> Iterator[None]:
    """Go on where Prefect's server is away, or refuses: what it shows is no result."""
    import httpx
    from prefect.exceptions import PrefectException

    with contextlib.suppress(httpx.HTTPError, PrefectException, OSError, RuntimeError):  # of a loop that has ended
        yield


class _Updated:
    """An artifact that is updated in place, but not too often."""

    def __init__(self, seconds: float, create: Callable[[], Any]) -> None:
        self._seconds, self._next = seconds, time.monotonic() + seconds
        self._identity: UUID | None = None
        with if_it_can_be_shown():
            self._identity = create()

    def update(self, data: Callable[[], Any], description: str, last: bool) -> None:
        """Show other data, at once if they are the last ones."""
        now = time.monotonic()
        if self._identity is None or (now < self._next and not last):
            return
        self._next = now + _SECONDS_AFTER_FAILURE  # a server that is away makes every call wait
        with if_it_can_be_shown():
            update_artifact(self._identity, data(), description)
            self._next = now + self._seconds


def results_table(paths: Paths) -> None:
    """Show all characterized architectures, most accurate after a day first."""
    from prefect.artifacts import create_table_artifact

    from analognas.files import read_parquet

    frame = read_parquet(paths.surrogate, remedy="run `analognas stage characterize`")
    with contextlib.suppress(AnalogNASError):  # the table is shown without what cannot be told
        frame = frame.assign(**_costs(frame, paths))
    rows = _cells({str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records"))
    with if_it_can_be_shown():
        create_table_artifact(rows, key=_RESULTS, description=f"{len(frame)} characterized architectures")


def _costs(frame: pd.DataFrame, paths: Paths) -> dict[str, list[float]]:
    """Return what an inference costs of each architecture, on the chip of the parameters."""
    from analognas.hardware.cost import costs
    from analognas.params import Params
    from analognas.stages import inputs

    params = Params.load(paths.params)
    space = inputs.space(params, paths)
    rows = [inputs.architecture_of(space, json.loads(genes)) for genes in frame["genes"]]
    known = costs(rows, params.cost.of(params.hardware))
    return {name: known[name].tolist() for name in _COSTS}


def summary(paths: Paths) -> None:
    """Show the drift and what the pipeline found, as ``analognas report`` does; write that as a page, and say where.

    A browser follows no link from Prefect's pages to a file, and on another machine there is none: its place is text.
    """
    from prefect.artifacts import create_markdown_artifact

    from analognas.pages import write_page
    from analognas.report import collect, markdown

    drift(paths)
    text = markdown(collect(paths))
    place = f"`{write_page(paths)}` on {socket.gethostname()}\n"
    with if_it_can_be_shown():
        create_markdown_artifact(text, key="pipeline-summary", description="What the pipeline found")
    with if_it_can_be_shown():
        create_markdown_artifact(place, key="report", description="The report as a page, where it ran")


def logged(tracked: str | None) -> None:
    """Link the run's page in MLflow, where a server shows it; files and the report are there, too."""
    from prefect.artifacts import create_link_artifact

    from analognas.report import mlflow_page

    address = mlflow_page(tracked)
    if address is not None:
        with if_it_can_be_shown():
            create_link_artifact(address, "the run in MLflow", key="mlflow", description="Figures, files, the report")


def drift(paths: Paths) -> None:
    """Show how the accuracy of the trained networks falls while the chip drifts: a plot, and the figures as a table.

    The plot is a ``data:`` address, because Prefect's server keeps no files, and in Markdown: beside an image artifact
    its interface prints that address, which is pages long.
    """
    from prefect.artifacts import create_markdown_artifact

    table, plot = paths.plot("train.csv"), paths.plot("train.png")
    parts = [f"![accuracy over time]({_data_address(plot)})\n"] if plot.is_file() else []
    parts += [_drift_table(table)] if table.is_file() else []
    if parts:
        with if_it_can_be_shown():
            create_markdown_artifact("\n".join(parts), key="drift", description="Accuracy while the chip drifts, %")


def _cells(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return result rows as plain values for a table, most accurate after a day first; what is missing is empty."""

    def cell(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("{"):  # genes, as a frame holds them
            value = json.loads(value)
        if isinstance(value, Mapping):
            return ", ".join(f"{gene} {choice}" for gene, choice in value.items())
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        return "" if missing else round(value, 2) if isinstance(value, float) else value

    day, identity = _COLUMNS["acc_1d"], _COLUMNS["id"]
    titles = _COLUMNS | _COSTS
    cells = [{title: cell(row[name]) for name, title in titles.items() if name in row} for row in rows]
    cells.sort(key=lambda row: (row[day] == "", -(row[day] or 0.0), row[identity]))
    return cells[:_MOST_ROWS]


def _drift_table(table: Path) -> str:
    """Return the drift curves as a Markdown table: a line for each time, a column for each network."""
    import pandas as pd

    frame = pd.read_csv(table)
    frame["cell"] = [f"{row.accuracy:.2f} ± {row.std:.2f}" for row in frame.itertuples()]
    cells = frame.pivot_table(index="seconds", columns="network", values="cell", aggfunc="first").fillna("")
    names = list(dict.fromkeys(frame["network"]))
    lines = [["after programming", *names], ["---"] * (len(names) + 1)]
    for seconds in sorted(set(frame["seconds"])):
        lines.append([time_name(float(seconds)), *(str(cells.loc[seconds, name]) for name in names)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _data_address(plot: Path) -> str:
    """Return a plot, smaller and in few colours, as a ``data:`` address."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(plot) as image:
        image.thumbnail((_PLOT_WIDTH, _PLOT_WIDTH))
        image.convert("RGB").quantize(64).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def retraining(paths: Paths, summary: RetrainingSummary) -> None:
    """Show what a retraining decided, or that none was needed: the note of its round."""
    from prefect.artifacts import create_markdown_artifact

    text = "The champion was retrained.\n" if summary["retrained"] else "The champion needs no retraining.\n"
    if summary["retrained"]:
        with contextlib.suppress(OSError):  # what cannot be shown is no reason to fail
            text = paths.round(summary["round"]).with_suffix(".md").read_text()
    text += "\n" + _figures(summary["figures"])
    with if_it_can_be_shown():
        create_markdown_artifact(text, key="retraining", description="What the retraining decided")


def _figures(figures: AskedFigures) -> str:
    """Return what spoke for a retraining as a Markdown table."""
    if not figures:
        return ""
    newest, age = figures["newest"], figures["age_days"]
    tau, covered = newest["kendall_tau"], newest["coverage"]
    rows = {
        "of the champion": "when it was asked",
        "---": "---",
        "age": "unknown" if age is None else f"{age:.1f} days",
        "new rows that others or a search measured": figures["new_rows"],
        "rows that it has not learned from": newest["architectures"],
        "Kendall tau of the 1-day accuracy on these": "not defined" if tau is None else f"{tau:.2f}",
        "of these within its 90 % interval": "not defined" if covered is None else f"{covered:.0%}",
    }
    return "".join(f"| {name} | {value} |\n" for name, value in rows.items())
