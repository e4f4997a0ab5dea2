"""The flows of a workspace, loaded and run with a Prefect server around them.

They are the user's files (``flows/`` of the workspace) and no part of the package.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from analognas.causes import own_code, reached
from analognas.errors import AnalogNASError, StageError, WorkspaceError
from analognas.orchestration import clusters
from analognas.orchestration.freshness import Freshness
from analognas.orchestration.server import configure_prefect, server
from analognas.orchestration.sessions import RunReport, Session, prepared
from analognas.params import Params
from analognas.progress import RunProgress
from analognas.stages import STAGES
from analognas.stages.running import limit_threads
from analognas.workspace import Paths, alone


def run_pipeline(
    workspace: Paths | Path | str,
    params: Params,
    *,
    freshness: Freshness | None = None,
    progress: RunProgress = lambda *_: None,
    verbose: bool = False,
) -> RunReport:
    """Run the flow ``pipeline`` of a workspace, with Prefect's ephemeral server unless ``PREFECT_API_URL`` is set.

    ``freshness`` is what is up to date, if it has just been asked; ``verbose`` shows Prefect's log on the terminal.

    Raises:
        AnalogNASError: what a stage raises comes through as it is; what ran before it is recorded.
        WorkspaceError: if the flow cannot be loaded, or another run works in the workspace.
        StageError: if Prefect's server cannot be reached.
    """
    paths = workspace if isinstance(workspace, Paths) else Paths.find(Path(workspace))
    limit_threads(params)
    with alone(paths):
        run = Session(paths, params, freshness or Freshness.of(paths, params), progress)
        if any(run.freshness.stale.values()):
            run_flow(run, "pipeline", verbose=verbose)
        else:  # `dvc repro` ran everything: there is only something to log
            run.skipped += STAGES
            run.sync()
    return run.report


def run_flow(run: Session, name: str, *arguments: Any, verbose: bool = False) -> None:
    """Run the flow ``name`` of ``flows/NAME.py`` for a session that was prepared; see :func:`run_pipeline`."""
    if name != "pipeline" or run.freshness.stale["sample"] or run.freshness.stale["characterize"]:
        clusters.check_runner(run.params)  # refused before the seconds that a server takes
    configure_prefect(verbose=verbose)
    flow = getattr(load_flow(run.paths.root / "flows" / f"{name}.py"), name)
    try:
        with prepared(run), server():
            flow(str(run.paths.root), *arguments)
    except Exception as error:
        _without_server(error, run, name)


def _without_server(error: Exception, run: Session, name: str) -> None:
    """Say that Prefect's server went away, if that is what an error is about; it costs no result.

    Raises:
        StageError: if the flow did not come to its end without the server.
        Exception: ``error``, if it is about something else.
    """
    import httpx  # Prefect has loaded it

    if not isinstance(error, httpx.TransportError) and "Failed to reach API" not in str(error):  # Prefect's own words
        raise error
    failed: BaseException | None = error
    while failed is not None and not isinstance(failed, AnalogNASError):  # Prefect could not be told of this one
        failed = failed.__cause__ or failed.__context__
    if failed is not None:
        raise failed
    gone = f"Prefect's server went away while the flow {name} ran (it {reached(error) or 'is not reached'})"
    if name == "pipeline" and len(run.ran) + len(run.skipped) == len(STAGES):
        run.notes.append(f"{gone}. Everything was done and is kept; Prefect will not show the end of the run.")
        return
    raise StageError(
        f"{gone}: what was finished is kept. Start it (`prefect server start`), or unset PREFECT_API_URL to run "
        "without one; then run again."
    ) from error


def load_flow(path: Path) -> ModuleType:
    """Return the module of a flow in a workspace; it is no part of the package and of no import path.

    Raises:
        WorkspaceError: if the file is missing, cannot be loaded, or defines no flow of its name.
    """
    name = f"analognas_workspace_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise WorkspaceError(f"{path} is missing: restore it from git, or copy it from a new `analognas init`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own file may fail in any way
        raise WorkspaceError(f"{path} cannot be loaded: {own_code(error)}; mend it, or restore it from git.") from error
    if not hasattr(module, path.stem):
        raise WorkspaceError(f"{path} defines no flow named {path.stem}: mend it, or restore it from git.")
    return module
