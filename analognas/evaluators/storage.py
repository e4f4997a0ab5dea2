"""An XGBoost evaluator as a directory: one schema that people can read, and XGBoost's own model files. No pickle.

schema.json          everything but the trees, with the digest of every other file
anchors.npy          standardised features of the measured architectures
<target>/<nn>.ubj    the boosted trees of each member
evidence.json        what was measured, and what was predicted without it
prior/               the evaluator that it started from, as a folder of its own
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from analognas.causes import wrong
from analognas.errors import CorruptFileError
from analognas.evaluators.base import Context
from analognas.evaluators.boosting import Ensemble, Member, Trend
from analognas.evaluators.calibration import Interval, Novelty, Scale, ScoreMap
from analognas.evaluators.columns import TARGETS
from analognas.evaluators.evidence import Evidence
from analognas.evaluators.features import FeatureSchema
from analognas.evaluators.model import Model, TargetModel
from analognas.evaluators.reporting import Report
from analognas.files import json_bytes
from analognas.folders import packed, read_folder, write_folder

FORMAT = 2
KIND = "analognas evaluator: xgboost"
SCHEMA = "schema.json"
ANCHORS = "anchors.npy"
EVIDENCE = "evidence.json"
PRIOR = "prior"

_REMEDY = "fit the evaluator again (`analognas stage fit`), or pull it again"


@dataclass(frozen=True)
class Stored:
    """What is stored of an evaluator; ``params`` are the arguments it was made with."""

    params: Mapping[str, Any]
    context: Context
    schema: FeatureSchema
    model: Model
    report: Report
    evidence: Evidence | None = None
    prior: Stored | None = None


def save(path: Path, stored: Stored) -> None:
    """Write an XGBoost evaluator to ``path``, see ``write``. The same evaluator: the same bytes."""
    write_folder(path, SCHEMA, *_described(stored))


def _described(stored: Stored) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the schema of an evaluator, and the files beside it."""
    contents = {ANCHORS: array_bytes(stored.model.novelty.anchors)}
    for target, model in stored.model.targets.items():
        for number, member in enumerate(model.ensemble.members):
            contents[_member_file(target, number)] = bytes(member.booster.save_raw("ubj"))
    contents |= evidence_file(stored.evidence)
    if stored.prior is not None:
        within = packed(SCHEMA, *_described(stored.prior))
        contents |= {f"{PRIOR}/{name}": content for name, content in within.items()}
    schema = {
        "format": FORMAT,
        "kind": KIND,
        "context": asdict(stored.context),
        "params": plain(stored.params),
        "features": stored.schema.to_dict(),
        "novelty": stored.model.novelty.to_dict(),
        "targets": {target: _target_data(model) for target, model in stored.model.targets.items()},
        "report": stored.report,
    }
    return schema, contents


def load(path: Path) -> Stored:
    """Return the XGBoost evaluator that ``save`` wrote.

    Raises:
        CorruptFileError: if a file is missing, damaged or of something else.
        MismatchError: if it has other features than this version of analognas computes.
    """
    schema, contents = read(path, KIND)
    with described(path):
        evidence = evidence_of(contents)
        features = FeatureSchema.from_dict(schema["features"], None if evidence is None else evidence.space)
        model = Model(
            {target: _target(target, schema["targets"][target], contents) for target in TARGETS},
            Novelty.from_dict(schema["novelty"], array(path / ANCHORS, contents[ANCHORS])),
            features.structural,
        )
        prior = load(path / PRIOR) if f"{PRIOR}/{SCHEMA}" in contents else None
        return Stored(
            schema["params"], Context(**schema["context"]), features, model, schema["report"], evidence, prior
        )


