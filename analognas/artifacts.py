"""What Prefect's interface shows of a run: the characterized architectures and what came of them.

Artifacts are made from the files that the stages wrote. That the server refuses one is no reason to fail.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.workspace import Paths

#: A longer table is no longer looked at, and Prefect keeps every version of it.
_MOST_ROWS = 200
_COLUMNS = ["id", "status", "params", "tiles", "acc_digital", "acc_1d", "acc_1d_std", "avm"]


def results_table(paths: Paths) -> None:
    """Show the characterized architectures, most accurate after a day first."""
    from prefect.artifacts import create_table_artifact

    from analognas.files import read_parquet

    frame = read_parquet(paths.surrogate, remedy="run `analognas stage characterize`")
    best = frame.sort_values(["acc_1d", "id"], ascending=[False, True])[_COLUMNS].head(_MOST_ROWS).round(2)
    cells = best.astype(object).where(best.notna(), "")
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in cells.itertuples(index=False)]
    with contextlib.suppress(Exception):
        create_table_artifact(rows, key="characterized", description=f"{len(frame)} characterized architectures")


def summary(paths: Paths) -> None:
    """Show what the pipeline found: the same as ``analognas report``."""
    from prefect.artifacts import create_markdown_artifact
    from rich.console import Console

    from analognas.report import collect, render

    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(render(collect(paths)))
    text = f"```\n{console.export_text()}```\n"
    with contextlib.suppress(Exception):
        create_markdown_artifact(text, key="pipeline-summary", description="What the pipeline found")


def retraining(paths: Paths, summary: Mapping[str, Any]) -> None:
    """Show what a retraining decided, or that none was needed: the note of its round."""
    from prefect.artifacts import create_markdown_artifact

    text = "The champion needs no retraining.\n"
    if summary["retrained"]:
        text = (paths.rounds / f"{summary['round']:03d}.md").read_text()
    text += "".join(f"\n- {name}: {value}" for name, value in summary["figures"].items()) + "\n"
    with contextlib.suppress(Exception):
        create_markdown_artifact(text, key="retraining", description="What the retraining decided")
