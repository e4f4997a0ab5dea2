"""What people read beside a run or a registered version: Markdown from the files that the stages wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analognas import report
from analognas.errors import AnalogNASError
from analognas.folders import read_folder
from analognas.tracking.state import read_or_empty
from analognas.versioning import git

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

#: Targets of an evaluator, as people call them.
_TARGETS = (("acc_1d", "accuracy after 1 day"), ("avm", "AVM"), ("acc_1d_std", "standard deviation after 1 day"))
_SHOWN_DIGITS = 12


def of_run(paths: Paths) -> str:
    """Return the report of the whole pipeline as Markdown; empty before its last stage has run."""
    try:
        return report.markdown(report.collect(paths))
    except AnalogNASError:
        return ""


def of_version(paths: Paths, params: Params, folder: str, fitted: Paths | None = None) -> str:
    """Return the card of what a stage has written to ``data/FOLDER``: how good it is, and what it was made from.

    Args:
        paths: the workspace.
        params: its parameters.
        folder: ``evaluator`` or ``winner``.
        fitted: where ``fit`` wrote its figures, if not in the workspace: of a challenger.
    """
    said = list(_evaluator(fitted or paths) if folder == "evaluator" else _winner(paths))
    origin = list(_origin(paths, params))
    return "\n".join([*said, "", *(f"- {line}" for line in origin), ""]).lstrip()


def _winner(paths: Paths) -> Iterator[str]:
    """Yield the card that lies in its folder; of a winner that was looked up, which has no weights, the report."""
    try:
        _, files = read_folder(paths.winner, "winner.json", remedy="")
    except AnalogNASError:
        return
    yield (files["card.md"].decode() if "card.md" in files else of_run(paths)).rstrip()


def _evaluator(paths: Paths) -> Iterator[str]:
    """Yield a table of the out-of-fold figures with their intervals."""
    figures = read_or_empty(paths.metrics("fit"))
    targets = figures.get("targets")
    if not isinstance(targets, Mapping):
        return
    yield f"Evaluator, fitted to {figures.get('architectures', '?')} architectures; out of fold, with 95 % intervals:"
    yield ""
    yield _row(("", "Kendall tau", "root mean square error, points", "coverage of 90 % intervals"))
    yield _row(("---", "---:", "---:", "---:"))
    for name, called in _TARGETS:
        if name in targets:
            cells = (_interval(targets[name].get(key)) for key in ("kendall_tau", "rmse", "coverage"))
            yield _row((called, *cells))


def _origin(paths: Paths, params: Params) -> Iterator[str]:
    """Yield what it was made from, as far as it is recorded."""
    data, environment = read_or_empty(paths.dataset), read_or_empty(paths.environment)
    if data:
        digest, split = (str(data.get(name))[:_SHOWN_DIGITS] for name in ("digest", "split_digest"))
        yield f"data: {data.get('name')}, digest `{digest}`, split `{split}`"
    replaced = params.hardware.model_dump(mode="json", exclude_defaults=True, exclude={"rpu_config"})
    yield "chip: " + ", ".join([params.hardware.rpu_config, *(f"{name} {value}" for name, value in replaced.items())])
    rounds = sorted(path.stem for path in paths.round_files().values() if path.stem != "000")
    if rounds:
        yield f"rounds: {', '.join(rounds)}"
    versions = [f"{name} {environment[name]}" for name in ("torch", "aihwkit", "xgboost") if name in environment]
    if versions:
        yield f"made with: {', '.join(versions)}"
    commit = git.commit_of(paths.root)
    if commit is not None:
        yield f"commit: `{commit.sha}`" + (", with changes that are not committed" if commit.dirty else "")


def _interval(figure: Any) -> str:
    if not isinstance(figure, Mapping) or figure.get("value") is None:
        return "-"
    text = f"{figure['value']:.2f}"
    low, high = figure.get("low"), figure.get("high")
    return text if low is None or high is None else f"{text} ({low:.2f} to {high:.2f})"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
