"""Fixtures for all tests: workspaces, from an empty one to one in which every stage has run once."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

os.environ.setdefault("OMP_NUM_THREADS", "1")

from analognas.evaluators import XGBoostEvaluator, boosting
from analognas.files import write_sealed
from analognas.params import Params
from analognas.params.file import override
from analognas.params.overrides import parse
from analognas.rows import ResultRow
from analognas.setup.preparing import prepare
from analognas.setup.template import source
from analognas.stages import STAGES, inputs, run_stage
from analognas.stages import characterize as characterize_stage
from analognas.stages import fit as fit_stage
from analognas.testing import made_up_row
from analognas.workspace import Paths

#: Small enough that all five stages take seconds, large enough that every stage has something to do.
TINY = (
    "sample.size=10",
    "space.max_params=3k",
    "characterize.replicates=0",
    "characterize.epochs=2",
    "characterize.hwa_epochs=1",
    "characterize.repeats=2",
    "fit.folds=3",
    "fit.bootstrap=100",
    "search.population_size=8",
    "search.nb_iter=2",
    "search.runs=2",
    "search.T_AVM=null",
    "search.min_acc_1d=0",
    "train.epochs=2",
    "train.hwa_epochs=1",
    "train.repeats=2",
    "train.times=[1, 3600, 86400, 2592000]",
    "run.workers=2",
)

#: A workspace that is retrained with measurements by formula.
RETRAINED = (
    "characterize.replicates=0",
    "space.max_params=5k",
    "sample.size=12",
    "characterize.repeats=2",
    "fit.folds=3",
    "fit.bootstrap=100",
    "fit.method=regressor",
    "search.T_AVM=null",
    "search.min_acc_1d=0",
    "retrain.sentinel_size=24",
    "retrain.round_size=30",
    "retrain.guard_avm=2",
    "retrain.min_coverage=0",
    "retrain.bootstrap=200",
)


@pytest.fixture
def git_knows_anna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git know a name and an address, and nothing else of whoever runs this."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "gitconfig").write_text(
        "[user]\n\tname = Anna\n\temail = anna@example.org\n[init]\n\tdefaultBranch = main\n"
    )


class Formula:
    """Stands for ``characterize.measure``: larger is better, in the sample it is worse; or all is noise."""

    def __init__(self) -> None:
        self.sample: set[str] = set()
        self.all_noise = False
        self.asked: list[str] = []

    def __call__(self, job: Any) -> ResultRow:
        """Return a row as a training would."""
        one = job.architecture
        self.asked.append(one.id)
        draw = random.Random(one.id)
        acc = 10 * math.log(one.params) + draw.uniform(-0.5, 0.5)
        acc = draw.uniform(20, 90) if self.all_noise else 100 - acc if one.id in self.sample else acc
        times = [f"acc_{label}" for label in ("1s", "1h", "1d", "30d")]
        return made_up_row(
            one,
            acc_digital=acc,
            acc_hwa=acc,
            **{name + suffix: value for name in times for suffix, value in (("", acc), ("_std", 1.0), ("_sem", 0.5))}
            | {"acc_1d_std": 1 + draw.uniform(0, 1), "avm": draw.uniform(0, 5), "avm_std": 0.1, "avm_sem": 0.1},
        )

    def all(self, paths: Paths) -> None:
        """Characterize what the store lacks."""
        params = Params.load(paths.params)
        for job in characterize_stage.pending(params, paths):
            characterize_stage.store(job, self(job), paths)


#: What is made once for all tests takes up to a minute on a busy machine: whichever test asks first waits for it.
SHARED = {"finished", "with_known", "champion", "prefect_server"}


#: What takes many minutes runs only where it is asked for by its marker: ``make test-long``,
#: ``make test-faults``, ``make test-team``.
ONLY_ASKED = {"long", "faults", "team"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for; bound unit tests more tightly than the others, unless they have a bound."""
    left_out = ONLY_ASKED - set(re.findall(r"\w+", config.option.markexpr or ""))
    skipped = {item for item in items if any(item.get_closest_marker(name) for name in left_out)}
    config.hook.pytest_deselected(items=list(skipped))
    items[:] = [item for item in items if item not in skipped]
    for item in items:
        marked = any(item.get_closest_marker(name) for name in ("slow", *ONLY_ASKED, "timeout"))
        if not marked and not SHARED.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(120))
    if "torch" in sys.modules and items:
        # The first optimizer of a process imports torch's compiler and sympy: a minute of a busy machine after an
        # installation. If a test's limit fell into it, sympy would be half imported for all tests after that one.
        importlib.import_module("torch._dynamo")


