"""What happens to the log of a retraining when it is cut off."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.tracking.registry import Origin, log_decision
from analognas.workspace import Paths

CONTENT: dict[str, Any] = {
    "decision": "rejected",
    "reason": "no gain",
    "architectures": [{"id": "a"}],
    "record": {
        "comparison": {"acc_1d": {"champion": 0.5, "challenger": 0.4}},
        "need": {"reasons": ["drift"]},
        "rules": {"min_gain": 0.0},
        "champion": {"digest": "c"},
        "challenger": {"digest": "d", "kendall_tau_out_of_fold": 0.3},
    },
}


class Client:
    """As much of MLflow's client as a decision needs; it is cut off once, before the figures."""

    def __init__(self) -> None:
        self.runs: list[dict[str, str]] = []
        self.metrics: list[Any] = []
        self.params: dict[str, Any] = {}
        self.datasets: list[Any] = []
        self.starts: list[int | None] = []
        self.ends: dict[str, int] = {}
        self.now = 5_000
        self.cut_off = True

    def search_runs(self, *_: Any, **__: Any) -> list[Any]:
        return [
            SimpleNamespace(
                info=SimpleNamespace(run_id=str(number), end_time=self.ends.get(str(number))),
                data=SimpleNamespace(tags=tags),
            )
            for number, tags in enumerate(self.runs)
        ]

    def create_run(self, _experiment: str, run_name: str, tags: dict[str, str], start_time: int | None) -> Any:
        self.runs.append(dict(tags))
        self.starts.append(start_time)
        return SimpleNamespace(info=SimpleNamespace(run_id=str(len(self.runs) - 1), run_name=run_name))

    def log_batch(self, _run: str, metrics: list[Any]) -> None:
        if self.cut_off:
            self.cut_off = False
            raise KeyboardInterrupt
        self.metrics += metrics

    def log_param(self, _run: str, name: str, value: Any) -> None:
        self.params[name] = value

    def set_tag(self, run: str, name: str, value: str) -> None:
        self.runs[int(run)][name] = value

    def log_artifact(self, *_: Any) -> None: ...

    def log_inputs(self, _run: str, datasets: list[Any]) -> None:
        self.datasets += datasets

    def set_terminated(self, run: str, end_time: int | None = None) -> None:
        self.ends[run] = self.now if end_time is None else end_time


def test_figures_that_were_cut_off_are_logged_by_the_next_sync() -> None:
    client = Client()
    registry: Any = SimpleNamespace(
        client=client, versions=lambda: [], with_digest=lambda _: None, with_alias=lambda _: None
    )
    with pytest.raises(KeyboardInterrupt):
        log_decision(registry, "1", 1, CONTENT, [], Paths(Path("/nowhere")), Origin(), newest=True)
    assert (len(client.runs), client.metrics) == (1, [])
    for _ in range(2):  # the second time there is nothing to do
        assert log_decision(registry, "1", 1, CONTENT, [], Paths(Path("/nowhere")), Origin(), newest=True)
        assert len(client.runs) == 1
        assert {one.key for one in client.metrics} >= {"sentinel.acc_1d.champion", "sentinel.acc_1d.challenger"}
        assert len({one.key for one in client.metrics}) == len(client.metrics)
        assert client.params["need.reasons"] == '["drift"]'


def test_a_decision_tells_who_made_it_from_what_and_lasts_as_long_as_it_did(tmp_path: Path) -> None:
    client = Client()
    client.cut_off = False
    registry: Any = SimpleNamespace(
        client=client, versions=lambda: [], with_digest=lambda _: None, with_alias=lambda _: None
    )
    note = tmp_path / "001.md"
    note.write_text("# Round 001: rejected")
    given = [registry, "1", 1, CONTENT, [note], Paths(Path("/nowhere"))]
    assert log_decision(*given, Origin({"mlflow.user": "anna"}, ["digits"], 1_000), newest=True)  # type: ignore[list-item]
    assert (client.starts, client.ends, client.datasets) == ([1_000], {"0": 5_000}, ["digits"])
    assert client.runs[0].items() >= {"mlflow.user": "anna", "mlflow.note.content": "# Round 001: rejected"}.items()
    client.now = 90_000  # somebody else decides otherwise, by hand
    given[3] = CONTENT | {"decision": "accepted", "record": CONTENT["record"] | {"by_hand": True}}
    assert log_decision(*given, Origin({"mlflow.user": "ben"}, ["digits"], 80_000), newest=True)  # type: ignore[list-item]
    assert (client.starts, client.ends, client.datasets) == ([1_000], {"0": 5_000}, ["digits"])
    assert client.runs[0]["mlflow.user"] == "anna"
    assert client.runs[0]["analognas.decision"] == "accepted"
