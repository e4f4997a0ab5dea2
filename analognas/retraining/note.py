"""A decided round as a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analognas.stages.rounds import Round
from analognas.workspace import round_name

if TYPE_CHECKING:
    from pathlib import Path

    from analognas.workspace import Paths


def note_file(paths: Paths, number: int) -> Path:
    """Return the file of a round's note, beside the round."""
    return paths.round(number).with_suffix(".md")


def note(decided: Round) -> str:
    """Return a decided round as Markdown: the decision, its figures, what was added."""
    record = decided.record
    figures = record.get("comparison", {})
    lines = [
        f"# Round {round_name(decided.number)}: {decided.decision}",
        "",
        f"{decided.reason[:1].upper()}{decided.reason[1:]}.",
    ]
    if "acc_1d" in figures:
        acc, avm = figures["acc_1d"], figures["avm"]
        lines += [
            "",
            f"On {figures['architectures']} sentinel architectures, which neither has learned from:",
            "",
            "| figure | champion | challenger | difference | one-sided 95 % bound |",
            "|---|---|---|---|---|",
            _line("Kendall tau, accuracy after one day", acc["champion"], acc["challenger"], acc["gain_low"]),
            _line("Kendall tau, AVM", avm["champion"], avm["challenger"], avm["gain_low"]),
            _line("coverage of the 90 % interval", *figures["coverage"].values()),
            _line("RMSE of the accuracy, points", *figures["rmse"].values()),
        ]
    names = {name: record[name] for name in ("champion", "challenger") if name in record}
    lines += [
        "",
        *(f"- {name}: {evaluator['rows']} rows, `{evaluator['digest'][:12]}`" for name, evaluator in names.items()),
    ]
    counts: dict[str, int] = {}
    for entry in decided.entries:
        counts[entry.reason] = counts.get(entry.reason, 0) + 1
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    lines += [f"- architectures of the round: {len(decided.entries)} ({listed})"]
    return "\n".join(lines) + "\n"


def _line(name: str, champion: float | None, challenger: float | None, low: float | None = None) -> str:
    difference = "" if champion is None or challenger is None else f"{challenger - champion:+.3f}"
    cells = ["-" if value is None else f"{value:.3f}" for value in (champion, challenger)]
    return f"| {name} | {cells[0]} | {cells[1]} | {difference} | {'' if low is None else f'{low:+.3f}'} |"
