import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from analognas import tracking
from analognas.errors import AnalogNASWarning, CorruptFileError
from analognas.files import digest, file_digest, write_parquet, write_sealed
from analognas.params import Params
from analognas.setup import template
from analognas.stages import STAGES
from analognas.tracking import state
from analognas.versioning import Versioning
from analognas.workspace import Paths

PARAMS = Params()

#: What the stages read and write in ``data/``, plots and metrics left out.
DATA: dict[str, tuple[list[str], list[str]]] = {
    "sample": ([], ["architectures.parquet"]),
    "characterize": (["architectures.parquet", "rounds"], ["surrogate.parquet"]),
    "fit": (["architectures.parquet", "rounds", "surrogate.parquet"], ["evaluator"]),
    "search": (["evaluator"], ["search"]),
    "train": (["search"], ["winner"]),
}


class Workspace:
    """A workspace with small files in the formats of the stages, and a ``dvc.lock`` that describes them."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.versioning = Versioning(root)

    def write(self, **versions: int) -> None:
        """Write what the stages would; another version of a stage is another result."""
        made = dict.fromkeys(STAGES, 0) | versions
        paths = self.paths
        paths.root.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template.source() / "dvc.yaml", paths.root / "dvc.yaml")
        write_sealed(paths.rounds / "000.json", {"architectures": []})
        write_sealed(paths.dataset, {
            "name": "digits", "digest": "d" * 64, "split_digest": "5" * 64, "sizes": {"train": 800, "test": 400},
        })  # fmt: skip
        write_parquet(paths.architectures, pd.DataFrame({"id": ["a", "b"], "params": [1, 2 + made["sample"]]}))
        write_parquet(paths.surrogate, pd.DataFrame({"id": ["a", "b"], "acc_1d": [90.5, 80.0 + made["characterize"]]}))
        write_sealed(paths.evaluator / "schema.json", {"version": made["fit"]})
        write_parquet(paths.search / "history.parquet", pd.DataFrame({"objective": [1.0, 2.0 + made["search"]]}))
        write_sealed(paths.winner / "architecture.json", {"version": made["train"]})
        for stage in STAGES:
            summary = {"version": made[stage], "note": "text", "nothing": None, "nested": {"value": 0.5}}
            if stage == "fit":
                tau = {"value": 0.7, "low": 0.6, "high": 0.8}
                summary |= {"architectures": 2, "targets": {"acc_1d": {"kendall_tau": tau}}}
            write_sealed(paths.metrics(stage), summary)
        paths.plot("train.csv").parent.mkdir(exist_ok=True)
        paths.plot("train.csv").write_text(
            "network,seconds,accuracy,std\nwinner,1,95,1\nwinner,86400,93.5,2\nplain net,1,80,1\n"
        )
        Image.new("L", (8, 6), made["train"]).save(paths.plot("train.png"))
        paths.plot("search.csv").write_text("search,evaluation,best\nea,1,\nea,2,50\nea,3,50\nea,4,60\n")
        self.lock(**versions)

    def lock(self, stages: tuple[str, ...] = STAGES, **versions: int) -> None:
        entries: dict[str, Any] = {}
        for stage in stages:
            inputs, outputs = ([self.paths.data / name for name in names] for names in DATA[stage])
            params = {stage: {"size": versions.get(stage, 0)}}
            entries[stage] = {
                "cmd": f"analognas stage {stage}",
                "deps": [self._entry(path) for path in inputs],
                "params": {"params.yaml": params, "data/environment.json": {"torch": "2"}},
                "outs": [self._entry(path) for path in [*outputs, self.paths.metrics(stage)]],
            }  # fmt: skip
        with (self.paths.root / "dvc.lock").open("w") as file:
            YAML(typ="safe").dump({"schema": "2.0", "stages": entries}, file)

    def _entry(self, path: Path) -> dict[str, str]:
        name = path.relative_to(self.paths.root).as_posix()
        if path.is_dir():
            return {"path": name, "md5": file_digest(path)[:32] + ".dir"}
        return {"path": name, "md5": hashlib.md5(path.read_bytes()).hexdigest()}

    def sync(self, *, failed: bool = False) -> tracking.SyncReport:
        return tracking.sync(self.paths, PARAMS, self.versioning, None, failed)

    def untracked(self) -> tuple[str, ...]:
        return state.untracked(self.paths, PARAMS, self.versioning)

    def client(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SQLAlchemy's own deprecations, as in sync()
            from mlflow import MlflowClient

            uri = tracking.tracking_uri(self.paths)
            return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def runs(self) -> dict[str, Any]:
        """All runs by id."""
        client = self.client()
        experiment = client.get_experiment_by_name(self.paths.root.name)
        return {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database costs seconds: it is made once, by the code under test."""
    made = Workspace(tmp_path_factory.mktemp("database") / "workspace")
    made.write()
    assert made.sync().warning is None
    return made.paths.root


