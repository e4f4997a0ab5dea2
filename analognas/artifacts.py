"""What Prefect's interface shows of a run: the characterized architectures and what came of them.

Artifacts are made from the files that the stages wrote. That one cannot be made is no reason to fail.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.workspace import Paths

#: A longer table is no longer looked at, and Prefect keeps every version of it.
_MOST_ROWS = 200


def results_table(paths: Paths) -> None:
    """Show the characterized architectures, most accurate after a day first."""
    from prefect.artifacts import create_table_artifact

    from analognas.files import read_parquet

    frame = read_parquet(paths.surrogate, remedy="run `analognas stage characterize`")
    columns = ["id", "status", "params", "tiles", "acc_digital", "acc_1d", "acc_1d_std", "avm"]
    best = frame.sort_values(["acc_1d", "id"], ascending=[False, True])[columns].head(_MOST_ROWS).round(2)
    rows = [list(row) for row in best.astype(object).where(best.notna(), "").itertuples(index=False)]
    with contextlib.suppress(Exception):
        create_table_artifact([columns, *rows], key="characterized", description=f"{len(frame)} characterized architectures")


def summary(paths: Paths) -> None:
    """Show what the pipeline found."""
    from prefect.artifacts import create_markdown_artifact

    from analognas.report import collect

    with contextlib.suppress(Exception):
        create_markdown_artifact(markdown(collect(paths)), key="pipeline-summary", description="The winner")


def markdown(found: dict[str, Any]) -> str:
    """Return what ``analognas.report.collect`` found as markdown."""
    winner, baseline = found["winner"], found["baseline"]
    networks = [("winner", winner)] + ([("plain residual network", baseline)] if baseline else [])
    labels = [key.removesuffix("_std") for key in winner if key.endswith("_std") and key.startswith("acc_")]
    lines = [
        f"# {found['dataset']}: {winner['id']}",
        "",
        ", ".join(f"{name} {value}" for name, value in winner["genes"].items()),
        "",
        "| | " + " | ".join(name for name, _ in networks) + " |",
        "|---|" + "---:|" * len(networks),
    ]

    def row(name: str, values: list[str]) -> None:
        lines.append(f"| {name} | " + " | ".join(values) + " |")

    row("parameters", [f"{one['params']:,}" for _, one in networks])
    row("digital accuracy, %", [f"{one['acc_digital']:.2f}" for _, one in networks])
    for label in labels:
        time = label.removeprefix("acc_")
        row(f"after {time}, %", [f"{one[label]:.2f} ± {one[f'{label}_std']:.2f}" for _, one in networks])
    row("AVM, points", [f"{one['avm']:.2f} ± {one['avm_std']:.2f}" for _, one in networks])
    tau = found["evaluator"]["acc_1d"]["kendall_tau"]
    if tau["value"] is not None:
        lines += ["", f"Evaluator out of fold: Kendall tau {tau['value']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})."]
    return "\n".join([*lines, "", *found["notes"]])
