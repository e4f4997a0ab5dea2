"""The flow ``retrain`` with characterizations by formula, on a real Prefect server."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas import tracking
from analognas.errors import InputError, StageError, WorkspaceError
from analognas.files import file_digest, read_sealed
from analognas.orchestration import characterizing, deployments, flows, retraining, serving
from analognas.params import Params
from analognas.params.file import override
from analognas.retraining import Workbench, assess
from analognas.setup.template import source
from analognas.stages import inputs
from analognas.stages.rounds import read_rounds
from analognas.workspace import Paths


class InlinePool:
    """Computes in the same process; ends the run after ``dies_after`` characterizations, as a kill does."""

    dies_after: int | None = None

    def __init__(self, processes: int) -> None:
        self.done = 0

    def submit(self, function: Callable[[Any], Any], job: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if InlinePool.dies_after is not None and self.done >= InlinePool.dies_after:
            future.set_exception(StageError("killed."))
            return future
        self.done += 1
        future.set_result(function(job))
        return future

    def close(self) -> None:
        pass


class Retrain:
    """The flow in a workspace."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.progress: list[tuple[str, str]] = []
        self.artifacts: list[dict[str, Any]] = []

    def run(self, *, force: bool = False) -> dict[str, Any]:
        params = Params.load(self.paths.params)
        return retraining.run_retraining(
            self.paths, params, force=force, progress=lambda step, _, __, text: self.progress.append((step, text))
        ).summary()

    @property
    def rounds(self) -> list[Any]:
        return read_rounds(self.paths, inputs.space(Params.load(self.paths.params), self.paths))


@pytest.fixture
def retrain(retrained: Paths, formula: Any, monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> Iterator[Retrain]:
    made = Retrain(retrained)
    InlinePool.dies_after = None
    monkeypatch.setattr(characterizing, "Pool", InlinePool)
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport())
    monkeypatch.setattr(
        "prefect.artifacts.create_markdown_artifact", lambda text, **how: made.artifacts.append({"text": text, **how})
    )
    yield made
    InlinePool.dies_after = None


def test_an_accepted_round_is_the_new_evaluator(retrain: Retrain, formula: Any):
    before = file_digest(retrain.paths.evaluator)
    done = retrain.run(force=True)
    assert (done["retrained"], done["decision"]) == (True, "accepted")
    assert file_digest(retrain.paths.evaluator) == done["record"]["challenger"]["digest"] != before
    assert len(formula.asked) == 54  # the round and the sentinel set, once each
    assert [step for step, text in retrain.progress if text.startswith("round 001-")] == ["propose", "decide"]
    (artifact,) = retrain.artifacts
    assert artifact["key"] == "retraining"
    assert artifact["text"].startswith("# Round 001-")
    text = retraining.next_steps(done)
    assert "analognas run" in text
    assert "analognas champion rollback" in text
    assert "git add params.yaml dvc.lock data" in text
    assert not assess(Workbench(Params.load(retrain.paths.params), retrain.paths)).anything


def test_a_killed_retraining_goes_on_where_it_was(retrain: Retrain, formula: Any):
    formula.all_noise = True
    override(retrain.paths.params, ["retrain.round_size=4"])
    before = file_digest(retrain.paths.evaluator)
    InlinePool.dies_after = 20
    with pytest.raises(StageError):
        retrain.run(force=True)
    assert [one.decision for one in retrain.rounds] == ["accepted", "pending"]
    assert len(formula.asked) == 20
    (waiting,) = retrain.paths.rounds.glob("001-*.json")
    content = waiting.read_bytes()
    sentinel = (retrain.paths.rounds / "sentinel.json").read_bytes()

    InlinePool.dies_after = None
    done = retrain.run()  # without --force: the round waits
    assert done["decision"] == "rejected"
    assert len(formula.asked) == len(set(formula.asked)) == 28
    assert (retrain.paths.rounds / "sentinel.json").read_bytes() == sentinel
    after = read_sealed(waiting, remedy="")
    assert json.loads(content)["architectures"] == after["architectures"]
    assert file_digest(retrain.paths.evaluator) == before
    assert [len(one.entries) for one in retrain.rounds] == [0, 4]