@pytest.fixture
def workspace(empty_database: Path, tmp_path: Path) -> Workspace:
    """A workspace in which nothing is logged, but the database exists (with an experiment of somebody else's in it)."""
    made = Workspace(tmp_path / "space")
    made.write()
    shutil.copyfile(empty_database / "mlflow.db", made.paths.root / "mlflow.db")
    with contextlib.closing(sqlite3.connect(made.paths.root / "mlflow.db")) as database, database:
        database.execute("DELETE FROM tags")  # by which our runs are known
    for model in ("analognas-evaluator", "analognas-winner"):
        made.client().delete_registered_model(model)
    return made


def test_a_pipeline_is_a_parent_run_with_a_child_per_stage(workspace: Workspace):
    assert workspace.untracked() == STAGES
    report = workspace.sync()
    assert (report.logged, report.warning) == (STAGES, None)
    runs = workspace.runs()
    parent = runs.pop(str(report.run_id))
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"fit.targets.acc_1d.kendall_tau.value": 0.7}  # a few that matter, of all stages
    assert sorted(run.info.run_name for run in runs.values()) == sorted(STAGES)
    for run in runs.values():
        stage = run.info.run_name
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == report.run_id
        assert run.data.tags["analognas.stage_hash"] == workspace.versioning.stage_hash(stage)
        assert run.data.params == {f"{stage}.size": "0", "environment.torch": "2"}
        assert run.data.metrics["nested.value"] == 0.5
        assert parent.data.tags[f"analognas.stage.{stage}"] == run.info.run_id
    assert workspace.untracked() == ()
    assert (workspace.paths.root / ".analognas" / ".gitignore").read_text() == "*\n"


def test_limits_that_do_not_hold_are_seen_on_the_runs_that_people_open(workspace: Workspace):
    figures = {"limit": 5.0, "value": 6.5, "low": 5.5, "high": 7.5, "status": "broken"}
    for stage, status in (("search", "not shown"), ("train", "broken")):
        limits = {"status": status, "T_AVM": figures | {"status": status}}
        write_sealed(workspace.paths.metrics(stage), {"limits": limits, "nested": {"value": 0.5}})
    workspace.lock()
    report = workspace.sync()
    runs = workspace.runs()
    parent = runs.pop(str(report.run_id))
    told = {run.info.run_name: run.data.tags.get("analognas.limits") for run in runs.values()}
    assert told == {"sample": None, "characterize": None, "fit": None, "search": "not shown", "train": "broken"}
    assert parent.data.tags["analognas.limits"] == "broken"
    assert "search.T_AVM (at most 5 points lost in a month) is broken" in parent.data.tags["mlflow.note.content"]
    assert (
        runs[next(key for key, run in runs.items() if run.info.run_name == "train")].data.metrics["limits.T_AVM.value"]
        == 6.5
    )


def test_curves_are_metric_steps(workspace: Workspace):
    workspace.sync()
    client = workspace.client()
    by_name = {run.info.run_name: run.info.run_id for run in workspace.runs().values()}

    def steps(stage: str, key: str) -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in client.get_metric_history(by_name[stage], key)]

    assert steps("train", "drift.winner.accuracy") == [(1, 95.0), (86400, 93.5)]
    assert steps("train", "drift.plain_net.std") == [(1, 1.0)]
    assert steps("search", "best.ea") == [(2, 50.0), (4, 60.0)]


