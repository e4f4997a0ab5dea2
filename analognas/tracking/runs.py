"""Runs, datasets and models in MLflow; loaded only when there is something to log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.data
import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException

from analognas.errors import CorruptFileError
from analognas.files import digest, file_digest
from analognas.stages.protocols import STAGES
from analognas.tracking import registry
from analognas.tracking.connection import experiment_name, registered_name
from analognas.tracking.metrics import curves, flat_metrics
from analognas.tracking.registry import Registry
from analognas.tracking.state import MODELS, decisions, read_or_empty, stage_data, timings_file

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.versioning import Versioning
    from analognas.workspace import Paths

STAGE, STAGE_HASH, STATE, SPAN = "analognas.stage", "analognas.stage_hash", "analognas.state", "analognas.stages"
#: Whether the limits of the search hold, and the sentences about each: a run's description.
LIMITS, _NOTE = "analognas.limits", "mlflow.note.content"
_PARENT = "mlflow.parentRunId"
_CONTEXT = "mlflow.data.context"
_MOST_IN_BATCH = {"metrics": 1000, "params": 100}  # MLflow's own limits
_LONGEST_PARAM = 6000
_LONGEST_DIGEST = 36  # an MD5 of DVC with its ending for folders


class Synchroniser:
    """One synchronisation of a workspace with one tracking server.

    Args:
        paths: the workspace.
        params: its parameters.
        versioning: DVC in it, or None.
        uri: the tracking server or database.
    """

    def __init__(self, paths: Paths, params: Params, versioning: Versioning | None, uri: str) -> None:
        self._paths, self._params, self._versioning = paths, params, versioning
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._experiment = self._get_experiment(local=uri.startswith("sqlite"))

    def run(self, hashes: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        """Log the stages that are not logged yet.

        Args:
            hashes: the hash of each stage that has run, in order.

        Returns:
            The id of the parent run, and the stages that were logged now.
        """
        parent = self._parent(hashes)
        logged = []
        for name, value in hashes.items():
            same = f"tags.`{STAGE}` = '{name}' and tags.`{STAGE_HASH}` = '{value}'"
            run = self._first(f"{same} and attributes.status = 'FINISHED'")
            if run is None:
                for cut_off in self._client.search_runs([self._experiment], same):
                    self._client.set_terminated(cut_off.info.run_id, "KILLED")
                run = self._log_stage(name, value, parent)
                logged.append(name)
            self._client.set_tag(parent, f"{STAGE}.{name}", run.info.run_id)
            if name in MODELS:
                self._register(name, value, run)
        self._close(parent, hashes)
        return parent, tuple(logged)

    def decide(self, numbers: Sequence[int]) -> list[int]:
        """Log decisions about rounds, in order, and return those that are logged now."""
        decided = decisions(self._paths)
        newest = max(
            (accepted for accepted, content in decided.items() if content["decision"] == "accepted"), default=0
        )
        done = []
        for number in sorted(numbers):
            files = [self._paths.round(number).with_suffix(suffix) for suffix in (".json", ".md")]
            if registry.log_decision(
                self._registry("evaluator"), self._experiment, number, decided[number], files,
                self._paths.challenger, newest=number >= newest,
            ):  # fmt: skip
                done.append(number)
        return done

    def _get_experiment(self, *, local: bool) -> str:
        name = experiment_name(self._paths, self._params)
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                self._client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)
        # A server has its own place for artifacts; beside a local database it is the workspace.
        place = artifact_folder(self._paths, name).as_uri() if local else None
        return str(self._client.create_experiment(name, artifact_location=place))

    def _registry(self, model: str) -> Registry:
        return Registry(self._client, registered_name(self._paths, self._params, model))

    def _first(self, condition: str) -> Run | None:
        runs = self._client.search_runs([self._experiment], condition, max_results=1)
        return runs[0] if runs else None

    def _parent(self, hashes: Mapping[str, str]) -> str:
        """Return the run of this state of the pipeline: it exists, or one that got less far goes on, or a new one."""
        names = list(hashes)
        for length in range(len(names), 0, -1):
            run = self._first(f"tags.`{STATE}` = '{_state(hashes, names[:length])}'")
            if run is not None:
                return str(run.info.run_id)
        tags = {STATE: _state(hashes, names)}
        return str(self._client.create_run(self._experiment, run_name="pipeline", tags=tags).info.run_id)

    def _close(self, parent: str, hashes: Mapping[str, str]) -> None:
        span = " ".join(hashes)
        if self._client.get_run(parent).data.tags.get(SPAN) != span:
            files = {name: read_or_empty(self._paths.metrics(name)) for name in hashes}
            self._log(parent, [metric for name in hashes for metric in flat_metrics(files[name], f"{name}.")], {})
            self._client.set_tag(parent, STATE, _state(hashes, list(hashes)))
            for key, text in {
                key: text for figures in files.values() for key, text in _limits(figures).items()
            }.items():
                self._client.set_tag(parent, key, text)
            self._client.set_tag(parent, SPAN, span)
        self._client.set_terminated(parent, "FINISHED" if tuple(hashes) == STAGES else "FAILED")

    def _log_stage(self, name: str, value: str, parent: str) -> Run:
        figures = read_or_empty(self._paths.metrics(name))
        tags = {_PARENT: parent, STAGE: name, STAGE_HASH: value, **_limits(figures)}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        metrics = flat_metrics(figures) + curves(self._paths, name)
        timing = read_or_empty(timings_file(self._paths)).get(name, {})
        if timing.get("stage_hash") == value:
            metrics += flat_metrics({"seconds": timing["seconds"]})
        self._log(run, metrics, self._stage_params(name))
        self._log_datasets(run, name)
        self._client.log_artifact(run, str(self._paths.metrics(name)), "metrics")
        for suffix in ("png", "csv"):
            plot = self._paths.plot(f"{name}.{suffix}")
            if plot.is_file():
                self._client.log_artifact(run, str(plot), "plots")
        if name in MODELS:
            folder = MODELS[name]
            self._client.log_artifacts(run, str(self._paths.data / folder), folder)
        self._client.set_terminated(run)
        return self._client.get_run(run)

    def _log(self, run: str, metrics: list[Metric], params: Mapping[str, str]) -> None:
        rows = [Param(key, value[:_LONGEST_PARAM]) for key, value in params.items()]
        for kind, entities in (("metrics", metrics), ("params", rows)):
            size = _MOST_IN_BATCH[kind]
            for start in range(0, len(entities), size):
                self._client.log_batch(run, **{kind: entities[start : start + size]})

    def _stage_params(self, stage: str) -> dict[str, str]:
        """Return the parameters that ``dvc.lock`` records for a stage; unversioned, those of its sections."""
        recorded = self._versioning.stage_params(stage) if self._versioning else None
        if recorded is None:
            recorded = {section: self._params.values(section) for section in ("base", "space", "hardware", stage)}
        return dict(_flat(recorded))

    def _log_datasets(self, run: str, stage: str) -> None:
        inputs, outputs = stage_data(self._paths, stage)
        datasets = [(self._dataset(path), "input") for path in inputs if path.exists()]
        datasets += [(self._dataset(path), "output") for path in outputs]
        if stage in ("characterize", "train"):
            datasets.append((_images(self._paths), "validation" if stage == "characterize" else "test"))
        entities = [DatasetInput(dataset, [InputTag(_CONTEXT, context)]) for dataset, context in datasets]
        self._client.log_inputs(run, datasets=entities)

    def _dataset(self, path: Path) -> Dataset:
        """Return data as MLflow knows it, with DVC's hash as its digest."""
        hashed = self._versioning.data_hash(path) if self._versioning else None
        source = LocalArtifactDatasetSource(path.relative_to(self._paths.root).as_posix())
        digest = hashed or file_digest(path)[:_LONGEST_DIGEST]
        if path.is_dir():
            return Dataset(path.name, digest, "local", source.to_json(), profile=f"{len(list(path.iterdir()))} files")
        table = mlflow.data.from_pandas(pd.read_parquet(path), source=source, name=path.stem, digest=digest)
        return Dataset(**table.to_dict())

    def _register(self, stage: str, value: str, run: Run) -> None:
        """Register the folder that a stage logged as a version of a model, once."""
        folder = MODELS[stage]
        name = self._registry(folder).name
        try:
            model = self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            model = self._client.create_registered_model(name, description=f"The folder data/{folder}; no pickle.")
        # The same files are the same version, also where other inputs gave them.
        content_digest = file_digest(self._paths.data / folder)
        version = next(
            (
                model_version
                for model_version in self._client.search_model_versions(f"name = '{name}'")
                if model_version.tags.get(STAGE_HASH) == value
                or model_version.tags.get(registry.DIGEST) == content_digest
            ),
            None,
        )
        if version is None:
            source, tags = f"runs:/{run.info.run_id}/{folder}", {STAGE_HASH: value, registry.DIGEST: content_digest}
            version = self._client.create_model_version(name, source=source, run_id=run.info.run_id, tags=tags)
        elif "champion" in model.aliases:  # without one, the process was killed before it gave the alias
            return
        if "champion" in model.aliases:
            self._client.set_registered_model_alias(name, "challenger", version.version)
        else:
            self._registry(folder).promote(int(version.version), why="there was no champion")


