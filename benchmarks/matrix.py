"""Whether a default run ends with a winner, and a better one, for every seed and on every kind of processor.

Each instruction set is what torch, oneDNN, MKL and numba are told to compute with, so one processor stands for several
kinds (not for their other roundings, caches and bugs). For each:

- the first ``--whole`` seeds are whole default runs by the stage functions: sample, characterize, fit, search, train;
- the other seeds begin with the characterizations of these: three quarters of one of their samples, drawn without
  repetition, so every evaluator has a quarter fewer rows than a default run gives it. Fit, search and train are whole
  and seeded by the seed; no training of a winner is repeated from another seed.

A run that ends without a winner is counted, and its sentence printed. Everything is kept in ``--folder``, and a call
that was interrupted goes on where it was.

    python -m benchmarks.matrix --json
    python -m benchmarks.matrix --sets native avx2 --seeds 4
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: What each instruction set tells torch's own kernels, oneDNN, MKL and numba; and the flag a processor must have.
SETS: dict[str, tuple[str, dict[str, str]]] = {
    "native": ("", {}),
    "avx512": (
        "avx512f",
        {
            "ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512",
            "NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": "",
        },
    ),
    "avx2": (
        "avx2",
        {
            "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "",
        },
    ),
    "sse": (
        "sse4_1",
        {
            "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
            "NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "",
        },
    ),
    # Libraries that disagree about the processor: torch's kernels the oldest, the convolutions the newest.
    "mixed": ("avx2", {"ATEN_CPU_CAPABILITY": "default", "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}),
}  # fmt: skip
#: Share of a sample that a replayed seed begins with.
SHARE = 0.75
_STAGES = ("sample", "characterize", "fit", "search", "train")


@dataclass(frozen=True)
class Job:
    """One seed on one instruction set: a whole run, or a replay of another seed's characterizations."""

    folder: str
    seed: int
    pool: int | None
    settings: tuple[str, ...] = ()

    @property
    def workspace(self) -> Path:
        """Where it runs."""
        return Path(self.folder) / f"seed-{self.seed}"

    @property
    def file(self) -> Path:
        """What came of it."""
        return Path(self.folder) / f"seed-{self.seed}.json"


def run(job: Job) -> dict[str, Any]:
    """Run one seed and return what came of it; in a process whose libraries compute with the instruction set."""
    from analognas.errors import AnalogNASError
    from analognas.files import read_sealed, write_sealed
    from analognas.params import Params
    from analognas.stages import run_stage
    from analognas.workspace import Paths

    if job.file.exists():
        return read_sealed(job.file, remedy="delete it, and this seed is run anew")
    whole = job.pool is None
    paths = Paths(job.workspace)
    if not paths.params.exists():
        _prepare(paths, job)
    params = Params.load(paths.params)
    outcome: dict[str, Any] = {"seed": job.seed, "whole": whole}
    try:
        for stage in _STAGES if whole else _STAGES[2:]:
            run_stage(stage, params, paths)
        outcome |= figures(paths)
    except AnalogNASError as error:
        outcome |= {"winner": None, "error": str(error)}
    write_sealed(job.file, outcome)
    return outcome


def _prepare(paths: Any, job: Job) -> None:
    from analognas.params.overrides import parse
    from analognas.setup.preparing import prepare
    from analognas.setup.template import source

    for name in ("params.yaml", "dvc.yaml", "data/rounds/000.json"):
        (paths.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source() / name, paths.root / name)
    runner = "processes" if job.pool is None else "serial"  # replays run side by side
    prepare(paths, parse([f"base.seed={job.seed}", f"run.runner={runner}", *job.settings]))
    if job.pool is not None:
        _replay(Path(job.folder) / f"seed-{job.pool}", paths, job.seed)


def _replay(pool: Path, paths: Any, seed: int) -> None:
    """Begin a workspace with a part of another one's characterizations."""
    import pandas as pd

    from analognas.files import write_parquet
    from analognas.workspace import Paths

    other = Paths(pool)
    shutil.copyfile(other.architectures, paths.architectures)
    rows = pd.read_parquet(other.surrogate)
    ids = rows["id"].unique()
    kept = np.random.default_rng(seed).permutation(ids)[: round(SHARE * len(ids))]
    write_parquet(paths.surrogate, rows[rows["id"].isin(kept)].reset_index(drop=True))