def test_two_retrainings_do_not_mix(retrain: Retrain, another_run: Callable[..., Any]):
    with another_run(retrain.paths), pytest.raises(WorkspaceError, match="Another run works in"):
        retrain.run(force=True)
    assert not list(retrain.paths.rounds.glob("001*"))


def test_the_flow_can_be_started_by_a_schedule(retrain: Retrain):
    override(retrain.paths.params, ["retrain.round_size=4"])
    module = flows.load_flow(retrain.paths.root / "flows" / "retrain.py")
    done = module.retrain(str(retrain.paths.root))
    assert (done["retrained"], done["needed"]) == (False, [])
    assert retrain.artifacts[0]["text"].startswith("The champion needs no retraining.")


def test_what_the_user_should_know_stands_in_the_state(retrain: Retrain, monkeypatch: pytest.MonkeyPatch):
    away = tracking.SyncReport(warning="MLflow at http://127.0.0.1:9 refuses connections.")
    monkeypatch.setattr(tracking, "sync", lambda *_: away)
    module = flows.load_flow(retrain.paths.root / "flows" / "retrain.py")
    state = module.retrain(str(retrain.paths.root), return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert away.warning in state.message
    assert state.result()["retrained"] is False


def test_the_server_says_what_became_of_the_runs_that_were_due(tmp_path: Path, prefect_server: None):
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled, Scheduled

    place = deployments.Place.of(Paths(tmp_path))
    first, second, third = (datetime.now(UTC) + timedelta(minutes=minute) for minute in (-2, -1, 9))
    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("retrain")
        for name in (place.name, f"{place.name}-of-another"):
            deployment = client.create_deployment(flow, name=name)
            for date in (first, second, third):
                run = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=date))
                if date == second and name == place.name:
                    client.set_flow_run_state(run.id, Cancelled(), force=True)
    near = timedelta(seconds=1)
    due = {first: ("SCHEDULED", "Scheduled"), second: ("CANCELLED", "Cancelled")}
    assert serving.due_runs(place, first - near, second + near) == due
    assert serving.due_runs(place, first - 3 * near, first - near) == {}


def test_the_tasks_of_the_flow_are_called_in_order():
    tree = ast.parse((source() / "flows" / "retrain.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    body = functions.pop("retrain")
    called = [node.func.id for node in ast.walk(body) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    used = [name for name in functions if name in called or name == "characterize_chunk"]
    assert used == list(functions)
    order = ["ask", "sentinel", "propose", "challenge", "decide", "characterize", "fit"]
    text = ast.unparse(body)
    assert [text.index(f"{name}()") for name in order] == sorted(text.index(f"{name}()") for name in order)
    for name, node in functions.items():  # thin: each calls one function of the installed package
        assert len(node.body) == 2, name


def test_a_run_that_is_due_while_another_one_works_is_left_out(retrain: Retrain, another_run: Callable[..., Any]):
    module = flows.load_flow(retrain.paths.root / "flows" / "retrain.py")
    with another_run(retrain.paths):
        state = module.retrain(str(retrain.paths.root), force=True, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Skipped")
    assert state.message.startswith(f"Left out: Another run works in {retrain.paths.root}")
    assert not (retrain.paths.rounds / "001.json").exists()


def test_no_deployment_leases_a_slot_that_can_be_lost():
    document = YAML(typ="safe").load((source() / "prefect.yaml").read_text())
    assert [one["entrypoint"] for one in document["deployments"]] == [
        "flows/pipeline.py:pipeline", "flows/retrain.py:retrain",
    ]  # fmt: skip
    for deployment in document["deployments"]:
        assert "concurrency_limit" not in deployment
        assert deployment["name"] == "{{ workspace.name }}"
    ((step, given),) = document["build"][0].items()
    module, _, name = step.rpartition(".")
    assert given == {"id": "workspace"}
    assert getattr(import_module(module), name) is deployments.identify


def test_a_schedule_that_is_none_is_named(retrain: Retrain):
    from prefect.settings import get_current_settings

    assert get_current_settings().api.url
    with pytest.raises(InputError, match="write five fields"):
        serving.serve(retrain.paths, cron="every monday")
