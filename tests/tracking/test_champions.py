from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import CorruptFileError, StageError
from analognas.params import Params
from analognas.tracking import champions
from analognas.tracking.registry import Version
from analognas.workspace import Paths

CREATED = datetime(2024, 2, 29, 13, 5, tzinfo=UTC)


def version(number: int, *aliases: str, **given: Any) -> Version:
    figures = {"previous": None, "rolled_back": False, "tau": 0.7512, "coverage": 0.9, "sentinel_tau": None}
    how = {"created": CREATED, "digest": "d" * 64, **figures, **given}
    return Version(number=number, aliases=aliases, **how)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "params.yaml").write_text("base: {seed: 0}\n")
    return Paths(tmp_path)


def test_the_champion_is_the_version_of_that_name():
    found = [version(3, "challenger"), version(2, "champion"), version(1)]
    assert champions.champion_of(found) is found[1]
    assert champions.champion_of(found[:1]) is None
    assert champions.champion_of([]) is None


def test_each_version_is_a_line_of_80_columns_with_what_is_known_of_it():
    found = [
        version(12, "challenger", "champion", tau=None, sentinel_tau=0.625),
        version(2, rolled_back=True, coverage=None),
    ]
    assert champions.describe(found, found[1]).splitlines() == [
        "version  which                 registered, UTC   sentinel  out of fold  coverage",
        "     12  challenger, champion  2024-02-29 13:05      0.62            -      0.90",
        "      2  here, rolled back     2024-02-29 13:05         -         0.75         -",
        "Sentinel, out of fold: Kendall tau after 1 day. Coverage: of 90 % intervals.",
    ]
    assert "the first one that `analognas run` logs becomes the champion" in champions.describe([])


def test_how_the_champion_became_it_is_told_and_of_others_when_asked():
    how = {"promoted_at": "2024-03-01T00:00:00+00:00", "promoted_by": "anna", "why": "it ranks better " * 8}
    found = [version(3, "champion", "team-of-the-far-north", previous=1, **how), version(1, **how | {"why": "first"})]
    text = champions.describe(found)
    assert "Version 3: promoted 2024-03-01T00:00:00+00:00 by anna in the place of version 1: it ranks" in " ".join(
        text.split()
    )
    assert "first" not in text
    assert "dddd" not in text
    whole = champions.describe(found, whole=True)
    assert "Version 1: promoted 2024-03-01T00:00:00+00:00 by anna: first" in " ".join(whole.split())
    assert whole.count("digest dddddddddddd") == 2
    assert max(map(len, [*text.splitlines(), *whole.splitlines()])) <= 80


def test_of_many_versions_the_newest_and_those_with_names_are_listed():
    found = [version(number, *(["champion"] if number == 3 else [])) for number in range(30, 0, -1)]
    told = champions.describe(found, found[-1]).splitlines()
    assert [line.split()[0] for line in told[1:11]] == [*map(str, range(30, 22, -1)), "3", "1"]
    assert told[11] == "20 older ones: `analognas champion --all`."
    assert len(champions.describe(found, whole=True).splitlines()) == 2 + 2 * 30


def test_the_age_is_that_of_the_champion_in_days(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    now = datetime.now(UTC)
    found = [version(2, created=now), version(1, "champion", created=now - timedelta(days=1, hours=12))]
    monkeypatch.setattr(champions, "versions", lambda _: found)
    assert champions.age_days(paths) == pytest.approx(1.5, abs=0.01)
    found.pop()
    assert champions.age_days(paths) is None


def test_without_mlflow_the_age_is_not_known(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    def away(_: Paths) -> list[Version]:
        raise StageError("MLflow is away.")

    monkeypatch.setattr(champions, "versions", away)
    assert champions.age_days(paths) is None


def test_asking_makes_no_database_but_goes_to_one_that_is_there(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def opened(_paths: Paths, _params: Params) -> Iterator[Any]:
        yield SimpleNamespace(versions=lambda: [version(1, "champion")])

    monkeypatch.setattr(champions, "opened_registry", opened)
    assert champions.versions(paths) == []
    assert [path.name for path in paths.root.iterdir()] == ["params.yaml"]
    (paths.root / "mlflow.db").touch()
    assert champions.versions(paths) == [version(1, "champion")]
    (paths.root / "mlflow.db").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert champions.versions(paths) == [version(1, "champion")]


def test_whatever_mlflow_raises_is_one_sentence_without_the_password(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:not-told@127.0.0.1:9")

    def fails() -> None:
        raise ConnectionError("refused\nby http://anna:not-told@127.0.0.1:9")

    with pytest.raises(StageError) as caught, champions.opened_registry(paths, Params()):
        fails()
    assert str(caught.value) == (
        "MLflow at http://***@127.0.0.1:9 refuses connections: start it, or unset MLFLOW_TRACKING_URI for the database "
        "of the workspace."
    )


def test_a_damaged_database_is_told_before_mlflow_opens_it(paths: Paths):
    (paths.root / "mlflow.db").write_bytes(b"no database " * 1000)
    with pytest.raises(CorruptFileError, match=r"mlflow.db is damaged: move it away"):
        champions.versions(paths)
