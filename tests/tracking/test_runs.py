from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import Metric

from analognas.errors import CorruptFileError
from analognas.files import digest, write_sealed
from analognas.tracking import runs
from analognas.tracking.runs import Synchroniser
from analognas.workspace import Paths


class Client:
    """As much of MLflow's client as one run needs."""

    def __init__(self) -> None:
        self.batches: list[dict[str, list[Any]]] = []
        self.tags: dict[str, str] = {}
        self.datasets: list[Any] = []
        self.status, self.end = "RUNNING", 0
        self.files: dict[str, list[str]] = {}

    def log_batch(self, _run: str, **entities: list[Any]) -> None:
        self.batches.append(entities)

    def get_run(self, _run: str) -> Any:
        info = SimpleNamespace(status=self.status, start_time=1_000)
        return SimpleNamespace(data=SimpleNamespace(tags=self.tags), info=info)

    def log_inputs(self, _run: str, datasets: list[Any]) -> None:
        self.datasets += datasets

    def log_artifact(self, _run: str, path: str, place: str) -> None:
        self.files.setdefault(place, []).append(Path(path).name)

    def log_artifacts(self, _run: str, path: str, place: str) -> None:
        self.files.setdefault(place, []).extend(sorted(file.name for file in Path(path).iterdir()))

    def set_tag(self, _run: str, name: str, value: str) -> None:
        self.tags[name] = value

    def set_terminated(self, _run: str, status: str, end_time: int) -> None:
        self.status, self.end = status, end_time


@pytest.fixture
def synchroniser(tmp_path: Path) -> Any:
    """Return one that talks to a client that only takes notes."""
    made: Any = Synchroniser.__new__(Synchroniser)
    made._client, made._paths, made._experiment, made._versioning = Client(), Paths(tmp_path), "1", None
    return made


@pytest.mark.parametrize(
    ("name", "folder"),
    [("digits", "digits"), ("team/digits", "team_digits"), ("..", "_"), (".hidden", "hidden"), ("", "_")],
)
def test_artifacts_of_an_experiment_have_one_folder_in_the_workspace(tmp_path: Path, name: str, folder: str):
    assert runs.artifact_folder(Paths(tmp_path), name) == tmp_path / "mlartifacts" / folder


@pytest.mark.parametrize(
    "source",
    [
        "http://127.0.0.1:9/x",
        "/etc",
        "runs:/../x",
        f"runs:/{'0' * 31}/evaluator",
        f"runs:/{'0' * 32}/a/b",
        "models:/x/1",
    ],
)
def test_only_the_folder_of_a_run_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str):
    version = SimpleNamespace(version=3, source=source)
    client = SimpleNamespace(get_model_version_by_alias=lambda name, alias: version)
    monkeypatch.setattr(runs, "MlflowClient", lambda **_: client)
    monkeypatch.setattr(runs, "download_artifacts", lambda found, **_: f"{tmp_path}/{found[-9:]}")
    with pytest.raises(CorruptFileError, match="Version 3 of m was not registered by analognas: give the alias champ"):
        runs.download("http://127.0.0.1:9", "m", "champion", tmp_path)
    version.source = f"runs:/{'0' * 32}/evaluator"
    assert runs.download("http://127.0.0.1:9", "m", "champion", tmp_path) == tmp_path / "evaluator"


def test_parameters_are_flat_and_what_is_empty_is_kept():
    values = {"base": {"seed": 0}, "space": {"ranges": {"M": [1, 2]}, "more": {}}, "fit": None}
    assert dict(runs._flat(values)) == {
        "base.seed": "0", "space.ranges.M": "[1, 2]", "space.more": "{}", "fit": "None",
    }  # fmt: skip


