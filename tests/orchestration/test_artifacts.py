import base64
import contextlib
import io
import json
from typing import Any

import httpx
import pandas as pd
import pytest
from PIL import Image
from prefect.exceptions import PrefectException

from analognas.files import write_parquet
from analognas.hardware.chips import HERMES_1_PHASE
from analognas.hardware.cost import cost
from analognas.orchestration import artifacts
from analognas.params import Params
from analognas.rows import ResultRow
from analognas.stages import inputs
from analognas.workspace import Paths


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was handed to Prefect."""
    made: list[Any] = []
    for kind in ("table", "markdown", "image", "link"):
        monkeypatch.setattr(f"prefect.artifacts.create_{kind}_artifact", lambda content, *_, **__: made.append(content))
    return made


def result(name: str, accuracy: float | None) -> ResultRow:
    """A row as a characterization gives it."""
    measured = {"acc_digital": 99.0, "acc_1d": accuracy, "acc_1d_std": 1.234, "avm": 0.5}
    return ResultRow(
        name,
        "s",
        '{"M": 2, "convblock1": "basic"}',
        7,
        1,
        "ok" if accuracy else "diverged",
        "",
        2,
        measured if accuracy else {},
    )


class Server:
    """Prefect's, as far as artifacts are concerned; it may be away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.updates: list[tuple[str, Any, str]] = []
        self.clock, self.asked, self.away = 0.0, 0, False
        for kind in ("progress", "table"):
            monkeypatch.setattr(f"prefect.artifacts.create_{kind}_artifact", lambda _, kind=kind, **__: kind)
        monkeypatch.setattr("prefect.client.orchestration.get_client", lambda sync_client: contextlib.nullcontext(self))
        monkeypatch.setattr("time.monotonic", lambda: self.clock)

    def update_artifact(self, identity: str, update: Any) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionError
        self.updates.append((identity, update.data, update.description))

    def of(self, kind: str) -> list[Any]:
        return [data for identity, data, _ in self.updates if identity == kind]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def test_while_architectures_are_characterized_progress_and_results_are_shown(server: Server):
    showing = artifacts.Characterizing(30)
    for number in range(30):
        server.clock += 1
        showing.add(result(f"{number:02d}", None if number == 3 else 50.0 + number))
    assert server.of("progress") == [pytest.approx(100 * done / 30) for done in range(2, 31, 2)]
    tables = [json.loads(data) for data in server.of("table")]
    assert [len(table) for table in tables] == [10, 20, 30]
    assert [row["architecture"] for row in tables[0]] == ["09", "08", "07", "06", "05", "04", "02", "01", "00", "03"]
    assert tables[0][0] == {
        "architecture": "09", "status": "ok", "parameters": 7, "tiles": 1, "digital, %": 99.0, "after 1 day, %": 59.0,
        "± over programmings, points": 1.23, "AVM, points": 0.5, "genes": "M 2, convblock1 basic",
    }  # fmt: skip
    assert tables[0][-1]["after 1 day, %"] == ""
    assert server.updates[-1][2] == "30 of 30 architectures characterized"


def test_the_last_results_are_shown_at_once(server: Server):
    showing = artifacts.Characterizing(2)
    showing.add(result("a", 90.0))
    assert server.updates == []
    showing.add(result("b", 91.0))
    assert server.of("progress") == [100.0]
    assert len(json.loads(server.of("table")[0])) == 2


def test_a_server_that_is_away_is_asked_seldom(server: Server):
    showing = artifacts.Characterizing(1000)
    server.away = True
    for number in range(100):
        server.clock += 1
        showing.add(result(str(number), 90.0))
    assert server.asked == 4  # progress and table, twice in 100 seconds
    server.away = False
    server.clock += 60
    showing.add(result("x", 90.0))
    assert server.of("progress") == [pytest.approx(10.1)]


def test_without_a_server_nothing_is_shown_and_nothing_fails(monkeypatch: pytest.MonkeyPatch):
    refused: list[str] = []

    def refuse(*_: Any, key: str, **__: Any) -> None:
        refused.append(key)
        raise ConnectionError

    for kind in ("progress", "table"):
        monkeypatch.setattr(f"prefect.artifacts.create_{kind}_artifact", refuse)
    artifacts.Characterizing(1).add(result("a", 90.0))
    assert len(refused) == 2


