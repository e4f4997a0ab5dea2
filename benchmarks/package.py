"""Makes the surrogates that the library carries: `XGBoostEvaluator()` without `fit` uses that of its space.

From a workspace whose sample was characterized, or, with `--cells`, from AnalogNAS-Bench in a workspace made for it:

    python -m benchmarks.package --workspace DIR
    python -m benchmarks.package --workspace CELLS --cells
    python -m benchmarks.package --workspace DIR --space NAME --images "what they are"

A space of somebody's images is only named by their shape, so a surrogate for it needs a name of its own, by which
whoever makes `ConfigSpace(..., name=NAME)` asks for it.

Written to `analognas/evaluators/packaged/SPACE/`: the evaluator, a model card with what was measured of it, and what it
was fitted with as a small table (not for AnalogNAS-Bench, whose table is not ours to copy). The same results give the
same bytes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.files import read_sealed

if TYPE_CHECKING:
    import pandas as pd

    from analognas.evaluators.xgboost import XGBoostEvaluator
    from analognas.params import Params
    from analognas.search_spaces import Architecture
    from analognas.workspace import Paths

TARGET = Path(__file__).parent.parent / "analognas" / "evaluators" / "packaged"
#: What is kept of the results, beside the genes.
KEPT = ("params", "tiles", "acc_digital", "acc_hwa", "acc_1s", "acc_1h", "acc_1d", "acc_30d", "acc_1d_std", "avm",
        "acc_1d_sem", "avm_sem", "repeats")  # fmt: skip
_UNITS = {"acc_1d": "1-day accuracy", "avm": "accuracy variation of one month", "acc_1d_std": "1-day std"}


def measured(params: Params, paths: Paths) -> tuple[list[Architecture], pd.DataFrame]:
    """Return the characterized architectures of a workspace that its space holds, and their results."""
    from analognas.files import read_parquet
    from analognas.stages import inputs
    from analognas.stages.rows import learnable, usable

    rows = usable(learnable(read_parquet(paths.surrogate, remedy="run `analognas stage characterize`")))
    space = inputs.space(params, paths)
    by_id = {known.id: known for known in inputs.architectures(params, paths) if known in space}
    rows = rows[rows["id"].isin(by_id)].reset_index(drop=True)  # networks taken by hand may lie outside
    return [by_id[name] for name in rows["id"]], rows


def cells(params: Params, paths: Paths) -> tuple[list[Architecture], pd.DataFrame]:
    """Return one cell of every function that is not set aside, and its published results with a workspace's ids."""
    from analognas.stages import identity
    from benchmarks._cells import Cells

    table = Cells.load()
    learn, _ = table.split(0, len(table.architectures), 0, final=True)
    rows = table.table.iloc[learn].reset_index(drop=True)
    return [table.architectures[i] for i in learn], rows.assign(
        **identity.context(params, paths),
    )


def set_aside(evaluator: XGBoostEvaluator) -> dict[str, float]:
    """Return the Kendall tau of each target on one cell of every function that is set aside."""
    from analognas.evaluators.metrics import kendall_tau
    from benchmarks._cells import TARGETS, Cells

    table = Cells.load()
    _, test = table.split(0, 1, len(table.architectures), final=True)
    predicted = evaluator.predict([table.architectures[i] for i in test])
    return {
        name: float(kendall_tau(table.table[name].to_numpy()[test], predicted[name].to_numpy())) for name in TARGETS
    }


