import ast
import inspect
import textwrap
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas import orchestration, tracking
from analognas.errors import AnalogNASWarning, CorruptFileError, StageError, WorkspaceError
from analognas.orchestration import Freshness, characterizing, flows, sessions
from analognas.params import Params, known_keys
from analognas.setup.template import source
from analognas.stages import STAGES, identity, inputs, recorded, rows
from analognas.stages.protocols import RECORD
from analognas.tracking.state import MODELS
from analognas.workspace import Paths

DECLARED = YAML(typ="safe").load((source() / "dvc.yaml").read_text())["stages"]
#: Without what `analognas run` does itself, before the flow.
DVC = {stage: entry for stage, entry in DECLARED.items() if stage != RECORD}


class FakeVersioning:
    """DVC as the flow sees it, without the seconds."""

    def __init__(self, changed_by_upstream: tuple[str, ...] = ()) -> None:
        self.committed: list[str] = []
        self.asked: list[str] = []
        self.changed = changed_by_upstream

    def status(self, stages: list[str]) -> dict[str, list[str]]:
        self.asked += stages
        return {stage: ["input changed"] if stage in self.changed else [] for stage in stages}

    def commit(self, *stages: str) -> None:
        self.committed += stages

    def stage_hash(self, stage: str) -> str:
        return stage


class Flow:
    """The flow of a workspace whose stages only say that they were called."""

    def __init__(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths, self.monkeypatch = paths, monkeypatch
        self.called: list[str] = []
        self.synced = 0
        self.progress: list[tuple[str, float, float]] = []
        self.fails: dict[str, Exception] = {}
        self.search_warns = ""
        self.versioning: FakeVersioning | None = None
        monkeypatch.setattr(sessions, "run_stage", self._run_stage)
        monkeypatch.setattr(sessions.Versioning, "find", lambda root: self.versioning)
        monkeypatch.setattr(tracking, "sync", self._sync)
        monkeypatch.setattr("analognas.tracking.state.note_duration", lambda *_: None)
        monkeypatch.setattr("analognas.stages.characterize.pending", lambda params, paths: [])

    def _run_stage(
        self, name: str, params: Params, paths: Paths, progress: Callable[..., None], **_: Any
    ) -> dict[str, Any]:
        self.called.append(name)
        if name == "search" and self.search_warns:
            warnings.warn(self.search_warns, AnalogNASWarning, stacklevel=1)
        if name in self.fails:
            raise self.fails[name]
        progress(1, 2, "half")
        return {"stage": name}

    def _sync(self, *_: Any) -> tracking.SyncReport:
        self.synced += 1
        return tracking.SyncReport()

    def run(self, stale: dict[str, list[str]] | None = None) -> sessions.RunReport:
        never = {stage: ["it has not run yet"] for stage in STAGES}
        fresh: dict[str, list[str]] = {stage: [] for stage in STAGES} | (never if stale is None else stale)
        return orchestration.run_pipeline(
            self.paths,
            Params.load(self.paths.params),
            freshness=Freshness(fresh),
            progress=lambda stage, done, total, _: self.progress.append((stage, done, total)),
        )


@pytest.fixture
def flow(workspace: Paths, monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> Flow:
    monkeypatch.setattr("analognas.orchestration.artifacts.results_table", lambda paths: None)
    monkeypatch.setattr("analognas.orchestration.artifacts.summary", lambda paths: None)
    return Flow(workspace, monkeypatch)


def task_runs(flow_name: str = "pipeline") -> dict[str, str]:
    """The task runs of the latest flow run: name without its suffix, and the name of its state."""
    import time

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort

    with get_client(sync_client=True) as client:
        latest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)[0]
        only = FlowRunFilter(id=FlowRunFilterId(any_=[latest.id]))
        for _ in range(50):  # Prefect records task runs behind our back
            runs = client.read_task_runs(flow_run_filter=only, sort=TaskRunSort.EXPECTED_START_TIME_ASC, limit=200)
            if runs and all(run.state is not None and run.state.is_final() for run in runs):
                break
            time.sleep(0.2)
    return {run.name.rpartition("-")[0]: str(run.state and run.state.name) for run in runs}


def test_the_flow_runs_the_stages_of_dvc_yaml_in_their_order(flow: Flow):
    report = flow.run()
    assert flow.called == list(report.ran) == list(DVC) == list(STAGES)
    assert task_runs() == dict.fromkeys(STAGES, "Completed")
    assert [stage for stage, done, total in flow.progress if done == 1 and total == 2] == list(STAGES)
    assert flow.synced == 1


def test_what_is_up_to_date_is_cached_and_what_ran_is_committed(flow: Flow):
    flow.versioning = FakeVersioning(changed_by_upstream=("train",))
    report = flow.run({"search": ["parameter search of params.yaml: modified"]})
    assert report.ran == ("search", "train")
    assert report.skipped == ("sample", "characterize", "fit")
    assert flow.versioning.committed == ["record", "search", "train"]
    assert flow.versioning.asked == ["train"]  # the others were known before
    assert task_runs() == dict.fromkeys(("sample", "characterize", "fit"), "Cached") | {
        "search": "Completed",
        "train": "Completed",
    }


def test_the_same_bytes_stop_the_rest_from_running(flow: Flow):
    flow.versioning = FakeVersioning()
    report = flow.run({"fit": ["changed command"]})
    assert report.ran == ("fit",)
    assert flow.versioning.asked == ["search", "train"]


@pytest.mark.parametrize("error", [CorruptFileError("data/x is damaged: delete it."), StageError("no memory.")])
def test_an_error_of_a_stage_comes_through_and_what_ran_before_it_stays(flow: Flow, error: Exception):
    flow.versioning = FakeVersioning()
    flow.fails["fit"] = error
    with pytest.raises(type(error)) as caught:
        flow.run()
    assert caught.value is error
    assert flow.versioning.committed == ["record", "sample", "characterize"]
    assert flow.called == ["sample", "characterize", "fit"]
    assert flow.synced == 1
    assert task_runs() == {"sample": "Completed", "characterize": "Completed", "fit": "Failed"}


def test_a_run_is_called_what_it_is_and_its_log_tells_progress_and_warnings(flow: Flow):
    import time

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import FlowRunSort

    flow.fails["train"] = StageError("no memory.")
    flow.search_warns = "Parts of the chip are not covered: 5 % of it."
    with pytest.raises(StageError), pytest.warns(AnalogNASWarning, match="Parts of the chip"):
        flow.run()
    with get_client(sync_client=True) as client:
        latest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)[0]
        assert latest.name.startswith(f"{flow.paths.root.name}: digits, ")
        assert {"analognas", f"workspace: {flow.paths.root.name}", "data: digits"} <= set(latest.tags)
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[latest.id]))
        for _ in range(50):  # its log is sent behind our back
            lines = [log.message for log in client.read_logs(of_run, limit=200)]
            if flow.search_warns in lines:
                break
            time.sleep(0.2)
    assert {"sample: half", "search: half", flow.search_warns} <= set(lines)


