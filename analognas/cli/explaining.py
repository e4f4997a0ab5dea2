"""``analognas explain``: one architecture, and why it is predicted to be what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import click

from analognas.cli.options import json_option
from analognas.cli.printing import folded, plain_table

if TYPE_CHECKING:
    from analognas.stages.explaining import Explanation, ToldContributions

#: What is predicted, in words, and its unit.
_TARGETS: dict[Literal["acc_1d", "avm", "acc_1d_std"], tuple[str, str]] = {
    "acc_1d": ("accuracy after 1 day", "%"),
    "avm": ("AVM (1 s to 1 month)", "points"),
    "acc_1d_std": ("spread over programmings after 1 day", "points"),
}


@click.command()
@click.argument("architecture", required=False, metavar="[ARCHITECTURE]")
@click.option("--features", type=click.IntRange(min=1), default=6, show_default=True, metavar="N",
              help="How many of the features that contribute most.")  # fmt: skip
@json_option
def explain(architecture: str | None, features: int, as_json: bool) -> None:
    """Explain an architecture: genes, size, cost, what is predicted of it and why, and what was measured.

    ARCHITECTURE is an id (or its first digits), or genes as JSON; left out: the winner. The contributions are the
    evaluator's own: Shapley values of its trees.
    """
    from rich.console import Console

    from analognas.params import Params
    from analognas.stages.explaining import explain as explained
    from analognas.workspace import Paths

    paths = Paths.find()
    told = explained(Params.load(paths.params), paths, architecture)
    if as_json:
        click.echo(json.dumps(told, sort_keys=True))
        return
    console = Console()
    for part in _parts(told, features):
        if isinstance(part, str):
            console.print(part, highlight=False, markup=False)
        else:
            console.print(part)
            click.echo()


def _parts(told: Explanation, features: int) -> Iterator[Any]:
    size = f"{told['params']:,} parameters, {told['tiles']} tiles"
    yield f"Architecture {told['id']} of the space {told['space']}: {size}"
    if not told["in_space"]:
        yield "It is not in this workspace's space now: another range, or more parameters than space.max_params."
    yield from _cost(told)
    click.echo()
    genes = [(gene["name"], str(gene["value"]), folded(gene["meaning"], 52)) for gene in told["genes"]]
    yield plain_table(("gene", "value", "what it is"), genes)
    yield from _prediction(told)
    for target, (words, unit) in _TARGETS.items():
        known = (told["contributions"] or {}).get(target)
        if known is not None and target != "acc_1d_std":
            yield _contributions(known, f"{words}, {unit}", features)
    if told["contributions"] is None and told["prediction"] is not None:
        yield f"{told['evaluator']} does not say what each feature contributes; fit.evaluator: xgboost does."
    elif told["contributions"] is not None:
        yield (
            "Shapley values: a contribution is what the prediction would lack without that feature. They add up on "
            "the scale on which the evaluator learns (--json), which is curved, so in points only roughly. They say "
            "what the evaluator has learned, not what causes what."
        )
    yield from _measured(told)


def _cost(told: Explanation) -> Iterator[str]:
    chip, cost = told["chip"], told["cost"]
    if chip is None or cost is None:
        yield f"What an inference costs cannot be told: {told['problem']}"
        return
    yield (
        f"An inference on {chip['name']}: {cost['latency_us']:,.4g} us, {cost['energy_uj']:,.4g} uJ; "
        f"{100 * cost['utilisation']:.1f} % of its tiles' weights in use"
    )


def _prediction(told: Explanation) -> Iterator[Any]:
    prediction = told["prediction"]
    if prediction is None:
        yield f"Nothing is predicted of it: {told['evaluator']}"
        return
    rows = [
        (
            f"{words}, {unit}",
            f"{prediction[target]['value']:.2f}",
            f"{prediction[target]['low']:.2f} to {prediction[target]['high']:.2f}",
        )
        for target, (words, unit) in _TARGETS.items()
    ]
    heading = "known, measured and predicted" if prediction["measured"] else "predicted"
    yield plain_table((heading, "", "90 % interval"), rows, numbers=(1, 2))


def _contributions(known: ToldContributions, what: str, features: int) -> Any:
    from analognas.evaluators.features import feature_label  # loads NumPy

    rows = [("if nothing was known", "", f"{known['base']:.2f}")]
    for row in known["features"][:features]:
        name = feature_label(row["feature"])
        rows.append((name, f"{row['value']:.4g}", f"{row['points']:+.2f}"))
    rows.append(("predicted by features alone", "", f"{known['value']:.2f}"))
    return plain_table((what, "value", "contributes"), rows, numbers=(1, 2))


def _measured(told: Explanation) -> Iterator[str]:
    for row in told["measured"]:
        if row["status"] != "ok":
            yield f"Characterized ({row['role']}): {row['status']}, {row['reason']}"
            continue
        yield (
            f"Characterized ({row['role']}, {row['repeats']} programmings, validation images): {row['acc_1d']:.2f} ± "
            f"{row['acc_1d_std']:.2f} % after a day, AVM {row['avm']:.2f} points, digital {row['acc_digital']:.2f} %"
        )
    if not told["measured"]:
        yield "It was not characterized here."
    winner = told["winner"]
    if winner is not None:
        yield (
            f"It is the winner (test images): {winner['acc_1d']:.2f} % after a day, AVM {winner['avm']:.2f} points, "
            f"digital {winner['acc_digital']:.2f} %"
        )