def card(
    params: Params,
    paths: Paths,
    evaluator: XGBoostEvaluator,
    rows: pd.DataFrame,
    held_out: dict[str, float] | None,
    images: str | None = None,
) -> str:
    """Return the model card; ``images`` says what they are."""
    data = read_sealed(paths.dataset, remedy="run `analognas doctor --update`")
    shape = "x".join(map(str, data["input_shape"]))
    sizes = " / ".join(f"{data['sizes'][part]:,}" for part in ("train", "validation", "test"))
    what = shape if images is None else f"{images}, {shape}"
    augmented = f"; augmented: {', '.join(data['augment'])}" if data.get("augment") else ""
    context, report = evaluator.context_, evaluator.report_
    training = params.characterize
    looked_up = training.source != "training"
    protocol = (
        f"as published in {training.source}: looked up, not measured here; its AVM starts at 60 s and its standard "
        "deviation is that of re-reads of one programming"
        if looked_up
        else f"{training.epochs} digital and {training.hwa_epochs} hardware-aware epochs, {training.repeats} "
        f"programmings, `{params.hardware.rpu_config}`, tiles of {evaluator.schema_.tile_size}; "
        "measured on validation images"
    )
    lines = [
        f"# Surrogate of the space {context.space}", "",
        "`XGBoostEvaluator()` without `fit` predicts with this one in this space.", "",
        "| | |", "|---|---|",
        f"| architectures | {report['architectures']} |",
        *([f"| parameters | {_range(rows, 'params')} |"] if "params" in rows else []),
        f"| 1-day accuracy | {_range(rows, 'acc_1d')} % |",
        *([] if looked_up else [f"| images | {what}, {sizes} for training / validation / test{augmented} |"]),
        f"| protocol | {protocol} |",
        f"| ids | dataset `{context.dataset}`, hardware `{context.hardware}`, protocol `{context.protocol}` |", "",
        "| target | Kendall tau, out of fold (95 % interval) | 90 % interval holds |"
        + (" tau on functions set aside |" if held_out else ""),
        "|---|---|---|" + ("---|" if held_out else ""),
    ]  # fmt: skip
    for target, name in _UNITS.items():
        figures = report["targets"][target]
        tau, covered = figures["kendall_tau"], figures["coverage"]
        line = f"| {name} | {tau['value']:.2f} ({tau['low']:.2f} to {tau['high']:.2f}) | {covered['value']:.0%} |"
        lines.append(line + (f" {held_out[target]:.2f} |" if held_out else ""))
    unknown = [name for target, name in _UNITS.items() if report["targets"][target]["kendall_tau"]["low"] <= 0]
    if unknown:
        lines += ["", f"It does not tell which networks have more {' and '.join(unknown)}: the interval covers zero."]
    lines += [
        "",
        "Not for other datasets, chips, protocols or budgets: there the order of networks may be another one, and the",
        "figures are (an evaluator that is told of another dataset, chip or protocol refuses). Not for a claim about a",
        "network: train it and measure it. Networks larger than the largest one above are extrapolations.",
        "",
    ]
    return "\n".join(lines)


def _range(rows: pd.DataFrame, name: str) -> str:
    low, middle, high = np.percentile(rows[name], [0, 50, 100])
    form = ",.0f" if name == "params" else ".1f"
    return f"{low:{form}} to {high:{form}}, median {middle:{form}}"


def package(
    workspace: Path, target: Path, from_cells: bool, name: str | None = None, images: str | None = None
) -> Path:
    """Fit the evaluator and write it with its card and data; return the folder.

    Args:
        workspace: whose sample was characterized.
        target: folder of the surrogates.
        from_cells: whether they come from AnalogNAS-Bench.
        name: of the space, if it is not to be the workspace's.
        images: what they are, for the card.
    """
    from analognas.evaluators.storage import SCHEMA
    from analognas.evaluators.xgboost import XGBoostEvaluator
    from analognas.files import write_parquet, write_text, writing_directory
    from analognas.folders import claim
    from analognas.params import Params
    from analognas.workspace import Paths

    paths = Paths.find(workspace)
    params = Params.load(paths.params)
    architectures, rows = (cells if from_cells else measured)(params, paths)
    if name is not None:
        architectures = [
            replace(architecture, space=replace(architecture.space, name=name)) for architecture in architectures
        ]
        rows = rows.assign(space=name, id=[architecture.id for architecture in architectures])
    evaluator = XGBoostEvaluator(tile_size=params.hardware.tile_shape.plain()).fit(architectures, rows)
    folder = target / evaluator.context_.space
    claim(folder, SCHEMA, beside=("card.md", "data.parquet"))
    held_out = set_aside(evaluator) if from_cells else None
    with writing_directory(folder) as staged:
        evaluator.save(staged)
        write_text(staged / "card.md", card(params, paths, evaluator, rows, held_out, images))
        if not from_cells:
            data: dict[str, Any] = {"id": rows["id"], "genes": rows["genes"]}
            data |= {name: rows[name] for name in KEPT if name in rows}
            write_parquet(staged / "data.parquet", rows[[]].assign(**data))
    return folder


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="folder whose sample was characterized")
    parser.add_argument("--cells", action="store_true", help="from AnalogNAS-Bench, leaving out what is set aside")
    parser.add_argument("--space", help="name of the space it is for; left out: the workspace's")
    parser.add_argument("--images", help="what the images are, for the card")
    parser.add_argument("--target", type=Path, default=TARGET, help="folder of the surrogates")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = package(arguments.workspace, arguments.target, arguments.cells, arguments.space, arguments.images)
    print((folder / "card.md").read_text())


if __name__ == "__main__":
    main()
