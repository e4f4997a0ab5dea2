from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import StageError
from analognas.files import file_digest, write_json
from analognas.tracking import champions, standing
from analognas.tracking.registry import Version
from analognas.tracking.standing import Standing
from analognas.workspace import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Two evaluators, of which one is in its place, and a database that is not opened."""
    write_json(tmp_path / "data" / "evaluator" / "schema.json", {"which": "this"})
    write_json(tmp_path / "other" / "schema.json", {"which": "other"})
    (tmp_path / "mlflow.db").write_bytes(b"")
    return Paths(tmp_path)


def version(number: int, digest: str, *aliases: str) -> Version:
    created = datetime(2024, 2, 29, 13, 5, tzinfo=UTC)
    return Version(number, aliases, created, digest, None, False, 0.5, 0.9, None)


def test_each_way_of_drifting_is_a_sentence_with_what_mends_it(paths: Paths):
    this, other = file_digest(paths.evaluator), file_digest(paths.root / "other")
    here = f"data/evaluator/ ({this[:12]})"
    said: dict[str, list[Version]] = {
        "": [version(2, other), version(1, this, "champion")],
        f"{here} is version 1, the champion in MLflow is version 2 ({other[:12]}): `analognas champion promote 1` "
        "makes it the champion, `analognas champion checkout 2` brings the champion here.": [
            version(2, other, "champion"), version(1, this),
        ],
        f"{here} is not registered in MLflow, the champion in MLflow is version 2 ({other[:12]}): `analognas track "
        "--again` registers it, `analognas champion checkout 2` brings the champion here.": [
            version(2, other, "champion")
        ],
        f"{here} is version 1, and MLflow has no champion: `analognas champion promote 1` makes it the champion.": [
            version(2, other, "challenger"), version(1, this),
        ],
        f"{here} is not registered in MLflow, which has no champion: `analognas track --again` registers it, as the "
        "champion.": [],
    }  # fmt: skip
    for sentence, registered in said.items():
        assert Standing.of(paths, registered).sentence == (sentence or None)


def test_an_evaluator_that_is_missing_is_fetched(paths: Paths):
    digest = file_digest(paths.evaluator)
    (paths.evaluator / "schema.json").unlink()
    paths.evaluator.rmdir()
    assert Standing.of(paths, []).sentence is None
    assert Standing.of(paths, [version(3, digest, "champion")]).sentence == (
        "data/evaluator/ is missing, the champion in MLflow is version 3: `analognas champion checkout 3` fetches it."
    )


def test_of_two_versions_of_the_same_files_the_champion_is_meant(paths: Paths):
    digest = file_digest(paths.evaluator)
    assert Standing.of(paths, [version(2, digest), version(1, digest, "champion")]).sentence is None


def test_a_database_that_did_not_change_is_asked_once(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    asked: list[Paths] = []

    def versions(paths: Paths) -> list[Version]:
        asked.append(paths)
        return [version(2, "d" * 64, "champion")]

    monkeypatch.setattr(champions, "versions", versions)
    said = standing.sentence(paths)
    assert said is not None
    assert "the champion in MLflow is version 2" in said
    assert standing.sentence(paths) == said
    assert len(asked) == 1
    (paths.root / "mlflow.db").write_bytes(b"somebody promoted something")
    standing.sentence(paths)
    assert len(asked) == 2
    write_json(paths.evaluator / "schema.json", {"which": "yet another"})
    standing.sentence(paths)
    assert len(asked) == 3
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # a server is asked each time
    standing.sentence(paths)
    standing.sentence(paths)
    assert len(asked) == 5


def test_without_a_database_nothing_is_asked_and_an_outage_is_said(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    def away(_: Paths) -> Any:
        raise StageError("MLflow is away.")

    monkeypatch.setattr(champions, "versions", away)
    assert standing.sentence(paths) == "data/evaluator/ was not compared with the champion. MLflow is away."
    (paths.root / "mlflow.db").unlink()
    assert standing.sentence(paths) is None
