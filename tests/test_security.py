"""What docs/security.md promises: nothing from elsewhere is executed or leaves its place, and no secret is told."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import analognas
from analognas import tracking
from analognas.errors import AnalogNASError, CorruptFileError, TrustError
from analognas.evaluators.registry import load_evaluator
from analognas.files import digest, file_digest, read_parquet, write_json, write_parquet, write_sealed
from analognas.params import Params
from analognas.report import where_to_look
from analognas.results import ResultStore
from analognas.setup.template import source
from analognas.stages import inputs
from analognas.stages.rounds import read_rounds
from analognas.testing import made_up_result
from analognas.training import load_winner
from analognas.workspace import Paths


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """What a bomb makes; it must not be there at the end."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


@pytest.fixture
def bombs(mark: Path) -> dict[str, bytes]:
    """Bombs as files of every kind that Python's libraries unpickle."""
    import torch

    array, tensors = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    torch.save(Bomb(mark), tensors)
    plain = {f"pickle{protocol}": pickle.dumps(Bomb(mark), protocol) for protocol in range(6)}
    return plain | {"npy": array.getvalue(), "torch": tensors.getvalue()}


def test_the_bombs_go_off_where_they_are_unpickled(tmp_path: Path):
    for number in range(6):
        pickle.loads(pickle.dumps(Bomb(tmp_path / str(number)), number))
        assert (tmp_path / str(number)).is_dir()


