from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import InputError, WorkspaceError
from analognas.orchestration import deployments
from analognas.orchestration.deployments import Place, existing, identify
from analognas.orchestration.server import configure_prefect
from analognas.workspace import Paths

ANNA = Place("/home/anna/digits", "lab", "anna")


def test_names_are_readable_and_of_one_workspace_alone():
    assert ANNA.name.startswith("digits-")
    assert ANNA.name == Place("/home/anna/digits", "lab", "bert").name  # who starts it does not move a workspace
    others = [Place("/home/bert/digits", "lab", "anna"), Place("/home/anna/digits", "office", "anna")]
    assert len({place.name for place in (ANNA, *others)}) == 3
    assert ANNA.tags == ["analognas", "anna@lab"]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("two words", "two-words"), ("a/b%c&d<e>", "b-c-d-e"), ("Größe", "Gr-e"), ("...", "workspace"), ("x.py", "x.py")],
)
def test_a_name_holds_what_prefect_takes(folder: str, expected: str):
    name, _, digest = Place(f"/{folder}", "lab", "anna").name.rpartition("-")
    assert name == expected
    assert len(digest) == 8


def test_the_place_is_that_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deployments.pwd, "getpwuid", lambda number: SimpleNamespace(pw_name="anna"))
    monkeypatch.setattr(deployments.socket, "gethostname", lambda: "lab")
    monkeypatch.setenv("USER", "somebody")
    assert Place.of(Paths(tmp_path)) == Place(str(tmp_path), "lab", "anna")


def test_a_number_without_an_account_is_an_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr(deployments.pwd, "getpwuid", unknown)
    assert Place.of(Paths(tmp_path)).user.isdigit()


@pytest.fixture
def on_the_server(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What stands for the deployments of a Prefect server, by name."""
    configure_prefect()
    from prefect.exceptions import ObjectNotFound

    there: dict[str, Any] = {}

    class Client:
        def read_deployment_by_name(self, name: str) -> Any:
            if name not in there:
                raise ObjectNotFound(Exception(name))
            return there[name]

    @contextlib.contextmanager
    def get_client(*, sync_client: bool) -> Iterator[Client]:
        assert sync_client
        yield Client()

    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    return there


def test_a_deployment_of_somebody_else_is_refused(on_the_server: dict[str, Any]):
    assert existing(ANNA, "retrain") is None
    on_the_server[f"retrain/{ANNA.name}"] = SimpleNamespace(tags=["analognas", "anna@lab"])
    assert existing(ANNA, "retrain") is on_the_server[f"retrain/{ANNA.name}"]
    bert = Place(ANNA.root, ANNA.host, "bert")
    with pytest.raises(InputError, match=rf"retrain/{ANNA.name} on Prefect's server belongs to anna@lab: let them"):
        existing(bert, "retrain")
    assert existing(bert, "pipeline") is None
    on_the_server[f"pipeline/{ANNA.name}"] = SimpleNamespace(tags=[])
    with pytest.raises(InputError, match="belongs to somebody else"):
        existing(bert, "pipeline")


def test_the_step_of_a_deployment_names_the_workspace_it_runs_in(
    workspace: Paths, tmp_path: Path, on_the_server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(workspace.root / "flows")
    place = Place.of(workspace)
    assert identify() == {"name": place.name, "tags": place.tags}
    on_the_server[f"retrain/{place.name}"] = SimpleNamespace(tags=["analognas", "anna@lab"])
    with pytest.raises(InputError, match="belongs to anna@lab"):
        identify()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError):
        identify()