def test_the_drift_is_an_image_and_a_table(finished: Paths, created: list[Any]):
    artifacts.drift(finished)
    (text,) = created
    image, _, table = text.partition("\n\n")
    lines = table.splitlines()
    assert lines[0] == "| after programming | winner | plain residual network |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 1 s", "| 1 h", "| 1 day", "| 30 days"]
    curves = pd.read_csv(finished.plot("train.csv"))
    day = curves[(curves["network"] == "winner") & (curves["seconds"] == 86400)].iloc[0]
    assert lines[4].split(" | ")[1] == f"{day['accuracy']:.2f} ± {day['std']:.2f}"
    kind, _, content = image.partition(",")
    assert kind == "![accuracy over time](data:image/png;base64"
    assert content.endswith(")")
    shown = Image.open(io.BytesIO(base64.b64decode(content[:-1])))
    with Image.open(finished.plot("train.png")) as plot:
        assert shown.size == plot.size
    assert len(content) < 60_000


def test_a_run_without_plots_shows_none(tmp_path: Any, created: list[Any]):
    artifacts.drift(Paths(tmp_path))
    assert created == []


def test_results_are_a_table_of_plain_values_best_first(tmp_path: Any, created: list[Any]):
    paths = Paths(tmp_path)
    genes = ["{}", '{"M": 3, "R1": 2}', '{"M": 1}']
    rows = {
        "id": ["a", "b", "c"],
        "genes": genes,
        "status": ["ok", "diverged", "ok"],
        "params": [1, 2, 3],
        "tiles": [1, 1, 1],
    }
    measured = {name: [80.123, None, 90.0] for name in ("acc_digital", "acc_1d", "acc_1d_std", "avm")}
    write_parquet(paths.surrogate, pd.DataFrame(rows | measured))
    artifacts.results_table(paths)
    table = created[0]
    assert [row["architecture"] for row in table] == ["c", "a", "b"]
    assert [row["after 1 day, %"] for row in table] == [90.0, 80.12, ""]
    assert [row["genes"] for row in table] == ["M 1", "", "M 3, R1 2"]
    assert json.loads(json.dumps(table)) == table


def test_the_whole_table_tells_what_an_inference_costs(finished: Paths, created: list[Any]):
    artifacts.results_table(finished)
    energies = {row["architecture"]: row["energy, uJ"] for row in created[0]}
    params = Params.load(finished.params)
    for one in inputs.architectures(params, finished):
        assert energies[one.id] == pytest.approx(cost(one, HERMES_1_PHASE)["energy_uj"], abs=0.006)


def test_a_server_that_refuses_an_artifact_is_no_reason_to_fail(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    errors: list[Exception] = [httpx.ConnectError("away"), PrefectException("refused"), ZeroDivisionError()]

    def refuse(*_: Any, **__: Any) -> None:
        raise errors.pop(0)

    monkeypatch.setattr("prefect.artifacts.create_table_artifact", refuse)
    columns = ("id", "status", "params", "tiles", "acc_digital", "acc_1d", "acc_1d_std", "avm", "genes")
    write_parquet(Paths(tmp_path).surrogate, pd.DataFrame({name: [1.0] for name in columns}))
    artifacts.results_table(Paths(tmp_path))
    artifacts.results_table(Paths(tmp_path))
    with pytest.raises(ZeroDivisionError):  # a mistake of ours is no refusal
        artifacts.results_table(Paths(tmp_path))


def test_the_summary_shows_winner_and_baseline_over_time_and_links_the_page(finished_copy: Paths, created: list[Any]):
    artifacts.summary(finished_copy)
    *_, text, place = created
    assert f"`{finished_copy.page}` on " in place
    assert "file:" not in place  # a browser would not follow that
    assert finished_copy.page.is_file()
    assert "```" not in text
    assert "| after 1 day, % | " in text
    for words in ("digits", "winner", "plain residual network", "after 1 day", "AVM"):
        assert words in text


def test_the_runs_page_in_mlflow_is_linked_where_a_server_shows_it(created: list[Any], monkeypatch: pytest.MonkeyPatch):
    artifacts.logged("experiments/1/runs/2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:secret@host:5000")
    artifacts.logged(None)
    assert created == []
    artifacts.logged("experiments/1/runs/2")
    assert created == ["http://***@host:5000/#/experiments/1/runs/2"]


def test_a_retraining_shows_its_figures_as_a_table_with_units(tmp_path: Any, created: list[Any]):
    newest = {"architectures": 3, "kendall_tau": None, "coverage": 0.9}
    summary = {"retrained": False, "figures": {"newest": newest, "age_days": 2.25, "new_rows": 12}}
    artifacts.retraining(Paths(tmp_path), summary)
    (text,) = created
    assert text.startswith("The champion needs no retraining.\n\n| ")
    for line in ("| age | 2.2 days |", "| of these within its 90 % interval | 90% |", "| not defined |"):
        assert line in text.replace("Kendall tau of the 1-day accuracy on these | ", "")
    assert "{" not in text