def resign(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a file of a folder's digests and sign it again, as somebody would who wants it to be read."""
    content = json.loads((folder / name).read_text())
    content.pop("digest")
    change(content)
    write_json(folder / name, content | {"digest": digest(content)})


def plant(folder: Path, name: str, file: str, bomb: bytes) -> None:
    """Put a bomb in the place of a file, with the right digest."""
    (folder / file).write_bytes(bomb)
    resign(folder, name, lambda content: content["files"].update({file: hashlib.sha256(bomb).hexdigest()}))


def test_no_file_of_an_evaluator_is_unpickled(champion: Paths, tmp_path: Path, bombs: dict[str, bytes], mark: Path):
    names = json.loads((champion.evaluator / "schema.json").read_text())["files"]
    files = ["anchors.npy", next(name for name in names if name.endswith(".ubj"))]
    for number, (file, bomb) in enumerate((file, bomb) for file in files for bomb in bombs.values()):
        folder = Path(shutil.copytree(champion.evaluator, tmp_path / f"evaluator{number}"))
        plant(folder, "schema.json", file, bomb)
        with pytest.raises(CorruptFileError):
            load_evaluator(folder)
        assert not mark.exists()


def test_no_file_of_a_winner_is_unpickled(finished: Paths, tmp_path: Path, bombs: dict[str, bytes], mark: Path):
    for number, bomb in enumerate(bombs.values()):
        folder = Path(shutil.copytree(finished.winner, tmp_path / f"winner{number}"))
        plant(folder, "winner.json", "model.safetensors", bomb)
        with pytest.raises(CorruptFileError, match=r"model\.safetensors"):
            load_winner(folder)
        assert not mark.exists()


def test_files_that_lie_beside_are_not_looked_at(finished: Paths, tmp_path: Path, bombs: dict[str, bytes], mark: Path):
    for folder in (finished.evaluator, finished.winner):
        copy = Path(shutil.copytree(folder, tmp_path / folder.name))
        for name in ("weights.pt", "model.pkl", "evaluator.joblib", "MLmodel", "python_model.pkl", "model.npy"):
            (copy / name).write_bytes(bombs["pickle4"])
        for name in ("__init__.py", "sitecustomize.py", "xgboost.py", "schema.py"):
            (copy / name).write_text(f"import os; os.mkdir({str(mark)!r})")
    load_evaluator(tmp_path / "evaluator")
    load_winner(tmp_path / "winner")
    assert not mark.exists()


def test_no_result_is_unpickled(tmp_path: Path, bombs: dict[str, bytes], mark: Path):
    store = ResultStore(tmp_path / "store")
    key = store.put(*made_up_result(1))
    for bomb in bombs.values():
        store.path(key).write_bytes(bomb)
        with pytest.raises(CorruptFileError):
            store.get(key)
        assert not mark.exists()


class _Extension(pa.ExtensionType):
    """A column type whose description holds a pickle, as Arrow's own once did."""

    def __init__(self, bomb: bytes, name: str) -> None:
        self._bomb = bomb
        super().__init__(pa.int64(), name)

    def __arrow_ext_serialize__(self) -> bytes:
        return self._bomb

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Any:
        raise AssertionError("it is not registered")


def test_no_table_is_unpickled(tmp_path: Path, bombs: dict[str, bytes], mark: Path):
    bomb = bombs["pickle2"]
    for number, name in enumerate(("arrow.py_extension_type", "pandas.period", "pandas.interval", "own.type")):
        column = pa.ExtensionArray.from_storage(_Extension(bomb, name), pa.array([1, 2]))
        metadata = {"columns": [], "index_columns": [], "column_indexes": [], "attributes": bomb.hex()}
        table = pa.table({"genes": column, "raw": pa.array([bomb, bomb])})
        described = {b"pandas": json.dumps(metadata).encode(), b"PANDAS_ATTRS": bomb, b"ARROW:schema": bomb}
        pq.write_table(table.replace_schema_metadata(described), tmp_path / f"{number}.parquet")
        with contextlib.suppress(CorruptFileError):
            read_parquet(tmp_path / f"{number}.parquet", remedy="")
        assert not mark.exists()
    (tmp_path / "x.parquet").write_bytes(bomb)
    with pytest.raises(CorruptFileError):
        read_parquet(tmp_path / "x.parquet", remedy="")


#: What runs code that stands in a file. `find_class` of these two modules knows a few harmless names and no others.
_LOADS = {
    "load", "loads", "Unpickler", "read_pickle", "load_model", "load_state_dict_from_url", "unsafe_load", "full_load",
}  # fmt: skip
_HARMLESS = {"json", "booster", "datasets", "Params", "ResultStore", "safetensors", "self", "cls", "restricted_pickle"}
_RESTRICTED = {"datasets/restricted_pickle.py", "search_spaces/nasbench201/table.py"}


def test_nothing_in_the_package_unpickles_or_evaluates():
    """A new call of this kind has to be looked at, and listed here if it is harmless."""
    folder = Path(analognas.__file__).parent
    files = [*folder.rglob("*.py"), *(source() / "flows").glob("*.py")]
    assert len(files) > 100
    found = []
    for file in files:
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
        if name in _RESTRICTED or name.startswith("testing/"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            imported = [one.name for one in getattr(node, "names", [])] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
            found += [f"{name}: import {one}" for one in imported if one.split(".")[0] in modules]
            if isinstance(node, ast.Call):
                found += [f"{name}:{node.lineno}: {one}" for one in _suspect(node)]
    assert found == []


def _suspect(call: ast.Call) -> list[str]:
    text = ast.unparse(call)
    if isinstance(call.func, ast.Name):
        return [text] if call.func.id in ("eval", "exec", "compile", "__import__", "read_pickle") else []
    if not isinstance(call.func, ast.Attribute):
        return []
    owner, method = ast.unparse(call.func.value), call.func.attr
    if owner in ("np", "numpy"):
        return [text] if method == "load" and "allow_pickle=False" not in text else []
    if owner == "torch" and method == "load" and "weights_only=True" in text:  # tensors alone, by torch's own reader
        return []
    if owner in ("torch", "pickle", "joblib", "mlflow", "mlflow.pyfunc", "pd") and method in _LOADS:
        return [text]
    if method in ("unsafe_load", "full_load", "read_pickle", "load_model") and owner.split(".")[0] not in _HARMLESS:
        return [text]
    return [text] if any(word.arg == "shell" or word.arg == "trust_remote_code" for word in call.keywords) else []


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside", "", "."])
def test_a_folder_names_no_file_outside_of_it(champion: Paths, finished: Paths, tmp_path: Path, name: str):
    (tmp_path / "outside").write_text("x")
    place = (tmp_path / "evaluator" / name).resolve()
    found = file_digest(place) if place.is_file() else "0" * 64
    evaluator = Path(shutil.copytree(champion.evaluator, tmp_path / "evaluator"))
    resign(evaluator, "schema.json", lambda content: content["files"].update({name: found}))
    with pytest.raises(CorruptFileError, match="names a file outside of it"):
        load_evaluator(evaluator)
    winner = Path(shutil.copytree(finished.winner, tmp_path / "winner"))
    resign(winner, "winner.json", lambda content: content["files"].update({name: found}))
    with pytest.raises(CorruptFileError, match="names a file outside of it"):
        load_winner(winner)


@pytest.fixture
def planted(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be imported, and does something when it is."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "planted_module.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    return "planted_module:Planted"


def change_family(folder: Path, name: str) -> None:
    """Let an architecture name another builder, with the right digests."""
    file = folder / "architecture.json"
    content = json.loads(file.read_text())
    content["space"]["family"] = name
    write_json(file, content)
    resign(folder, "winner.json", lambda whole: whole["files"].update({file.name: file_digest(file)}))


def change_hardware(folder: Path, name: str) -> None:
    file = folder / "hardware.json"
    write_json(file, json.loads(file.read_text()) | {"rpu_config": name})
    resign(folder, "winner.json", lambda whole: whole["files"].update({file.name: file_digest(file)}))


@pytest.mark.parametrize("change", [change_family, change_hardware])
def test_a_winner_imports_only_what_the_user_has_named(
    finished: Paths, tmp_path: Path, planted: str, mark: Path, change: Callable[[Path, str], None]
):
    winner = Path(shutil.copytree(finished.winner, tmp_path / "winner"))
    change(winner, planted)
    with pytest.raises(TrustError, match=r"own=\['planted_module:Planted'\]"):
        load_winner(winner)
    with pytest.raises(TrustError):
        load_winner(winner, own=["other:Planted"])
    assert "planted_module" not in sys.modules
    with pytest.raises(AnalogNASError) as caught:  # with the user's word it is imported, and has no such class
        load_winner(winner, own=[planted])
    assert not isinstance(caught.value, TrustError)
    assert mark.exists()
    mark.rmdir()
    sys.modules.pop("planted_module", None)


def test_a_workspace_around_a_winner_does_not_vouch_for_it(finished_copy: Paths, planted: str, mark: Path):
    change_family(finished_copy.winner, planted)
    text = finished_copy.params.read_text().replace("name: resnet", f"name: {planted}")
    finished_copy.params.write_text(text)  # as in a checkout of somebody else's
    with pytest.raises(TrustError):
        load_winner(finished_copy.winner)
    assert "planted_module" not in sys.modules
    assert not mark.exists()


def test_an_evaluator_does_not_name_its_class(champion: Paths, tmp_path: Path, planted: str):
    folder = Path(shutil.copytree(champion.evaluator, tmp_path / "evaluator"))
    resign(folder, "schema.json", lambda content: content.update(kind=f"analognas evaluator: {planted}"))
    with pytest.raises(CorruptFileError):
        load_evaluator(folder)


def test_candidates_rounds_and_results_are_genes_and_nothing_else(finished_copy: Paths, planted: str):
    params = Params.load(finished_copy.params)
    file = finished_copy.search / "best.json"
    best = json.loads(file.read_text())
    for one in best["candidates"]:
        one["space"]["family"] = planted
    write_sealed(file, best)
    assert inputs.candidates(params, finished_copy)[0].architecture.space.family == "resnet"
    entry = {"genes": best["candidates"][0]["genes"], "space": {"family": planted}}
    file = finished_copy.rounds / "001.json"
    for evil in ({"round": "../../evil"}, {"architectures": [entry | {"id": "../../evil"}]}):
        write_sealed(file, {"architectures": [entry]} | evil)
        with pytest.raises(CorruptFileError, match=r"\.\./\.\./evil"):
            read_rounds(finished_copy, inputs.space(params, finished_copy))
    write_sealed(file, {"architectures": [entry]})
    found = read_rounds(finished_copy, inputs.space(params, finished_copy))[-1]
    assert (found.number, found.entries[0].architecture.space.family) == (1, "resnet")
    assert len(found.entries[0].architecture.id) == 16


def test_an_experiment_is_no_path(workspace: Paths):
    from analognas.tracking.runs import artifact_folder

    for name in ("..", ".", "../../x", "a/../b", "/etc", "...."):
        folder = artifact_folder(workspace, name)
        assert folder.resolve().parent == (workspace.root / "mlartifacts").resolve()


@pytest.mark.parametrize(
    "uri", ["http://anna:not-told@127.0.0.1:9", "postgresql://anna:not-told@127.0.0.1:9/x?password=not-told"]
)
def test_no_password_is_told_or_written(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch, uri: str):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("PREFECT_API_URL", uri)
    params = Params.load(finished_copy.params)
    warning = str(tracking.sync(finished_copy, params, None).warning)
    assert "***@127.0.0.1:9" in warning
    assert "not-told" not in warning
    assert "not-told" not in "".join(where_to_look(finished_copy))
    for path in finished_copy.root.rglob("*"):
        assert path.is_dir() or b"not-told" not in path.read_bytes()


def test_servers_listen_on_loopback_unless_told_otherwise():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow and others deprecate among themselves
        from mlflow.cli import cli
    from prefect.settings import get_current_settings

    (host,) = [one for one in cli.commands["server"].params if one.name == "host"]
    assert host.default in (None, "127.0.0.1")
    assert get_current_settings().server.api.host == "127.0.0.1"


def test_a_frame_of_the_library_is_still_read(tmp_path: Path):
    frame = pd.DataFrame({"a": ["x", None], "b": [1.0, 2.0]})
    write_parquet(tmp_path / "x.parquet", frame)
    assert read_parquet(tmp_path / "x.parquet", remedy="")["b"].tolist() == [1.0, 2.0]
