"""What orchestration costs, and what more processes gain.

- `overhead`: `analognas run` (Prefect, DVC, MLflow) against the bare stage functions and an empty Prefect flow, one
  after another on the same machine. What the run takes beyond both, as a share of ten minutes.
- `scaling`: the characterizations of a sample by one process and by two, by the bare stage.
- `resume`: `analognas run` where everything is up to date.
- `store`: made-up results are put into a store, and the table is assembled from it.
- `responsive`: a flow that characterizes 1,000 cells in chunks (looked up by its worker processes, so the results come
  as fast as they can) on a real Prefect server, whose API is asked four times a second meanwhile.

All workspaces, Prefect's and MLflow's databases are temporary; nothing of yours is touched.

    python -m benchmarks.pipeline --json
    python -m benchmarks.pipeline --parts store responsive
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = ("overhead", "scaling", "resume", "store", "responsive")
_TEN_MINUTES = 600.0
#: A run that takes seconds, to try the benchmark out.
QUICK = (
    "characterize.epochs=2", "characterize.hwa_epochs=1", "characterize.repeats=2", "characterize.replicates=0",
    "space.max_params=3k", "fit.folds=3", "fit.bootstrap=100", "search.population_size=8", "search.nb_iter=2",
    "search.runs=2", "search.T_AVM=null", "search.min_acc_1d=0", "train.epochs=2", "train.hwa_epochs=1",
    "train.repeats=2",
)  # fmt: skip


def quick(*given: str) -> list[str]:
    """Return the assignments of a quick run, those that are given in place of its own."""
    keys = {assignment.partition("=")[0] for assignment in given}
    return [*(assignment for assignment in QUICK if assignment.partition("=")[0] not in keys), *given]


_BARE = """
import sys
from pathlib import Path
from analognas.params import Params
from analognas.stages import run_stage
from analognas.workspace import Paths
paths = Paths(Path(sys.argv[1]))
for stage in sys.argv[2:]:
    run_stage(stage, Params.load(paths.params), paths)
"""
_EMPTY = """
from analognas.orchestration.server import configure_prefect, server
configure_prefect()
from prefect import flow
@flow
def nothing():
    pass
with server():
    nothing()
"""
# The flow of a round, but for one thing: `measure_pending` would leave looked-up results to the stage.
_ROUND = """
import sys
from analognas.orchestration import characterizing, session, stage
from analognas.orchestration.server import configure_prefect
configure_prefect()
from prefect import flow, task
@task(task_run_name="characterize-chunk-{chunk}")
def characterize_chunk(chunk):
    return characterizing.measure_chunk(chunk)
@flow
def round_of(workspace):
    with session(workspace) as here:
        stage("sample")
        characterizing.measure_all(here, characterize_chunk)
        stage("characterize")
round_of(sys.argv[1])
"""


class Place:
    """A temporary folder with workspaces, and an environment in which nothing of the user's is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        kept.pop("ANALOGNAS_RESULTS", None)
        self.environment = kept | {"PREFECT_HOME": str(folder / "prefect"), "OMP_NUM_THREADS": "1"}

    def workspace(self, name: str, *assignments: str) -> Path:
        """Make a workspace with git and DVC."""
        from analognas.params.overrides import parse
        from analognas.setup.template import create

        return create(self.folder / name, parse(assignments)).root

    def seconds(self, *command: str, folder: Path | None = None, **environment: str) -> float:
        """Run a Python program in a folder and return how long it took."""
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command], env=self.environment | environment, cwd=folder or self.folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)[:200]} failed:\n{done.stdout}\n{done.stderr}")
        return time.perf_counter() - start

    def run(self, workspace: Path) -> float:
        """Run the pipeline of a workspace as people do."""
        return self.seconds("-m", "analognas", "run", folder=workspace)


