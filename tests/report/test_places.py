from pathlib import Path

import pytest

from analognas import report
from analognas.workspace import Paths


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        (None, "mlflow ui --backend-store-uri sqlite:///mlflow.db   then http://127.0.0.1:5000/#/experiments/1"),
        (
            "sqlite:////a/b.db",
            "mlflow ui --backend-store-uri sqlite:////a/b.db   then http://127.0.0.1:5000/#/experiments/1",
        ),
        ("http://host:5000/", "http://host:5000/#/experiments/1"),
    ],
)
def test_the_page_of_the_run_in_mlflow_is_named(monkeypatch, uri: str | None, line: str):
    if uri is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    shown = report.where_to_look(Paths(Path("w")), tracked="experiments/1")
    assert shown[1] == f"MLflow    {line}"
    served = uri is not None and uri.startswith("http")
    assert report.mlflow_page("experiments/1") == (line if served else None)
    assert report.mlflow_page(None) is None
    assert report.where_to_look(Paths(Path("w")))[1] == shown[1].removesuffix("/#/experiments/1")