def write(path: Path, kind: str, schema: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write a schema and files beside it to a directory: a new or an empty one, or one of an evaluator.

    Raises:
        WorkspaceError: if something else is there, or it cannot be written.
    """
    write_folder(path, SCHEMA, {"format": FORMAT, "kind": kind, **schema}, contents)


def read(path: Path, kind: str | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the schema and the files of a directory that ``write`` wrote.

    Raises:
        CorruptFileError: if a file is missing, damaged or of something else than ``kind`` (None: any kind).
    """
    if not path.is_dir():
        raise CorruptFileError(f"{path} holds no evaluator (no such folder): {_REMEDY}.")
    file = path / SCHEMA
    schema, contents = read_folder(path, SCHEMA, remedy=_REMEDY)
    if schema.get("kind") != kind if kind else "kind" not in schema:
        raise CorruptFileError(
            f"{file} is not the schema of an {(kind or KIND).partition(': ')[2]} evaluator: {_REMEDY}."
        )
    if schema.get("format") != FORMAT:
        raise CorruptFileError(
            f"{file} has the format {schema.get('format')!r}, this version of analognas reads {FORMAT}: {_REMEDY}."
        )
    return schema, contents


def evidence_file(evidence: Evidence | None) -> dict[str, bytes]:
    """Return the evidence of an evaluator as a file's content by its name; empty without any."""
    return {} if evidence is None else {EVIDENCE: json_bytes(evidence.to_dict())}


def evidence_of(contents: Mapping[str, bytes]) -> Evidence | None:
    """Return the evidence among the files of an evaluator, None if there is none.

    Raises:
        CorruptFileError: if it is damaged.
    """
    return Evidence.from_dict(json.loads(contents[EVIDENCE])) if EVIDENCE in contents else None


@contextmanager
def described(path: Path) -> Iterator[None]:
    """Turn what a schema of something else raises into one sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, xgb.core.XGBoostError) as error:
        file = path / SCHEMA
        raise CorruptFileError(f"{file} does not describe an evaluator ({wrong(error)}): {_REMEDY}.") from error


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON has them: no NumPy numbers."""
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in params.items()}


def _member_file(target: str, number: int) -> str:
    return f"{target}/{number:02d}.ubj"


def array_bytes(array: Any) -> bytes:
    """Return an array as a file in NumPy's format."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def array(file: Path, content: bytes) -> Any:
    """Return the array of such a file.

    Raises:
        CorruptFileError: if it is none.
    """
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError):
        loaded = None
    if not isinstance(loaded, np.ndarray):  # an archive is something else
        raise CorruptFileError(f"{file} is no array of numbers: {_REMEDY}.")
    return loaded


def _target_data(model: TargetModel) -> dict[str, Any]:
    score_map = model.score_map
    return {
        "method": model.method,
        "scale": asdict(model.scale),
        "score_map": None if score_map is None else _map_data(score_map),
        "interval": {
            "noise": model.interval.noise,
            "scores": model.interval.scores.tolist(),
            "assigned": model.interval.assigned.tolist(),
        },
        "folds": model.ensemble.folds,
        "trends": [None if member.trend is None else _trend_data(member.trend) for member in model.ensemble.members],
    }


def _target(target: str, data: Mapping[str, Any], contents: Mapping[str, bytes]) -> TargetModel:
    members = []
    interval = data["interval"]
    for number, trend in enumerate(data["trends"]):
        booster = xgb.Booster({"nthread": 1})
        booster.load_model(bytearray(contents[_member_file(target, number)]))
        members.append(Member(booster, None if trend is None else _trend(trend)))
    return TargetModel(
        method=data["method"],
        scale=Scale(**data["scale"]),
        ensemble=Ensemble(tuple(members), data["folds"]),
        score_map=None if data["score_map"] is None else _map(data["score_map"]),
        interval=Interval(interval["noise"], np.array(interval["scores"]), np.array(interval["assigned"])),
    )


def _map_data(score_map: ScoreMap) -> dict[str, Any]:
    return {
        "scores": score_map.scores.tolist(),
        "values": score_map.values.tolist(),
        "slope": score_map.slope,
    }


def _map(data: Mapping[str, Any]) -> ScoreMap:
    return ScoreMap(np.array(data["scores"]), np.array(data["values"]), data["slope"])


def _trend_data(trend: Trend) -> dict[str, Any]:
    return {
        "columns": list(trend.columns),
        "low": trend.low.tolist(),
        "high": trend.high.tolist(),
        "slopes": trend.slopes.tolist(),
        "intercept": trend.intercept,
    }


def _trend(data: Mapping[str, Any]) -> Trend:
    return Trend(
        columns=tuple(data["columns"]),
        low=np.array(data["low"]),
        high=np.array(data["high"]),
        slopes=np.array(data["slopes"]),
        intercept=data["intercept"],
    )