def test_data_has_dvcs_hash_and_plots_are_artifacts(workspace: Workspace):
    workspace.sync()
    by_name = {run.info.run_name: run for run in workspace.runs().values()}

    def data(stage: str) -> dict[str, str]:
        return {entry.dataset.name: entry.dataset.digest for entry in by_name[stage].inputs.dataset_inputs}

    paths, versioning = workspace.paths, workspace.versioning
    assert data("characterize") == {
        "architectures": versioning.data_hash(paths.architectures),
        "rounds": versioning.data_hash(paths.rounds),
        "surrogate": versioning.data_hash(paths.surrogate),
        "digits": "d" * 36,
    }
    assert data("search") == {
        "evaluator": versioning.data_hash(paths.evaluator),
        "search": versioning.data_hash(paths.search),
    }
    artifacts = {one.path for one in workspace.client().list_artifacts(by_name["train"].info.run_id, "plots")}
    assert artifacts == {"plots/train.csv", "plots/train.png"}
    assert str(paths.root) in by_name["train"].info.artifact_uri


def test_the_pages_of_mlflow_show_a_picture_of_the_drift_and_cards(workspace: Workspace):
    report = workspace.sync()
    client = workspace.client()
    pictures = [entry.path for entry in client.list_artifacts(str(report.run_id), "images")]
    assert (
        sum(path.startswith("images/accuracy_while_the_chip_drifts") and path.endswith(".png") for path in pictures)
        == 1
    )
    assert report.page == (
        f"experiments/{client.get_run(str(report.run_id)).info.experiment_id}/runs/{report.run_id}"
        "?workflowType=machine_learning"
    )
    card = client.get_model_version("analognas-evaluator", "1").description
    assert "| accuracy after 1 day | 0.70 (0.60 to 0.80) | - | - |" in card
    assert f"- data: digits, digest `{'d' * 12}`, split `{'5' * 12}`" in card
    assert "- chip: analognas-bench" in card


def test_nothing_is_logged_twice_even_without_the_marker(workspace: Workspace):
    first = workspace.sync()
    before = set(workspace.runs())
    assert workspace.sync() == tracking.SyncReport()
    shutil.rmtree(workspace.paths.root / ".analognas")
    again = workspace.sync()
    assert (again.run_id, again.logged) == (first.run_id, ())
    assert set(workspace.runs()) == before


def test_another_state_logs_what_is_new_and_links_the_rest(workspace: Workspace):
    first = workspace.sync()
    workspace.write(search=1, train=1)
    assert workspace.untracked() == ("search", "train")
    second = workspace.sync()
    assert second.logged == ("search", "train")
    runs = workspace.runs()
    old, new = runs[str(first.run_id)].data.tags, runs[str(second.run_id)].data.tags
    assert new["analognas.stage.fit"] == old["analognas.stage.fit"]
    assert new["analognas.stage.train"] != old["analognas.stage.train"]
    workspace.write()
    assert workspace.sync().run_id == first.run_id  # back again: all of it is known
    assert len(workspace.runs()) == len(runs)


def test_runs_are_told_apart_by_their_winners_and_a_name_that_somebody_gave_stays(workspace: Workspace):
    def found(winner: str) -> None:
        write_sealed(workspace.paths.metrics("train"), {"winner": {"id": winner}})
        workspace.lock()

    def parents() -> list[str]:
        every = workspace.runs().values()
        return sorted(run.info.run_name for run in every if "mlflow.parentRunId" not in run.data.tags)

    found("0123456789abcdef")
    first = workspace.sync().run_id
    (name,) = parents()
    assert name.endswith(", winner 01234567")
    workspace.client().update_run(first, name="The one for the paper")
    workspace.sync()
    found("fedcba9876543210")
    workspace.sync()
    assert parents() == ["The one for the paper", name.replace("01234567", "fedcba98")]


def test_a_run_that_failed_goes_on_in_the_same_parent(workspace: Workspace):
    workspace.lock(("sample", "characterize"))
    first = workspace.sync(failed=True)
    assert first.logged == ("sample", "characterize")
    assert workspace.runs()[str(first.run_id)].info.status == "FAILED"
    workspace.lock()
    second = workspace.sync()
    assert second.logged == ("fit", "search", "train")
    assert second.run_id == first.run_id
    assert workspace.runs()[str(first.run_id)].info.status == "FINISHED"


def test_a_stage_that_saw_other_inputs_is_left_out(workspace: Workspace):
    workspace.sync()
    fit_before = workspace.versioning.stage_hash("fit")
    lock = YAML(typ="safe").load((workspace.paths.root / "dvc.lock").read_text())
    workspace.write(characterize=1)
    new = YAML(typ="safe").load((workspace.paths.root / "dvc.lock").read_text())
    new["stages"]["fit"] = lock["stages"]["fit"]
    with (workspace.paths.root / "dvc.lock").open("w") as file:
        YAML(typ="safe").dump(new, file)
    assert workspace.versioning.stage_hash("fit") == fit_before
    assert workspace.untracked() == ("characterize",)