def test_two_runs_of_one_workspace_do_not_mix(flow: Flow, another_run: Callable[..., Any]):
    with another_run(flow.paths), pytest.raises(WorkspaceError, match="Another run works in"):
        flow.run()
    assert flow.called == []


def test_the_flow_can_be_started_without_the_command_line(flow: Flow):
    module = flows.load_flow(flow.paths.root / "flows" / "pipeline.py")
    assert module.pipeline(str(flow.paths.root)) == {"ran": list(STAGES), "up_to_date": []}


class Job:
    """Stands for a characterization whose result is what it costs."""

    def __init__(self, cost: int) -> None:
        self.cost = cost


class FakePool:
    """Computes in the same process, and breaks as a pool does when a worker is killed."""

    breaks = 0
    submitted: list[int] = []  # noqa: RUF012  # reset by the fixture

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def submit(self, function: Any, job: Job) -> Any:
        from concurrent.futures import Future
        from concurrent.futures.process import BrokenProcessPool

        future: Future[Any] = Future()
        FakePool.submitted.append(job.cost)
        if FakePool.breaks:
            FakePool.breaks -= 1
            future.set_exception(BrokenProcessPool("a worker was killed"))
        else:
            future.set_result(job.cost)
        return future

    def close(self) -> None:
        pass


class Shown:
    """Stands for what Prefect's interface shows meanwhile."""

    results: list[int] = []  # noqa: RUF012  # reset by the fixture

    def __init__(self, total: int) -> None:
        Shown.results = []

    def add(self, result: int) -> None:
        Shown.results.append(result)


@pytest.fixture
def characterizations(flow: Flow) -> Iterator[list[int]]:
    """What the driver stored, in order; six characterizations are pending."""
    stored: list[int] = []
    FakePool.breaks, FakePool.submitted = 0, []
    stage = "analognas.stages.characterize"
    flow.monkeypatch.setattr(characterizing, "Pool", FakePool)
    flow.monkeypatch.setattr(characterizing, "Characterizing", Shown)
    flow.monkeypatch.setattr(f"{stage}.pending", lambda params, paths: [Job(n) for n in (3, 1, 6, 5, 2, 4)])
    flow.monkeypatch.setattr(f"{stage}.store", lambda job, result, paths: stored.append(result))
    flow.monkeypatch.setattr(f"{stage}.describe", str)
    return stored


def test_characterizations_are_task_runs_whose_results_are_stored_one_by_one(flow: Flow, characterizations: list[int]):
    flow.run()
    assert sorted(characterizations) == [1, 2, 3, 4, 5, 6]
    assert Shown.results == characterizations
    steps = [(done, total) for stage, done, total in flow.progress if stage == "characterize"]
    done = [sum(characterizations[:count]) for count in range(7)]
    assert steps[:7] == [(cost, 21) for cost in done]
    assert [state for name, state in task_runs().items() if "chunk" in name] == ["Completed"]  # six of that name