@pytest.fixture(autouse=True, scope="session")
def _hears_ctrl_c() -> None:
    """Let what the tests start hear Ctrl-C, too where they were started in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a developer has set on her machine out of the tests."""
    personal = [name for name in os.environ if name.startswith("ANALOGNAS_RUN_")]
    personal += ["ANALOGNAS_NOTIFY", "ANALOGNAS_HAND_OVER"]
    for name in ("ANALOGNAS_RESULTS", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", *personal):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def another_run() -> Callable[[Paths], AbstractContextManager[Any]]:
    """Return what holds the lock of a workspace as another run does; `alone` would let this test itself in."""
    return lambda paths: FileLock(paths.private() / "run.lock")


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of somebody who runs Prefect for the first time."""
    return os.environ | {"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def serving_prefect() -> Callable[[dict[str, str]], AbstractContextManager[str]]:
    """Return a function that starts a real Prefect server in an environment and gives the address of its API."""
    return _serving_prefect


@contextmanager
def _serving_prefect(environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/api/health"):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def make_workspace() -> Callable[..., Paths]:
    """Return a function that makes a workspace (without git and DVC) in a folder."""

    def make(folder: Path, *assignments: str) -> Paths:
        for name in ("params.yaml", "dvc.yaml", "flows/pipeline.py", "flows/retrain.py", "data/rounds/000.json"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source() / name, folder / name)
        prepare(Paths(folder), parse(assignments))
        return Paths(folder)

    return make


@pytest.fixture
def workspace(tmp_path: Path, make_workspace: Callable[..., Paths]) -> Paths:
    """Return a tiny workspace in which nothing has run."""
    return make_workspace(tmp_path / "workspace", *TINY)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that lets a folder be made once for all processes that tests run in, and returns it."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = common / name / "workspace", common / name / "done"
        with FileLock(common / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def finished(once: Callable[..., Path], make_workspace: Callable[..., Paths]) -> Paths:
    """Return a tiny workspace in which every stage has run; for reading only, copy it to change it."""

    def make(folder: Path) -> None:
        paths = make_workspace(folder, *TINY)
        for stage in STAGES:
            run_stage(stage, Params.load(paths.params), paths)

    return Paths(once("finished", make))


@pytest.fixture(scope="session")
def with_known(once: Callable[..., Path], make_workspace: Callable[..., Paths]) -> Paths:
    """Return one whose budget has room for a network that people take by hand; for reading only."""

    def make(folder: Path) -> None:
        paths = make_workspace(folder, *TINY)
        override(paths.params, ["space.max_params=6k", "sample.size=8"])
        for stage in STAGES:
            run_stage(stage, Params.load(paths.params), paths)

    return Paths(once("with_known", make))


@pytest.fixture
def with_known_copy(with_known: Paths, tmp_path: Path) -> Paths:
    """Return a copy of it that may be changed."""
    return Paths(Path(shutil.copytree(with_known.root, tmp_path / "with_known")))


@pytest.fixture
def finished_copy(finished: Paths, tmp_path: Path) -> Paths:
    """Return a copy of the finished workspace that may be changed."""
    return Paths(Path(shutil.copytree(finished.root, tmp_path / "copy")))


@pytest.fixture(scope="session")
def champion(once: Callable[..., Path], make_workspace: Callable[..., Paths]) -> Paths:
    """Return a workspace whose evaluator takes small networks for the best; for reading only."""

    def make(folder: Path) -> None:
        paths = make_workspace(folder, *RETRAINED)
        params = Params.load(paths.params)
        formula = Formula()
        run_stage("sample", params, paths)
        formula.sample = {one.id for one in inputs.architectures(params, paths)}
        formula.all(paths)
        with pytest.MonkeyPatch.context() as quick:
            quick.setattr(fit_stage, "unfitted", _quick)
            quick.setattr(boosting, "_MEMBERS", 4)
            for stage in ("characterize", "fit"):
                run_stage(stage, params, paths)

    return Paths(once("champion", make))


def _quick(params: Params, seed: int, *_: Any, **__: Any) -> XGBoostEvaluator:
    return XGBoostEvaluator(method="regressor", folds=2, bootstrap=100, rounds=12, seed=seed)


@pytest.fixture
def retrained(champion: Paths, tmp_path: Path) -> Paths:
    """Return a copy of it that may be changed."""
    return Paths(Path(shutil.copytree(champion.root, tmp_path / "retrained")))


@pytest.fixture
def formula(retrained: Paths, monkeypatch: pytest.MonkeyPatch) -> Formula:
    """Let every characterization in this process be a formula, and every fit a quick one."""
    made = Formula()
    made.sample = {one.id for one in inputs.architectures(Params.load(retrained.params), retrained)}
    monkeypatch.setattr(characterize_stage, "measure", made)
    monkeypatch.setattr(fit_stage, "unfitted", _quick)
    monkeypatch.setattr(boosting, "_MEMBERS", 4)
    return made


class Histories:
    """Makes workspaces with runs that nobody computed, recorded and committed as the drivers do."""

    dataset: ClassVar[dict[str, Any]] = {
        "name": "digits", "digest": "d" * 64, "split_digest": "s" * 64, "augment": [], "sizes": {"test": 360},
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def empty(self, name: str) -> Paths:
        """Return a workspace in git and DVC in which nothing has run."""
        root = self._folder / name
        (root / ".dvc").mkdir(parents=True)
        for file in ("params.yaml", "dvc.yaml", ".gitignore"):
            shutil.copyfile(source() / file, root / file)
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
        return Paths(root)

    @staticmethod
    def figures(**given: Any) -> dict[str, Any]:
        """Return what ``train`` says of a winner."""
        winner: dict[str, Any] = {
            "id": "92af7a759c5029bc", "params": 9946, "tiles": 6, "repeats": 25, "acc_digital": 98.25, "acc_1s": 97.42,
            "acc_1d": 96.55, "acc_1d_std": 0.88, "acc_1d_sem": 0.18, "acc_30d": 96.0, "acc_30d_std": 1.4,
            "acc_30d_sem": 0.28, "avm": 1.42, "avm_std": 1.58, "avm_sem": 0.32,
        }  # fmt: skip
        hardware = {"rpu_config": "analognas-bench", "tile_size": 256}
        return {"winner": winner | given, "limits": {"status": "held"}, "notes": [], "hardware": hardware}

    def stand(self, paths: Paths, train: dict[str, Any], *assignments: str) -> None:
        """Let a workspace hold the run of some figures and parameters, recorded in ``dvc.lock``."""
        override(paths.params, assignments)
        write_sealed(paths.dataset, self.dataset)
        write_sealed(paths.environment, {"torch": "2.9", "protocol": {"train": 1}})
        for stage in STAGES:
            write_sealed(paths.metrics(stage), train if stage == "train" else {"stage": stage})
        for folder in (paths.evaluator, paths.winner, paths.search):
            folder.mkdir(exist_ok=True)
            (folder / "content").write_text(str(train))
        values = YAML(typ="safe").load(paths.params.read_text())
        entries: dict[str, Any] = {"record": {"params": {"params.yaml": {"dataset": values["dataset"]}}, "outs": []}}
        outputs: dict[str, str] = {"fit": "evaluator", "search": "search", "train": "winner"}
        for stage in STAGES:
            known = {"base.seed": values["base"]["seed"], "hardware": values["hardware"], stage: values[stage]}
            outs = [{"path": f"data/{outputs[stage]}", "md5": "0" * 32 + ".dir"}] if stage in outputs else []
            written = paths.metrics(stage)
            md5 = hashlib.md5(written.read_bytes(), usedforsecurity=False).hexdigest()
            outs.append({"path": written.relative_to(paths.root).as_posix(), "md5": md5})
            entries[stage] = {"params": {"params.yaml": known, "data/dataset.json": {"name": "digits"}}, "outs": outs}
        with (paths.root / "dvc.lock").open("w") as file:
            YAML(typ="safe").dump({"schema": "2.0", "stages": entries}, file)

    def commit(self, paths: Paths, message: str) -> None:
        """Commit what git holds of a workspace."""
        me = ("-c", "user.name=me", "-c", "user.email=m@example.org")
        for arguments in (("add", "--all"), (*me, "commit", "--quiet", "--message", message)):
            subprocess.run(["git", *arguments], cwd=paths.root, check=True)


@pytest.fixture
def histories(tmp_path: Path) -> Histories:
    """Return what makes workspaces with runs that nobody computed."""
    return Histories(tmp_path)


@pytest.fixture
def past(histories: Histories) -> Paths:
    """Return a workspace whose git holds two runs, and which holds a third one that nobody committed."""
    paths = histories.empty("past")
    histories.commit(paths, "empty")
    histories.stand(paths, histories.figures(), "train.epochs=20")
    histories.commit(paths, "first run")
    better = histories.figures(acc_1d=98.6, acc_1s=98.9, acc_30d=98.5, avm=0.4)
    histories.stand(paths, better, "train.epochs=30")
    histories.commit(paths, "second run")
    worse = histories.figures(acc_1d=90.0, id="1111222233334444")
    histories.stand(paths, worse, "train.epochs=30", "hardware.adc_bits=5")
    return paths
