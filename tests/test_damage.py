"""Every file of a workspace in every shape of damage: each command that reads it says one sentence, no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analognas.cli import main
from analognas.files import write_sealed
from analognas.params import Params
from analognas.stages import STAGES, inputs
from analognas.stages.rounds import Entry, Round, write_round, write_sentinel
from analognas.versioning import Versioning
from analognas.workspace import Paths

RUN, REPORT, CHAMPION = ("run", "--json"), ("report",), ("champion",)

#: The files that commands read, and the commands.
READ: dict[str, list[tuple[str, ...]]] = {
    "params.yaml": [REPORT, RUN, CHAMPION, ("stage", "sample"), ("run", "--set", "search.k=2"), ("doctor", "--update")],
    "dvc.yaml": [REPORT],
    "dvc.lock": [REPORT, RUN],
    "data/dataset.json": [REPORT, ("stage", "sample"), RUN],
    "data/environment.json": [("stage", "sample"), RUN],
    "data/architectures.parquet": [("stage", "characterize"), ("stage", "fit")],
    "data/surrogate.parquet": [("stage", "fit")],
    "data/rounds/001.json": [("stage", "characterize"), ("stage", "fit")],
    "data/rounds/sentinel.json": [("stage", "characterize")],
    "data/evaluator/schema.json": [("stage", "search")],
    "data/evaluator/anchors.npy": [("stage", "search")],
    "data/evaluator/evidence.json": [("stage", "search")],
    "data/evaluator/avm/00.ubj": [("stage", "search")],
    "data/search/best.json": [("stage", "train")],
    "data/winner/winner.json": [REPORT],
    "data/winner/architecture.json": [REPORT],
    "data/winner/model.safetensors": [REPORT],
    "data/winner/preprocessing.json": [REPORT],
    "data/metrics/train.json": [REPORT],
    "data/metrics/fit.json": [REPORT],
    "data/plots/fit.csv": [REPORT],
}

#: What may be read as if nothing had happened: what is made anew, and what the command does not look into.
MENDED = {
    ("data/dataset.json", RUN), ("data/environment.json", RUN), ("data/plots/fit.csv", REPORT), ("dvc.yaml", REPORT),
    ("params.yaml", CHAMPION),
}  # fmt: skip

SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "zeros": lambda whole: b"\0" * len(whole),
    "binary": lambda _: bytes(range(256)) * 4,
    "null": lambda _: b"null\n",
    "list": lambda _: b"[]\n",
    "number": lambda _: b"3\n",
    "object": lambda _: b"{}\n",
    "deep lists": lambda _: b"[" * 150,
    "deep objects": lambda _: b'{"a":' * 150,
    "utf-16": lambda whole: whole.decode("latin-1").encode("utf-16"),
    "another program's": lambda _: b'{"stages": 3, "candidates": null, "architectures": {"a": 1}, "winner": []}\n',
}


@pytest.fixture(scope="module")
def whole(finished: Paths, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A finished workspace with a round, a sentinel set and what DVC records; for reading only."""
    paths = Paths(Path(shutil.copytree(finished.root, tmp_path_factory.mktemp("damage") / "workspace")))
    space = inputs.space(Params.load(paths.params), paths)
    first, second = space.sample(2, seed=99)
    write_round(paths, Round(1, (Entry(first),), "a test"))
    write_sentinel(paths, [second])
    for name in (".dvc", ".git"):
        (paths.root / name).mkdir()
    out = {"path": "data/architectures.parquet", "md5": "0" * 32}
    sample = {"cmd": "x", "params": {"params.yaml": {"base.seed": 0}}, "outs": [out]}
    (paths.root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"sample": sample}}))
    return paths


@pytest.fixture
def call(whole: Paths, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Return what runs a command in the workspace; DVC finds everything up to date."""
    monkeypatch.chdir(whole.root)
    monkeypatch.setattr(Versioning, "_dvc", lambda *_, **__: "{}")
    monkeypatch.setattr("analognas.cli.doctor.diagnose", list)
    monkeypatch.setattr("analognas.stages.processes.each", _nothing_is_trained)
    monkeypatch.setattr("analognas.orchestration.sessions.state.untracked", lambda *_: ())

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stderr

    return run


def _nothing_is_trained(*_: Any) -> Any:
    raise AssertionError("it came so far as to train")


def is_refused(call: Callable[..., tuple[int, str]], file: str, command: tuple[str, ...]) -> None:
    code, said = call(*command)
    if (file, command) in MENDED and code == 0:
        return
    lines = [line for line in said.splitlines() if line.startswith("analognas: ")]
    assert code == 2, (code, said[:500])
    assert len(lines) == 1, said[:500]
    assert len(lines[0]) < 600
    assert lines[0].endswith((".", "?"))
    assert "Error" not in lines[0]
    assert "Traceback" not in said


@pytest.mark.parametrize("file", READ)
def test_a_damaged_file_is_one_sentence_whatever_reads_it(whole: Paths, call: Any, file: str):
    path = whole.root / file
    content = path.read_bytes()
    kept = {place: place.read_bytes() for place in (whole.dataset, whole.environment, whole.params)}
    try:
        for shape, damage in SHAPES.items():
            for command in READ[file]:
                if (file, shape) in HARMLESS:
                    continue
                path.write_bytes(damage(content))
                is_refused(call, file, command)
                for place, before in kept.items():
                    if place != path:
                        place.write_bytes(before)
    finally:
        path.write_bytes(content)


#: An empty or half file of parameters may be one; an empty dvc.yaml is refused where it is read.
HARMLESS = {(file, shape) for file in ("params.yaml",) for shape in ("empty", "null", "object", "half")}


@pytest.mark.parametrize("file", [file for file in READ if not file.startswith(("params", "data/plots", "dvc.yaml"))])
def test_a_folder_in_the_place_of_a_file_is_one_sentence(whole: Paths, call: Any, file: str):
    path = whole.root / file
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    try:
        is_refused(call, file, READ[file][0])
    finally:
        path.rmdir()
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "other"),
    [("metrics/train.json", "metrics/fit.json"), ("metrics/fit.json", "metrics/search.json"),
     ("dataset.json", "environment.json"), ("environment.json", "dataset.json"),
     ("search/best.json", "metrics/sample.json"), ("rounds/001.json", "metrics/fit.json"),
     ("winner/winner.json", "evaluator/schema.json"), ("evaluator/schema.json", "winner/winner.json")],
)  # fmt: skip
def test_another_file_of_ours_is_one_sentence(whole: Paths, call: Any, file: str, other: str):
    path = whole.data / file
    content = path.read_bytes()
    path.write_bytes((whole.data / other).read_bytes())
    try:
        is_refused(call, f"data/{file}", READ[f"data/{file}"][0])
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [{}, {"winner": None}, {"winner": 3, "notes": []}, {"winner": {}, "notes": [], "limits": 3},
     {"winner": {}, "notes": 3, "limits": {"status": "none"}}],
)  # fmt: skip
def test_figures_of_another_form_are_one_sentence(whole: Paths, call: Any, content: dict[str, Any]):
    path = whole.metrics("train")
    before = path.read_bytes()
    write_sealed(path, content)
    try:
        is_refused(call, "data/metrics/train.json", REPORT)
    finally:
        path.write_bytes(before)


def test_everything_is_whole_otherwise(whole: Paths, call: Any):
    assert call(*REPORT)[0] == 0
    assert call(*RUN)[0] == 0
    assert set(READ["dvc.lock"]) <= {REPORT, RUN}
    assert all((whole.root / file).is_file() for file in READ)
    assert len(STAGES) == 5