def figures(paths: Any) -> dict[str, Any]:
    """Return what a finished run found."""
    import pandas as pd

    train, fit = (json.loads(paths.metrics(stage).read_text()) for stage in ("train", "fit"))
    search = json.loads(paths.metrics("search").read_text())
    history = pd.read_parquet(paths.search / "history.parquet")
    unseen = history[~history["measured"] & (history["search"] != "random_search")]
    upper = (unseen["avm_high"] <= 5.0) & (unseen["acc_1d"] >= 55.0)
    return {
        "winner": train["winner"]["id"],
        "params": [train[name]["params"] for name in ("winner", "baseline")],
        "acc_1d": [train[name]["acc_1d"] for name in ("winner", "baseline")],
        "difference": train["difference"]["acc_1d"],
        "difference_30d": train["difference"]["acc_30d"],
        "difference_avm": train["difference"]["avm"],
        "limits": train["limits"]["status"],
        "measured": search["best_is_measured"],
        "tau": fit["targets"]["acc_1d"]["kendall_tau"]["value"],
        # A limit that was asked of every prediction's upper end would have excluded all unseen ones otherwise.
        "upper_bound_holds": bool(upper.any()),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return counts and spreads over seeds."""
    ended = [row for row in rows if row["winner"]]
    result: dict[str, Any] = {
        "seeds": len(rows),
        "whole": sum(row["whole"] for row in rows),
        "winners": len(ended),
        "errors": sorted({row["error"] for row in rows if not row["winner"]}),
    }
    if not ended:
        return result
    for name in ("difference", "difference_30d", "difference_avm"):
        values = np.array([row[name]["value"] for row in ended])
        result[name] = dict(zip(("least", "p10", "median", "p90", "most"), _spread(values), strict=True))
    gains = [row["difference"] for row in ended]
    tau = [row["tau"] for row in ended if row["tau"] is not None]
    return result | {
        "better": sum(gain["low"] > 0 for gain in gains),
        "worse": sum(gain["high"] < 0 for gain in gains),
        "acc_1d": dict(zip(("least", "p10", "median", "p90", "most"),
                           _spread(np.array([row["acc_1d"][0] for row in ended])), strict=True)),
        "limits": {status: sum(row["limits"] == status for row in ended) for status in ("held", "not shown", "broken")},
        "winner_was_measured": sum(row["measured"] for row in ended),
        "upper_bound_holds": sum(row["upper_bound_holds"] for row in ended),
        "tau": [min(tau, default=None), float(np.median(tau)) if tau else None, max(tau, default=None)],
    }  # fmt: skip


def _spread(values: np.ndarray[Any, Any]) -> list[float]:
    return [float(value) for value in np.percentile(values, [0, 10, 50, 90, 100])]


def _inner(arguments: argparse.Namespace) -> None:
    """Run the seeds of one instruction set in this process, whose environment is set."""
    import torch

    from analognas.stages import processes

    folder = arguments.folder / arguments.inner
    folder.mkdir(parents=True, exist_ok=True)
    settings = tuple(arguments.set)
    rows = [run(Job(str(folder), seed, None, settings)) for seed in range(arguments.whole)]
    replays = [
        Job(str(folder), seed, seed % arguments.whole, settings) for seed in range(arguments.whole, arguments.seeds)
    ]
    ended = {row["seed"] for row in rows if row["winner"]}
    possible = [replay for replay in replays if replay.pool in ended]
    done = dict(processes.each(run, possible, processes.workers(None)))
    rows += [done[index] for index in sorted(done)]
    rows += [
        {"seed": replay.seed, "whole": False, "winner": None, "error": f"The whole run of seed {replay.pool} failed."}
        for replay in replays
        if replay.pool not in ended
    ]
    print(json.dumps({"capability": torch.backends.cpu.get_cpu_capability(), "rows": rows}))


def _has(flag: str) -> bool:
    file = Path("/proc/cpuinfo")
    return not flag or (file.exists() and f" {flag} " in file.read_text().replace("\n", " "))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the results of all instruction sets."""
    by_set: dict[str, Any] = {}
    for name in arguments.sets:
        flag, variables = SETS[name]
        if not _has(flag):
            by_set[name] = {"skipped": f"this processor has no {flag}"}
            continue
        environment = {key: value for key, value in os.environ.items() if key != "ANALOGNAS_RESULTS"}
        command = [
            sys.executable, "-m", "benchmarks.matrix", "--inner", name, "--folder", str(arguments.folder),
            "--seeds", str(arguments.seeds), "--whole", str(arguments.whole), "--set", *arguments.set,
        ]  # fmt: skip
        done = subprocess.run(
            command, env=environment | variables | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        answer = json.loads(done.stdout.splitlines()[-1])
        by_set[name] = {"capability": answer["capability"], **summary(answer["rows"]), "rows": answer["rows"]}
        print(_line(name, by_set[name]), file=sys.stderr)
    rows = [row for part in by_set.values() for row in part.get("rows", [])]
    return {"sets": by_set, "all": summary(rows)}


def _line(name: str, summed: dict[str, Any]) -> str:
    text = f"{name:8} {summed['winners']} of {summed['seeds']} seeds end with a winner ({summed['whole']} run whole)"
    if not summed["winners"]:
        return text
    spread = summed["difference"]
    return (
        f"{text}; minus the plain network after a day: median {spread['median']:+.2f} points, 10 to 90 % "
        f"{spread['p10']:+.2f} to {spread['p90']:+.2f}, least {spread['least']:+.2f}; better {summed['better']}, worse "
        f"{summed['worse']}; limits held {summed['limits']['held']}, not shown {summed['limits']['not shown']}, broken "
        f"{summed['limits']['broken']}"
    )


def main() -> None:
    """Read the arguments and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS), help="instruction sets")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of each, 20")
    parser.add_argument("--whole", type=int, default=1, help="of them run whole, 1")
    parser.add_argument("--folder", type=Path, help="where everything is kept; default: a temporary folder")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other parameters, to try it out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inner", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not 1 <= arguments.whole <= arguments.seeds:
        parser.error("--whole must be 1 to --seeds")
    if arguments.inner:
        _inner(arguments)
        return
    if arguments.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            arguments.folder = Path(folder)
            measured = measure(arguments)
    else:
        arguments.folder = arguments.folder.resolve()
        measured = measure(arguments)
    print(json.dumps(measured) if arguments.json else _line("all", measured["all"]))


if __name__ == "__main__":
    main()