def overhead(place: Place, given: list[str], rounds: int) -> dict[str, Any]:
    """Return seconds of the run, of the bare stages and of an empty flow, and what is left between them."""
    from analognas.stages import STAGES

    place.seconds("-c", _EMPTY)  # makes Prefect's database
    taken: dict[str, list[float]] = {"orchestrated": [], "bare": [], "empty_flow": []}
    for number in range(rounds):
        bare, whole = (place.workspace(f"{name}-{number}", *given) for name in ("bare", "whole"))
        taken["bare"].append(place.seconds("-c", _BARE, str(bare), *STAGES))
        taken["empty_flow"].append(place.seconds("-c", _EMPTY))
        taken["orchestrated"].append(place.run(whole))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    beyond = middle["orchestrated"] - middle["bare"] - middle["empty_flow"]
    return {
        "seconds": {name: round(value, 2) for name, value in middle.items()},
        "beyond_seconds": round(beyond, 2),
        "share_of_ten_minutes": round(beyond / _TEN_MINUTES, 4),
        "share_of_this_run": round(beyond / middle["bare"], 4),
    }


def resume(place: Place, given: list[str]) -> dict[str, Any]:
    """Return seconds of a run where everything is up to date, and of Python with the library alone."""
    workspace = next(iter(sorted(place.folder.glob("whole-*"))), None)
    if workspace is None:
        workspace = place.workspace("whole-0", *given)
        place.run(workspace)
    import_only = place.seconds("-c", "import analognas.cli")
    return {"seconds": round(place.run(workspace), 2), "import_seconds": round(import_only, 2)}


def scaling(place: Place, given: list[str], rounds: int) -> dict[str, Any]:
    """Return seconds of the characterizations by one and two processes, start of the processes included."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for processes in (1, 2) if number % 2 == 0 else (2, 1):
            workspace = place.workspace(f"scaling-{number}-{processes}", *given, f"run.workers={processes}")
            place.seconds("-c", _BARE, str(workspace), "sample")
            taken[processes].append(place.seconds("-c", _BARE, str(workspace), "characterize"))
    alone, by_two = (statistics.median(values) for values in taken.values())
    return {
        "seconds": {"1": round(alone, 2), "2": round(by_two, 2)},
        "speed_up": round(alone / by_two, 3),
        "cpus": _cpus(),
    }


def store(place: Place, rows: int) -> dict[str, Any]:
    """Return seconds to put made-up results into a store, to see that none is missing, and to make the table."""
    import numpy as np

    from analognas.params import Params
    from analognas.results import ResultStore
    from analognas.stages import characterize, run_stage
    from analognas.workspace import Paths

    settings = ("space.max_params=200k", f"sample.size={rows}", "sample.method=uniform",
                "sample.known=false", "characterize.replicates=0")  # fmt: skip
    paths = Paths(place.workspace("store", *settings))
    params = Params.load(paths.params)
    run_stage("sample", params, paths)
    jobs = characterize.jobs(params, paths)
    draw = np.random.default_rng(0)
    kept = ResultStore.of(paths.root)
    start = time.perf_counter()
    for job in jobs:
        kept.put(job.inputs, _made_up(job, draw))
    put = time.perf_counter() - start
    start = time.perf_counter()
    missing = len(characterize.pending(params, paths))
    pending = time.perf_counter() - start
    start = time.perf_counter()
    characterize.assemble(params, paths)
    assembled = time.perf_counter() - start
    assert (missing, len(jobs)) == (0, rows)
    return {"results": rows, "put_seconds": round(put, 2), "pending_seconds": round(pending, 2),
            "assemble_seconds": round(assembled, 2)}  # fmt: skip


def _made_up(job: Any, draw: Any) -> Any:
    """Return a result of the form and size of a measured one."""
    from dataclasses import replace

    from analognas.testing import made_up_row
    from analognas.training.protocol import statistics as columns

    training = job.training
    accuracy = draw.uniform(50, 100, (training.repeats, len(training.times)))
    row = made_up_row(job.architecture, times=training.times, **columns(accuracy, training.times))
    return replace(row, repeats=training.repeats, accuracy=tuple(map(tuple, accuracy.tolist())))


def responsive(place: Place, architectures: int) -> dict[str, Any]:
    """Return how long the API takes to answer while a round is characterized, and before it, milliseconds."""
    workspace = place.workspace(
        "responsive", "dataset.name=analognas-bench", "space.name=nasbench201", "space.max_params=null",
        "characterize.source=analognas-bench", f"sample.size={architectures}",
    )  # fmt: skip
    with _prefect_server(place) as url:
        with _Asked(url) as idle:
            time.sleep(10)
        with _Asked(url) as busy:
            seconds = place.seconds("-c", _ROUND, str(workspace), PREFECT_API_URL=url)
        runs = len(_post(f"{url}/task_runs/filter", {"limit": 200}))
    return {"architectures": architectures, "task_runs": runs, "flow_seconds": round(seconds, 2),
            "idle": idle.summary(), "busy": busy.summary()}  # fmt: skip


class _Asked:
    """Asks the API of a Prefect server: whether it is well, for its flow runs, and to write something down."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._taken: list[float] = []
        self._failed = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> _Asked:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def summary(self) -> dict[str, Any]:
        """Return median, 95th percentile and maximum, milliseconds, and how many calls got no answer in 10 s."""
        taken = sorted(self._taken)
        at = [taken[round(share * (len(taken) - 1))] for share in (0.5, 0.95, 1.0)]
        named = dict(zip(("median_ms", "p95_ms", "max_ms"), (round(1000 * value, 1) for value in at), strict=True))
        return {"calls": len(taken), "failed": self._failed, **named}

    def _ask(self) -> None:
        calls = (
            ("flow_runs/filter", {"limit": 20}),
            ("task_runs/filter", {"limit": 100}),
            ("flows/", {"name": "ping"}),
        )
        while not self._end.wait(0.25):
            for path, content in calls:
                start = time.perf_counter()
                try:
                    _post(f"{self._url}/{path}", content)
                except OSError:
                    self._failed += 1
                self._taken.append(time.perf_counter() - start)