def test_a_run_that_was_cut_off_is_logged_anew(workspace: Workspace):
    workspace.sync()
    client = workspace.client()
    fit = next(run for run in workspace.runs().values() if run.info.run_name == "fit")
    client.update_run(fit.info.run_id, status="RUNNING")
    shutil.rmtree(workspace.paths.root / ".analognas")
    assert workspace.sync().logged == ("fit",)
    assert client.get_run(fit.info.run_id).info.status == "KILLED"


def test_models_are_registered_once_and_can_be_fetched(workspace: Workspace, tmp_path: Path):
    workspace.sync()
    client = workspace.client()
    assert client.get_registered_model("analognas-evaluator").aliases == {"champion": 1}
    assert client.get_registered_model("analognas-winner").aliases == {"champion": 1}
    fetched = tracking.download(workspace.paths, "analognas-evaluator", "champion", tmp_path)
    assert file_digest(fetched) == file_digest(workspace.paths.evaluator)
    workspace.write(train=1)
    workspace.sync()
    assert client.get_registered_model("analognas-evaluator").aliases == {"champion": 1}
    assert client.get_registered_model("analognas-winner").aliases == {"champion": 1, "challenger": 2}
    fetched = tracking.download(workspace.paths, "analognas-winner", "challenger", tmp_path)
    assert (fetched / "architecture.json").read_bytes() == (workspace.paths.winner / "architecture.json").read_bytes()


def test_a_version_whose_process_was_killed_before_its_alias_becomes_champion(workspace: Workspace):
    workspace.sync()
    client = workspace.client()
    client.delete_registered_model_alias("analognas-evaluator", "champion")
    shutil.rmtree(workspace.paths.root / ".analognas")
    workspace.sync()
    assert client.get_registered_model("analognas-evaluator").aliases == {"champion": 1}


def test_only_the_folder_of_a_run_is_fetched(workspace: Workspace, tmp_path: Path):
    (tmp_path / "anything").mkdir()
    client = workspace.client()
    client.create_registered_model("analognas-winner")
    for number, source in enumerate(("http://127.0.0.1:9/x", f"{tmp_path}/anything", "runs:/../x"), start=1):
        with contextlib.suppress(Exception):  # MLflow refuses some of these itself
            client.create_model_version("analognas-winner", source=source)
            client.set_registered_model_alias("analognas-winner", "champion", str(number))
            with pytest.raises(CorruptFileError, match="was not registered by analognas"):
                tracking.download(workspace.paths, "analognas-winner", "champion", tmp_path)


def test_how_long_a_stage_took_goes_to_mlflow_only_with_its_own_result(workspace: Workspace):
    state.note_duration(workspace.paths, "fit", workspace.versioning, 12.34)
    workspace.sync()
    workspace.write(fit=1)
    workspace.sync()
    found = [run.data.metrics.get("seconds") for run in workspace.runs().values() if run.info.run_name == "fit"]
    assert found == [None, 12.3]


