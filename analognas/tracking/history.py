"""The finished runs that MLflow knows, and their files, put where a workspace has them."""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.causes import quoted
from analognas.errors import CorruptFileError
from analognas.files import json_bytes, sealed_bytes, write_bytes
from analognas.stages.protocols import STAGES
from analognas.tracking import connection
from analognas.tracking.reading import opened_client
from analognas.tracking.state import MODELS, SPAN, STAGE, STATE, WORKSPACE
from analognas.workspace import Paths

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from analognas.params import Params

_DATASET = "data/dataset.json"
#: Runs among which one is looked for.
MOST = 1000


@dataclass(frozen=True)
class Logged:
    """A run of the whole pipeline in MLflow.

    Attributes:
        run: its id.
        state: what ``state.run_state`` gives of its stages.
        ended: when it was finished (UTC).
        stages: the run of each stage, which holds what the stage wrote.
        whole: whether its files lie with it as a workspace has them, so that all of it can be had again.
    """

    run: str
    state: str
    ended: datetime
    stages: Mapping[str, str]
    whole: bool


def is_there(paths: Paths) -> bool:
    """Return whether there is anything to ask: asking would make the database."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (paths.root / "mlflow.db").exists()


def state_of(run: Run) -> str | None:
    """Return the state of the pipeline that a run of MLflow tells of, None if it tells of none."""
    state: str | None = run.data.tags.get(STATE)
    return state


def logged(
    paths: Paths, params: Params, most: int = MOST, wanted: Callable[[Run], bool] = lambda _: True
) -> list[tuple[Logged, dict[str, bytes]]]:
    """Return the newest finished runs of a workspace, newest first, each with its small files by name.

    The names are those of a workspace (``data/metrics/train.json``); there is ``params.yaml`` in any case.

    Args:
        paths: the workspace.
        params: its parameters.
        most: so many of the newest are looked at.
        wanted: which of them are meant; only their files are fetched.

    Raises:
        StageError: if MLflow cannot be used.
    """
    if not is_there(paths):
        return []
    with opened_client(paths, params) as client:
        return [(run, _small(client, run)) for run in _runs(client, paths, params, most, wanted)]


def fetch(paths: Paths, params: Params, run: Logged, to: Path) -> None:
    """Write what MLflow holds of a run as a workspace has it: the small files, plots, evaluator and winner.

    Raises:
        StageError: if MLflow cannot be used.
        CorruptFileError: if evaluator or winner are not there any more.
    """
    there = Paths(to)
    with opened_client(paths, params) as client:
        for name, content in _small(client, run).items():
            if run.whole or name != _DATASET:  # of the data only what the stages depend on was recorded
                write_bytes(to / name, content)
        for stage, folder in (*((stage, "plots") for stage in STAGES), *MODELS.items()):
            try:
                client.download_artifacts(run.stages[stage], folder, str(there.data))
            except Exception as error:  # MLflow's, its server's and its disk's
                if stage in MODELS and folder == MODELS[stage]:
                    raise CorruptFileError(
                        f"MLflow does not hold the {folder} of the run {run.run} any more ({quoted(error)}): take "
                        "another one, see `analognas runs`."
                    ) from error


def _runs(client: MlflowClient, paths: Paths, params: Params, most: int, wanted: Callable[[Run], bool]) -> list[Logged]:
    experiment = client.get_experiment_by_name(connection.experiment_name(paths, params))
    if experiment is None:
        return []
    condition = f"tags.`{SPAN}` = '{' '.join(STAGES)}'"
    runs = client.search_runs([experiment.experiment_id], condition, max_results=most)
    return [_logged(client, run) for run in runs if state_of(run) is not None and wanted(run)]


def _logged(client: MlflowClient, run: Run) -> Logged:
    tags, info = run.data.tags, run.info
    ended = datetime.fromtimestamp((info.end_time or info.start_time) / 1000, UTC)
    stages = {stage: tags[f"{STAGE}.{stage}"] for stage in STAGES if f"{STAGE}.{stage}" in tags}
    whole = any(file.path == WORKSPACE for file in client.list_artifacts(info.run_id))
    return Logged(info.run_id, tags[STATE], ended, stages, whole)


def _small(client: MlflowClient, run: Logged) -> dict[str, bytes]:
    """Return the small files of a run by name; what is gone is left out."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = {run.run: WORKSPACE} if run.whole else {run.stages[stage]: "metrics" for stage in run.stages}
        for source, name in sources.items():
            place = Path(folder) / name
            try:
                client.download_artifacts(source, name, folder)
            except Exception:  # noqa: S112 - MLflow's, its server's and its disk's: whoever needs it says what is missing
                continue
            root = place if run.whole else Path(folder)
            prefix = "" if run.whole else "data/"
            files |= {
                prefix + path.relative_to(root).as_posix(): path.read_bytes()
                for path in sorted(place.rglob("*"))
                if path.is_file()
            }
    if "params.yaml" not in files:
        sections = _recorded(client, run)
        dataset = sections.pop("dataset", {})
        sections.pop("environment", None)
        files["params.yaml"] = json_bytes(sections)  # which is YAML, too
        if dataset:  # without DVC nothing of it was recorded
            files[_DATASET] = sealed_bytes(dataset)
    return files


def _recorded(client: MlflowClient, run: Logged) -> dict[str, Any]:
    """Return the parameters that the stages of a run had, by section.

    ``dataset`` is what was recorded of the data, no parameter: those of the dataset are in no stage that is logged.
    """
    sections: dict[str, Any] = {}
    for source in run.stages.values():
        for name, text in client.get_run(source).data.params.items():
            section, *keys = name.split(".")
            if not keys:
                continue
            owner = sections.setdefault(section, {})
            for key in keys[:-1]:
                owner = owner.setdefault(key, {})
            owner[keys[-1]] = _value(text)
    return sections


def _value(text: str) -> Any:
    """Return the value that Python wrote as a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
