"""Where the results of a run are to be seen: files, MLflow, Prefect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from analognas.redaction import redact

if TYPE_CHECKING:
    from analognas.workspace import Paths


def where_to_look(
    paths: Paths, page: str | None = None, tracked: str | None = None, use: str | None = None
) -> list[str]:
    """Return lines: the report as a page if it is there, plots, MLflow, Prefect, and the winner if there is one.

    Args:
        paths: the workspace.
        page: address of the page in Prefect of the run that has ended.
        tracked: where MLflow's pages show that run, below their address.
        use: what ``collect`` says of how the winner is used; None: there is nothing to use.
    """
    interface = os.environ.get("PREFECT_API_URL")
    served = _mlflow()
    shown = f"/#/{tracked}" if tracked else ""
    if served.startswith("http"):
        mlflow = served + shown
    else:
        command = f"mlflow ui --backend-store-uri {served or 'sqlite:///mlflow.db'}"
        mlflow = f"{command}   then http://127.0.0.1:5000{shown}"
    # The interface is where the API is, one level up.
    prefect = (
        redact(page or (interface or "").rstrip("/").removesuffix("/api"))
        or "prefect server start   then http://127.0.0.1:4200"
    )
    return [
        *([f"Report    {paths.page}"] if paths.page.is_file() else []),
        f"Plots     {paths.plot('train.png').parent}",
        f"MLflow    {mlflow}",
        f"Prefect   {prefect}",
        *([f"Winner    {paths.winner}   (card.md tells what it is)   {use}"] if use else []),
    ]


def mlflow_page(tracked: str | None) -> str | None:
    """Return the address of a run's page in MLflow, None where no server shows it.

    Args:
        tracked: where MLflow's pages show that run, below their address; None: nothing was logged.
    """
    served = _mlflow()
    return f"{served}/#/{tracked}" if tracked and served.startswith("http") else None


def _mlflow() -> str:
    return redact(os.environ.get("MLFLOW_TRACKING_URI") or "").rstrip("/")