def test_a_server_that_is_away_is_one_sentence_and_logged_later(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    report = workspace.sync()
    assert report.logged == ()
    assert report.warning == (
        "MLflow at http://127.0.0.1:9 refuses connections, so sample, characterize, fit, search and train are not "
        "logged: the results are kept, and the next `analognas run` logs them."
    )
    assert workspace.untracked() == STAGES
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert workspace.sync().logged == STAGES


def test_a_store_of_files_that_is_away_is_one_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    """MLflow's client writes to S3 itself, which would be tried for minutes."""
    workspace.client().create_experiment(workspace.paths.root.name, artifact_location="s3://team/artifacts")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    report = workspace.sync()
    assert time.monotonic() - started < 30
    assert report.warning is not None
    assert "keeps files in s3://team/artifacts, and http://127.0.0.1:9 refuses connections, so " in report.warning
    assert "the next `analognas run` logs them" in report.warning


@pytest.mark.parametrize("spoil", [lambda content: content[: len(content) // 2], lambda content: b"text" * 4096])
def test_a_damaged_database_is_told_with_the_remedy(workspace: Workspace, spoil: Callable[[bytes], bytes]):
    database = workspace.paths.root / "mlflow.db"
    database.write_bytes(spoil(database.read_bytes()))
    report = workspace.sync()
    assert report.logged == ()
    assert f"MLflow's database {database} is damaged: move it away" in str(report.warning)
    assert workspace.untracked() == STAGES


@pytest.mark.parametrize("part", [None, 0.0, 0.5])
def test_a_database_that_is_deleted_empty_or_cut_off_is_noticed(workspace: Workspace, part: float | None):
    workspace.sync()
    assert workspace.untracked() == ()
    database = workspace.paths.root / "mlflow.db"
    if part is None:
        database.unlink()
    else:
        database.write_bytes(database.read_bytes()[: int(part * database.stat().st_size)])
    assert workspace.untracked() == STAGES


def test_what_has_not_run_is_not_logged(tmp_path: Path):
    paths = Paths(tmp_path)
    assert tracking.sync(paths, PARAMS, None) == tracking.SyncReport()
    assert not (tmp_path / "mlflow.db").exists()


def test_without_dvc_a_result_is_known_by_its_content(workspace: Workspace):
    report = tracking.sync(workspace.paths, PARAMS, None)
    assert report.logged == STAGES
    assert state.untracked(workspace.paths, PARAMS, None) == ()
    run = next(run for run in workspace.runs().values() if run.info.run_name == "sample")
    assert run.data.params["sample.size"] == str(PARAMS.sample.size)
    assert run.inputs.dataset_inputs[0].dataset.digest == file_digest(workspace.paths.architectures)[:36]
    workspace.write(train=1)
    assert state.untracked(workspace.paths, PARAMS, None) == ("train",)


def test_a_workspace_that_was_moved_goes_on_with_its_runs_and_writes_into_itself(workspace: Workspace, tmp_path: Path):
    workspace.sync()
    old, runs = workspace.paths.root, set(workspace.runs())
    other = Workspace(old.rename(tmp_path / "other ?"))
    with pytest.warns(AnalogNASWarning, match="experiment space is called other"):
        assert other.sync().logged == ()
    assert set(other.runs()) == runs
    other.write(train=1)
    assert other.sync().logged == ("train",)
    fetched = tracking.download(other.paths, "analognas-winner", "challenger", tmp_path)
    assert file_digest(fetched) == file_digest(other.paths.winner)
    assert not old.exists()


def test_a_damaged_lock_is_told_and_not_raised(workspace: Workspace):
    (workspace.paths.root / "dvc.lock").write_text("[]")
    assert "dvc.lock is damaged" in str(workspace.sync().warning)


@pytest.mark.slow
def test_a_real_server(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    place = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", f"{tmp_path}/away"]
    shutil.copyfile(workspace.paths.root / "mlflow.db", tmp_path / "server.db")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *place],
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(f"{url}/health", server)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url.replace("//", "//anna:not-written@"))
        assert workspace.sync().logged == STAGES
        assert workspace.untracked() == ()
        fetched = tracking.download(workspace.paths, "analognas-winner-space", "champion", tmp_path)
        assert file_digest(fetched) == file_digest(workspace.paths.winner)
        # Another workspace on the same server has a champion of its own.
        other = Workspace(tmp_path / "other")
        other.write(fit=1)
        assert other.sync().logged == STAGES
        client = workspace.client()
        for name in ("space", "other"):
            aliases = client.get_registered_model(f"analognas-evaluator-{name}").aliases
            assert {alias: int(version) for alias, version in aliases.items()} == {"champion": 1}
        fetched = tracking.download(other.paths, "analognas-evaluator-other", "champion", tmp_path / "other")
        assert file_digest(fetched) == file_digest(other.paths.evaluator)
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in written if b"not-written" in path.read_bytes()]
        assert capfd.readouterr().out == ""  # `--json` writes there
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 250
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"{url} did not come up")


def test_the_state_of_a_pipeline_is_named_by_its_stages(workspace: Workspace):
    report = workspace.sync()
    hashes = state.stage_hashes(workspace.paths, workspace.versioning)
    tags = workspace.runs()[str(report.run_id)].data.tags
    assert tags["analognas.state"] == digest(list(hashes.values()))
    assert tags["analognas.stages"] == " ".join(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_the_data_of_a_stage_is_what_dvc_yaml_declares(workspace: Workspace, stage: str):
    data = workspace.paths.data
    assert state.stage_data(workspace.paths, stage) == tuple([data / name for name in names] for names in DATA[stage])
