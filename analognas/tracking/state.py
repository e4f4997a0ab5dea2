"""What there is to log, and what is known to be logged: asked of small files, not of MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from analognas.errors import AnalogNASError
from analognas.files import digest, file_digest, is_damaged_database, read_sealed, write_sealed
from analognas.redaction import redact
from analognas.stages.protocols import STAGES
from analognas.tracking.connection import experiment_name, tracking_uri
from analognas.versioning.pipeline import declared
from analognas.workspace import round_name

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.retraining.records import DecidedRound
    from analognas.versioning import Versioning
    from analognas.workspace import Paths

#: Stages that write a model, and its folder in ``data/``; :func:`registered_name` is what it is registered under.
MODELS = {"fit": "evaluator", "train": "winner"}

#: Tags of runs: of which stage and hash one is; of a whole pipeline's, ``run_state`` and the stages that it tells of.
STAGE, STAGE_HASH, STATE, SPAN = "analognas.stage", "analognas.stage_hash", "analognas.state", "analognas.stages"
#: Where the files that git holds lie with the run of a pipeline, as a workspace has them.
WORKSPACE = "workspace"

# What marks a round in the file that tells what is logged.
ROUND_PREFIX = "round-"


def stage_hashes(paths: Paths, versioning: Versioning | None) -> dict[str, str]:
    """Return the hash of each stage whose results are there, in order, up to the first without."""
    hashes: dict[str, str] = {}
    for name in STAGES:
        stage_hash = versioning.recorded_hash(name) if versioning else _content_hash(paths, name)
        if stage_hash is None or not paths.metrics(name).is_file():
            break
        hashes[name] = stage_hash
    return hashes


def run_state(hashes: Mapping[str, str]) -> str:
    """Return what tells a state of the whole pipeline from all others, of the hashes of its stages in order."""
    return digest(list(hashes.values()))


def untracked(paths: Paths, params: Params, versioning: Versioning | None) -> tuple[str, ...]:
    """Return the stages with results that are not known to be in MLflow; asks a small file, not MLflow."""
    known = known_hashes(paths, params)
    return tuple(name for name, value in stage_hashes(paths, versioning).items() if known.get(name) != value)


def decisions(paths: Paths) -> dict[int, DecidedRound]:
    """Return what the files of the decided rounds of ``analognas retrain`` hold, by number."""
    rounds = {number: read_or_empty(path) for number, path in paths.round_files().items()}
    return {
        number: cast("DecidedRound", content)
        for number, content in rounds.items()
        if content.get("purpose") == "retrain" and "comparison" in (content.get("record") or {})
    }


def unlogged_decisions(paths: Paths, params: Params) -> tuple[int, ...]:
    """Return the rounds whose decision is not known to be in MLflow and can be logged now.

    The newest accepted one can as soon as ``data/evaluator/`` is the evaluator that it brought.
    """
    digests = unlogged(paths, params)
    if not digests:
        return ()
    decided = decisions(paths)
    newest = max((number for number, content in decided.items() if content.get("decision") == "accepted"), default=0)
    if newest in digests:
        brought = decided[newest]["record"].get("challenger", {}).get("digest")
        if not paths.evaluator.is_dir() or file_digest(paths.evaluator) != brought:
            del digests[newest]
    return tuple(digests)


def note_duration(paths: Paths, stage: str, versioning: Versioning | None, seconds: float) -> None:
    """Keep how long a stage took, for MLflow; in a file of its own, because no result may hold a duration."""
    stage_hash = versioning.stage_hash(stage) if versioning else _content_hash(paths, stage)
    noted = {stage: {"stage_hash": stage_hash, "seconds": round(seconds, 1)}}
    write_sealed(timings_file(paths), read_or_empty(timings_file(paths)) | noted)


def stage_data(paths: Paths, stage: str) -> tuple[list[Path], list[Path]]:
    """Return the tables and folders that a stage reads and writes by ``dvc.yaml``: no figures, no plots."""
    reads, writes = declared(paths.root, stage)
    plots, figures = paths.plot("any").parent, paths.metrics("any").parent
    return [path for path in reads if path.parent != figures], [path for path in writes if path.parent != plots]


def timings_file(paths: Paths) -> Path:
    """Return the file (in git's ignore list) that holds how long each stage took."""
    return paths.data / "timings.json"


def read_or_empty(path: Path) -> dict[str, Any]:
    """Return a JSON object of our own; one that cannot be read is as if it were not there."""
    try:
        content = read_sealed(path, remedy="")
    except (AnalogNASError, OSError):
        return {}
    return content


def _content_hash(paths: Paths, stage: str) -> str | None:
    """Return a stage's hash where nothing is versioned: of its metrics and of the data it wrote."""
    if not paths.metrics(stage).is_file():
        return None
    files = [paths.metrics(stage), *stage_data(paths, stage)[1]]
    if not all(path.exists() for path in files):
        return None
    return digest([stage, [file_digest(path) for path in files]])


def unlogged(paths: Paths, params: Params) -> dict[int, str]:
    """Return the digest of each decision about a round that is not known to be in MLflow, by number."""
    known = known_hashes(paths, params)
    digests = {number: digest(content) for number, content in decisions(paths).items()}
    return {
        number: value for number, value in digests.items() if known.get(f"{ROUND_PREFIX}{round_name(number)}") != value
    }


def known_hashes(paths: Paths, params: Params) -> dict[str, str]:
    """Return the hashes that are known to be in MLflow; none if its database is gone, empty or damaged."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        database = paths.root / "mlflow.db"
        if not database.exists() or not database.stat().st_size or is_damaged_database(database):
            return {}
    known: dict[str, str] = read_or_empty(marker_file(paths)).get(place(paths, params), {})
    return known


def place(paths: Paths, params: Params) -> str:
    """Return what stands for a server and an experiment in the file that tells what is logged."""
    # A password in the address is not written to the disk.
    return f"{redact(tracking_uri(paths))} {experiment_name(paths, params)}"


def marker_file(paths: Paths) -> Path:
    """Return the file that tells what is known to be logged."""
    return paths.root / ".analognas" / "tracked.json"