def test_what_git_holds_is_kept_with_the_run_as_a_workspace_has_it(synchroniser: Any):
    root = synchroniser._paths.root
    for name in ("params.yaml", "dvc.lock", "data/metrics/fit.json", "data/rounds/000.json", "data/winner/winner.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    synchroniser._keep_files("run")
    assert synchroniser._client.files == {
        "workspace": ["params.yaml", "dvc.lock"],
        "workspace/data/metrics": ["fit.json"],
        "workspace/data/rounds": ["000.json"],
    }


def test_limits_are_tags_with_a_sentence_for_each():
    figures = {"limit": 5.0, "value": 6.5, "low": 5.5, "high": 7.5, "status": "broken"}
    told = runs._limits({"limits": {"status": "broken", "T_AVM": figures}})
    assert told["analognas.limits"] == "broken"
    assert told["mlflow.note.content"].startswith(
        "Limit search.T_AVM (at most 5 points lost in a month) is broken: 6.5"
    )
    assert runs._limits({"limits": {"status": "held"}}) == {"analognas.limits": "held"}
    assert runs._limits({"rows": 3}) == {}


def test_what_is_logged_keeps_to_the_limits_of_mlflow(synchroniser: Any):
    metrics = [Metric(str(number), 1.0, 0, 0) for number in range(1001)]
    synchroniser._log("run", metrics, {str(number): "x" * 7000 for number in range(101)})
    sizes = [(kind, len(rows)) for batch in synchroniser._client.batches for kind, rows in batch.items()]
    assert sizes == [("metrics", 1000), ("metrics", 1), ("params", 100), ("params", 1)]
    assert {len(one.value) for one in synchroniser._client.batches[2]["params"]} == {6000}


def test_a_run_has_the_headlines_of_all_its_stages_once_and_takes_as_long_as_they_did(synchroniser: Any):
    hashes = {"sample": "1", "characterize": "2"}
    for name, figures in (("sample", {"architectures": 3, "params_max": 9}), ("characterize", {"acc_1d_max": 4})):
        write_sealed(synchroniser._paths.metrics(name), figures)
    client = synchroniser._client
    told = {"analognas.prefect": "http://127.0.0.1:4200/runs/flow-run/7"}
    synchroniser._close("run", hashes, told, 4_000, failed=False)
    assert [(metric.key, metric.value) for metric in client.batches[0]["metrics"]] == [
        ("sample.architectures", 3.0), ("characterize.acc_1d_max", 4.0),
    ]  # fmt: skip
    assert client.tags["analognas.state"] == digest(["1", "2"])
    assert client.tags["analognas.stages"] == "sample characterize"
    assert client.tags["analognas.prefect"] == "http://127.0.0.1:4200/runs/flow-run/7"
    assert (client.status, client.end) == ("FINISHED", 1_000 + 4_000)
    synchroniser._close("run", hashes, told, 9_000, failed=True)  # a colleague's, later
    assert (len(client.batches), client.status, client.end) == (1, "FINISHED", 5_000)


def test_a_run_that_ended_with_an_error_says_so_until_it_is_gone_on_with(synchroniser: Any):
    client = synchroniser._client
    synchroniser._close("run", {"sample": "1"}, {}, 0, failed=True)
    assert client.status == "FAILED"
    synchroniser._close("run", {"sample": "1"}, {}, 0, failed=False)
    assert (client.status, len(client.batches)) == ("FINISHED", 0)
    synchroniser._close("run", {"sample": "1", "characterize": "2"}, {}, 0, failed=False)
    assert client.status == "FINISHED"


def test_the_data_are_named_on_the_run_that_people_open(synchroniser: Any):
    write_sealed(
        synchroniser._paths.dataset,
        {"name": "digits", "digest": "d" * 64, "split_digest": "5" * 64, "sizes": {"train": 8}},
    )
    synchroniser._close("run", {"sample": "1"}, {}, 0, failed=False)
    (used,) = synchroniser._client.datasets
    assert used.dataset.name == "digits"
    assert used.tags[0].value == "training, validation and test"


def test_a_digest_fits_into_mlflow_and_says_which_split_it_was(tmp_path: Path):
    described = {"name": "digits", "digest": "d" * 64, "split_digest": "5" * 64, "sizes": {"train": 800, "test": 400}}
    paths = Paths(tmp_path)
    write_sealed(paths.dataset, described)
    found = runs._images(paths)
    assert (found.name, found.digest) == ("digits", "d" * 36)
    assert found.profile == f"test 400, train 800; split {'5' * 64}"