def artifact_folder(paths: Paths, experiment: str) -> Path:
    """Return the folder of an experiment's artifacts beside a local database."""
    return paths.root / "mlartifacts" / (experiment.replace("/", "_").lstrip(".") or "_")


def download(uri: str, name: str, alias: str, to: Path) -> Path:
    """Fetch the folder of a registered model below ``to`` and return it.

    Raises:
        CorruptFileError: if the version is not the folder of a run: it could be any address or file.
    """
    version = MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version_by_alias(name, alias)
    if not re.fullmatch(r"runs:/[0-9a-f]{32}/[a-z]+", str(version.source)):
        raise CorruptFileError(
            f"Version {version.version} of {name} was not registered by analognas: give the alias {alias} to another."
        )
    return Path(download_artifacts(version.source, dst_path=str(to), tracking_uri=uri))


def _limits(figures: Mapping[str, Any]) -> dict[str, str]:
    """Return what a stage's figures say of the limits, as tags; of the pipeline, the last stage that says something."""
    from analognas.search_algorithms.verdicts import from_described

    if "limits" not in figures:
        return {}
    said = "\n\n".join(f"Limit {verdict}." for verdict in from_described(figures["limits"]))
    return {LIMITS: str(figures["limits"]["status"])} | ({_NOTE: said} if said else {})


def _state(hashes: Mapping[str, str], names: list[str]) -> str:
    return digest([hashes[name] for name in names])


def _images(paths: Paths) -> Dataset:
    described = read_or_empty(paths.dataset)
    sizes = ", ".join(f"{part} {size}" for part, size in described["sizes"].items())
    return Dataset(
        name=described["name"],
        digest=described["digest"][:_LONGEST_DIGEST],
        source_type="analognas",
        source=f"analognas.datasets: {described['name']}",
        profile=f"{sizes}; split {described['split_digest']}",
    )


def _flat(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, str(values)