def test_a_killed_worker_is_tried_again(flow: Flow, characterizations: list[int]):
    FakePool.breaks = 2
    flow.run()
    assert sorted(characterizations) == [1, 2, 3, 4, 5, 6]
    assert len(FakePool.submitted) == 8


def test_workers_that_keep_being_killed_end_the_run_with_a_remedy(flow: Flow, characterizations: list[int]):
    FakePool.breaks = 10_000
    with pytest.raises(StageError, match=r"smaller run\.workers"):
        flow.run()
    assert flow.called == ["sample"]


def test_what_is_up_to_date_is_not_characterized(flow: Flow, characterizations: list[int]):
    flow.run({"fit": ["changed command"]})
    assert characterizations == []


def test_dvc_runs_each_stage_by_its_name():
    assert {stage: entry["cmd"] for stage, entry in DECLARED.items()} == {
        stage: f"analognas stage {stage}" for stage in (RECORD, *STAGES)
    }
    assert DECLARED[RECORD]["always_changed"]
    assert set(declared_params(RECORD)) >= {key for key in known_keys() if key.startswith("dataset.")}


def test_every_file_of_a_stage_is_declared(finished: Paths):
    declared = {out for entry in DVC.values() for out in entry["outs"]}
    declared |= {path for entry in DVC.values() for metric in entry["metrics"] for path in metric}
    known = {"data/results", "data/rounds", "data/environment.json", "data/dataset.json", "data/plots", "data/metrics"}
    for folder in (finished.data, finished.data / "plots", finished.data / "metrics"):
        for path in folder.iterdir():
            name = path.relative_to(finished.root).as_posix()
            assert name in declared | known
            known.discard(name)
    assert all((finished.root / name).exists() for name in declared)


def test_models_are_artifacts_of_dvc_too():
    artifacts = YAML(typ="safe").load((source() / "dvc.yaml").read_text())["artifacts"]
    assert {entry["path"] for entry in artifacts.values()} == {f"data/{folder}" for folder in MODELS.values()}


def declared_params(stage: str) -> set[str]:
    """The parameters of ``params.yaml`` that ``dvc.yaml`` declares for a stage; a section stands for its keys."""
    names = [entry for entry in DECLARED[stage]["params"] if isinstance(entry, str)]
    return {key for name in names for key in known_keys() if key == name or key.startswith(f"{name}.")}


def params_read(stage: str) -> set[str]:
    """The parameters that a stage's code names, its helpers in the room included."""
    return _read_by(import_module(f"analognas.stages.{stage}"), set())


HELPERS = {module.__name__ for module in (identity, inputs, recorded, rows)}


def _read_by(code: Any, seen: set[Any]) -> set[str]:
    found: set[str] = set()
    names = vars(code) if inspect.ismodule(code) else vars(import_module(code.__module__))
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(code)))):
        helper: Any = None
        if isinstance(node, ast.Name):
            helper = names.get(node.id)
        if isinstance(node, ast.Attribute):
            chain = ast.unparse(node).split(".")
            if chain[0] == "params" and chain[1] in Params.model_fields:
                found.add(".".join(chain[1:3]))
            helper = getattr(names.get(chain[0]), chain[1], None)
        if inspect.isfunction(helper) and helper.__module__ in HELPERS and helper not in seen:
            seen.add(helper)
            found |= _read_by(helper, seen)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_params_it_reads_and_no_others(stage: str):
    declared = declared_params(stage)
    # Where runs happen decides no result; the data is declared by its digest, wherever its files are.
    reads = {name for name in params_read(stage) if name.partition(".")[0] not in ("run", "dataset")}
    assert reads, "the code could not be read"
    if stage == "fit":  # it holds the table to the protocol that it should be of, which decides no result
        reads = {name for name in reads if name.partition(".")[0] != "characterize"}
    for name in reads:
        keys = {key for key in known_keys() if key == name or key.startswith(f"{name}.")}
        assert not keys or keys & declared, f"{stage} reads {name}"
    sections = {name.partition(".")[0] for name in reads} | {"base"}
    assert {name.partition(".")[0] for name in declared} <= sections | {"space", "hardware"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_own_protocol_and_on_the_data(stage: str):
    files = {path: keys for entry in DVC[stage]["params"] if isinstance(entry, dict) for path, keys in entry.items()}
    assert {f"protocol.{stage}", "hardware"} <= set(files["data/environment.json"])
    assert {"name", "input_shape", "classes"} <= set(files["data/dataset.json"])


def test_every_input_is_there_or_written_by_a_stage_before():
    written = {"data/rounds"}
    for entry in DVC.values():
        assert set(entry.get("deps", [])) <= written
        written |= {*entry["outs"], *(path for metrics in entry.get("metrics", []) for path in metrics)}


def test_no_path_of_a_machine_is_in_the_deployment():
    text = (source() / "prefect.yaml").read_text()
    deployment = YAML(typ="safe").load(text)["deployments"][0]
    assert deployment["entrypoint"] == "flows/pipeline.py:pipeline"
    assert (source() / "flows" / "pipeline.py").is_file()
    assert str(Path.home()) not in text
    assert "schedules" not in deployment
