"""What a characterization costs: core seconds by part and peak memory, against the code of an earlier commit.

The same architectures of the default run's space (digits of 8x8, as many epochs and programmings as it has) are
characterized by both in turn, each in a process of its own on one thread, with the same packages; the earlier code is
taken out of git into a temporary folder. The processes are warm: what is loaded and compiled once is in no figure.
Beside them, in the same turn, an epoch of plain PyTorch, which an epoch of hardware-aware training is compared with.

    python -m benchmarks.characterize --against 7a741ba --json
    python -m benchmarks.characterize --against HEAD~1 --count 4 --epochs 3 --hwa-epochs 3 --repeats 5
    python -m benchmarks.characterize --against 7a741ba --shape 1 49 10 --max-params 100000 --epochs 4 --hwa-epochs 2
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks._earlier import code_of
from benchmarks._timing import fix_process, machine

_ROOT = Path(__file__).resolve().parent.parent
PARTS = ("whole", "digital", "hardware-aware", "drift")


class Side:
    """A process that characterizes with the code in a folder."""

    def __init__(self, folder: Path) -> None:
        child = Path(__file__).with_name("_characterizing.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(child)],
            env=os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, **asked: Any) -> Any:
        """Return what it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(
                "The code of that commit does not run in this environment (see above): compare with a later one, or "
                "run this from an environment with the packages of its requirements.lock."
            )
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def measure(commit: str | None, setup: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return for each architecture the answers of both sides, and seconds of a plain epoch."""
    from analognas.search_spaces import ConfigSpace

    shape = tuple(setup["shape"])
    space = ConfigSpace("digits", input_shape=shape, classes=10, max_params=setup["max_params"])
    genes = [dict(architecture.genes) for architecture in space.sample(count, seed=setup["seed"])]
    with ExitStack() as stack:
        sides = {"now": Side(_ROOT)}
        if commit is not None:
            sides["then"] = Side(stack.enter_context(code_of(commit)))
        # In a process of its own: torch's optimizer loads its compiler, which no characterization does.
        plain = Side(_ROOT)
        stack.callback(plain.close)
        for side in sides.values():
            stack.callback(side.close)
            side.ask(genes=genes[0], setup=setup | {"epochs": 1, "hwa_epochs": 1, "repeats": 2})
        rows = []
        for number, own in enumerate(genes):
            order = list(sides.items())[:: 1 if number % 2 else -1]
            row = {name: side.ask(genes=own, setup=setup) for name, side in order}
            row["plain_epoch"] = plain.ask(genes=own, setup=setup, plain=True)
            rows.append(row)
            print(f"{number + 1} of {count}: {row['now']['seconds']['whole']:.1f} s", file=sys.stderr)
    return rows


def judge(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return medians of seconds, of ratios network by network, and how far the accuracies are apart.

    Of networks that diverged on either side, which went through fewer parts, only how many they are.
    """
    sides = [side for side in ("now", "then") if side in rows[0]]
    whole = [row for row in rows if all(row[side]["accuracy"]["acc_1d"] is not None for side in sides)]
    report: dict[str, Any] = {"architectures": len(whole), "diverged": len(rows) - len(whole)}
    if not whole:
        return report
    rows = whole
    report["seconds"] = {
        side: {part: round(statistics.median(row[side]["seconds"][part] for row in rows), 3) for part in PARTS}
        for side in sides
    }
    report["megabytes"] = {side: round(max(row[side]["megabytes"] for row in rows)) for side in sides}
    epochs = {
        side: [
            row[side]["each"]["hardware-aware"] / row["plain_epoch"]
            for row in rows
            if row[side]["each"]["hardware-aware"] is not None
        ]
        for side in sides
    }
    report["hardware_aware_epoch_by_plain"] = {
        side: {"median": round(statistics.median(values), 3), "most": round(max(values), 3)}
        for side, values in epochs.items()
        if values
    }
    if "then" in sides:
        report["ratio"] = {
            part: round(
                statistics.median(row["now"]["seconds"][part] / row["then"]["seconds"][part] for row in rows), 3
            )
            for part in PARTS
        }
        report["accuracy_now_minus_then"] = {name: _paired(rows, name) for name in rows[0]["now"]["accuracy"]}
    return report


def _paired(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    pairs = [(row["now"]["accuracy"][name], row["then"]["accuracy"][name]) for row in rows]
    apart = [now - then for now, then in pairs]
    deviation = statistics.stdev(apart) if len(apart) > 1 else math.nan
    error = None if math.isnan(deviation) else round(deviation / math.sqrt(len(apart)), 3)
    return {
        "mean": round(statistics.fmean(apart), 3),
        "standard_error": error,
        "networks": len(apart),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="of this repository")
    parser.add_argument("--count", type=int, default=12, help="architectures")
    parser.add_argument("--max-params", type=int, default=20_000, help="of each")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=[1, 8, 8], metavar=("CHANNELS", "HEIGHT", "WIDTH"),
        help="of the images: the digits, made larger",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=15, help="digital")
    parser.add_argument("--hwa-epochs", type=int, default=5, help="hardware-aware")
    parser.add_argument("--repeats", type=int, default=25, help="programmings")
    parser.add_argument("--seed", type=int, default=0, help="of architectures and characterizations")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    fix_process(1)
    setup = {
        name: getattr(arguments, name) for name in ("max_params", "shape", "epochs", "hwa_epochs", "repeats", "seed")
    }
    report = judge(measure(arguments.against, setup, arguments.count))
    report |= {"against": arguments.against, "setup": setup, "machine": machine()}
    if arguments.json:
        print(json.dumps(report))
        return
    print(f"{report['architectures']} architectures, {report['diverged']} others diverged")
    if not report["architectures"]:
        return
    for side, seconds in report["seconds"].items():
        parts = ", ".join(f"{part} {value:.2f} s" for part, value in seconds.items())
        print(f"{side:5} {parts}; {report['megabytes'][side]} MB")
    for side, ratio in report["hardware_aware_epoch_by_plain"].items():
        print(
            f"{side:5} a hardware-aware epoch is {ratio['median']:.2f} (at most {ratio['most']:.2f}) of plain PyTorch's"
        )
    if "ratio" in report:
        print("ratio " + ", ".join(f"{part} {value:.2f}" for part, value in report["ratio"].items()))
        for name, apart in report["accuracy_now_minus_then"].items():
            print(f"{name}: {apart['mean']} points more ({apart['standard_error']} is its standard error)")


if __name__ == "__main__":
    main()
