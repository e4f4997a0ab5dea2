from __future__ import annotations

from pathlib import Path

import pytest

from analognas.errors import CorruptFileError, InputError, WorkspaceError
from analognas.params import Params
from analognas.stages.measuring import Asked, measure
from analognas.training.own import OwnNetwork
from analognas.workspace import Paths

SOURCE = """
from torch import nn


def net():
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, {width}), nn.ReLU(), nn.Linear({width}, 10))


def same():
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.Flatten(), nn.Linear(256, 10))
"""


def module(paths: Paths, monkeypatch: pytest.MonkeyPatch, name: str, width: int = 4) -> str:
    monkeypatch.chdir(paths.root)
    (paths.root / f"{name}.py").write_text(SOURCE.format(width=width))
    return f"{name}:net"


def never(*_: object, **__: object) -> None:
    raise AssertionError("it is trained again")


def test_it_is_measured_once_and_kept(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    params, asked = Params.load(workspace.params), Asked(module(workspace, monkeypatch, "measured_once"))
    stored = measure(asked, params, workspace)
    assert (stored.name, stored.figures["params"], stored.sensitivity) == ("net", 68 + 50, None)
    assert (workspace.measured / ".gitignore").read_text() == "*\n"
    monkeypatch.setattr(OwnNetwork, "measure", never)
    assert measure(asked, params, workspace) == stored
    rows = measure(Asked(asked.where, sensitivity=True), params, workspace).sensitivity
    assert rows is not None
    assert [row["layer"] for row in rows] == ["2", "4"]
    kept = measure(asked, params, workspace)
    assert (kept.sensitivity, kept.figures) == (rows, stored.figures)
    with pytest.raises(InputError, match="was measured with another protocol: give this one a --name of its own"):
        measure(asked, params.model_copy(update={"train": params.train.model_copy(update={"epochs": 3})}), workspace)
    with pytest.raises(InputError, match="was measured with another network"):
        measure(Asked(module(workspace, monkeypatch, "measured_other", width=5), name="net"), params, workspace)


def test_another_network_of_its_name_is_replaced_if_that_is_asked(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    params = Params.load(workspace.params)
    made = []
    original = OwnNetwork.measure

    def counted(self: OwnNetwork, *given: object, **more: object) -> object:
        made.append(self.params)
        return original(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(OwnNetwork, "measure", counted)
    measure(Asked(module(workspace, monkeypatch, "replaced_a", width=1), name="x"), params, workspace)
    other = Asked(module(workspace, monkeypatch, "replaced_b", width=2), name="x", replace=True)
    assert measure(other, params, workspace).figures["params"] == 64
    measure(other, params, workspace)
    assert made == [37, 64]
    model = workspace.measured / "x" / "model.safetensors"
    model.write_bytes(b"")
    with pytest.raises(CorruptFileError):
        measure(Asked(other.where, name="x"), params, workspace)
    measure(other, params, workspace)
    assert made == [37, 64, 64]


def test_what_cannot_work_is_refused_and_nothing_is_written(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    params, where = Params.load(workspace.params), module(workspace, monkeypatch, "refused")
    asked = [
        (Asked("refused:nothing"), "network 'refused:nothing' cannot be imported (refused has no nothing)"),
        (Asked("nowhere:net"), "there is no such module"),
        (Asked("net"), "write module:name"),
        (Asked("refused:same"), "write padding=1"),
        (Asked(where, name="a/b"), "no name of a network"),
        (Asked(where, weights=Path("none.pt")), "none.pt is missing"),
    ]
    for one, words in asked:
        with pytest.raises(InputError) as refused:
            measure(one, params, workspace)
        assert words in str(refused.value)
    assert not workspace.measured.exists()
    (workspace.measured / "net").mkdir(parents=True)
    (workspace.measured / "net" / "mine").touch()
    monkeypatch.setattr(OwnNetwork, "measure", never)
    with pytest.raises(WorkspaceError, match="holds mine"):
        measure(Asked(where), params, workspace)


def test_what_becomes_of_it_is_told_before_it_is_trained(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    module(workspace, monkeypatch, "told_before")
    with (workspace.root / "told_before.py").open("a") as file:
        file.write("\n\ndef evaluated():\n    return net().eval()\n")
    said: list[str] = []

    def ended(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OwnNetwork, "measure", ended)
    with pytest.raises(KeyboardInterrupt):
        measure(Asked("told_before:evaluated"), Params.load(workspace.params), workspace, tell=said.append)
    assert len(said) == 1
    assert said[0].startswith("The network comes in evaluation mode")