def _post(url: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@contextlib.contextmanager
def _prefect_server(place: Place) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=place.environment | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                _post(f"http://127.0.0.1:{port}/api/flow_runs/filter", {"limit": 1})
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("The Prefect server did not start.") from None
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        server.wait(60)


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def measure(parts: list[str], given: list[str], sample: int, rounds: int, rows: int, round_size: int) -> dict[str, Any]:
    """Return what was asked for, by part."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="analognas-pipeline-") as folder:
        place = Place(Path(folder))
        run = [*given, f"sample.size={sample}"]
        if "overhead" in parts:
            figures["overhead"] = overhead(place, run, rounds)
        if "resume" in parts:
            figures["resume"] = resume(place, run)
        if "scaling" in parts:
            figures["scaling"] = scaling(place, [*run, "characterize.replicates=0"], rounds)
        if "store" in parts:
            figures["store"] = store(place, rows)
        if "responsive" in parts:
            figures["responsive"] = responsive(place, round_size)
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="some of them only")
    parser.add_argument("--sample", type=int, default=64, help="architectures of the runs that are timed")
    parser.add_argument("--rounds", type=int, default=1, help="how often overhead and scaling are timed; medians")
    parser.add_argument("--rows", type=int, default=10_000, help="results in the store")
    parser.add_argument("--round-size", type=int, default=1_000, help="architectures while the API is asked")
    parser.add_argument("--set", dest="given", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--quick", action="store_true", help="tiny trainings: to see that it works, not to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    given = quick(*arguments.given) if arguments.quick else list(arguments.given)
    measured = measure(
        arguments.parts, given, arguments.sample, arguments.rounds, arguments.rows, arguments.round_size
    )  # fmt: skip
    if arguments.json:
        print(json.dumps(measured))
        return
    for part, figures in measured.items():
        print(part)
        for name, value in figures.items():
            print(f"  {name:22} {value}")


if __name__ == "__main__":
    main()
