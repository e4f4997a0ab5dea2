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
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    interface = os.environ.get("PREFECT_API_URL")
    served = redact(tracking or "").rstrip("/")
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
