"""Runs, datasets and models in MLflow; loaded only when there is something to log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.data
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException
from PIL import Image

from analognas import pages
from analognas.errors import CorruptFileError
from analognas.files import file_digest, read_parquet
from analognas.tracking import cards, registry
from analognas.tracking.connection import experiment_name, registered_name
from analognas.tracking.failures import Place, reach_store
from analognas.tracking.labels import tags, title
from analognas.tracking.metrics import curves, flat_metrics, headlines
from analognas.tracking.registry import Registry
from analognas.tracking.state import (
    MODELS,
    SPAN,
    STAGE,
    STAGE_HASH,
    STATE,
    WORKSPACE,
    decisions,
    read_or_empty,
    run_state,
    stage_data,
    timings_file,
)
from analognas.versioning.branch import WRITTEN

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.versioning import Versioning
    from analognas.workspace import Paths

#: Whether the limits of the search hold, and the sentences about each: a run's description.
LIMITS, _NOTE = "analognas.limits", "mlflow.note.content"
_PARENT = "mlflow.parentRunId"
_CONTEXT = "mlflow.data.context"
#: What the picture of the drift is called among the charts, which MLflow shows in the order of the alphabet.
_PICTURE = "accuracy_while_the_chip_drifts"
_MOST_IN_BATCH = {"metrics": 1000, "params": 100}  # MLflow's own limits
_LONGEST_PARAM = 6000
_LONGEST_DIGEST = 36  # an MD5 of DVC with its ending for folders


class Synchroniser:
    """One synchronisation of a workspace with one tracking server.

    Attributes:
        place: what is being written, in case the server does not let this person.

    Args:
        paths: the workspace.
        params: its parameters.
        versioning: DVC in it, or None.
        uri: the tracking server or database.
    """

    def __init__(self, paths: Paths, params: Params, versioning: Versioning | None, uri: str) -> None:
        self._paths, self._params, self._versioning = paths, params, versioning
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.place: Place | None = None
        self._experiment = self._get_experiment(local=uri.startswith("sqlite"))
        self._experiment_place = self.place = Place("experiment", experiment_name(paths, params), self._experiment)

    def run(
        self, hashes: Mapping[str, str], page: str | None = None, *, failed: bool = False
    ) -> tuple[str, tuple[str, ...]]:
        """Log the stages that are not logged yet.

        Args:
            hashes: the hash of each stage that has run, in order.
            page: address of the run's page in Prefect.
            failed: whether the run ended with an error.

        Returns:
            The id of the parent run, and the stages that were logged now.
        """
        parent, told = self._parent(hashes), tags(self._paths, page)
        logged, stages = [], []
        for name, value in hashes.items():
            same = f"tags.`{STAGE}` = '{name}' and tags.`{STAGE_HASH}` = '{value}'"
            run = self._first(f"{same} and attributes.status = 'FINISHED'")
            if run is None:
                for cut_off in self._client.search_runs([self._experiment], same):
                    self._client.set_terminated(cut_off.info.run_id, "KILLED")
                run = self._log_stage(name, value, parent, told)
                logged.append(name)
            stages.append(run.info)
            self._client.set_tag(parent, f"{STAGE}.{name}", run.info.run_id)
            if name in MODELS:
                self._register(name, value, run)
                self.place = self._experiment_place
        took = sum(stage.end_time - stage.start_time for stage in stages if stage.end_time)
        self._close(parent, hashes, told, took, failed=failed)
        return parent, tuple(logged)

    def page(self, run: str) -> str:
        """Return where MLflow's pages show a run; without the ending they take it for one of a language model."""
        return f"experiments/{self._experiment}/runs/{run}?workflowType=machine_learning"

    def decide(self, numbers: Sequence[int], page: str | None = None, began: float | None = None) -> list[int]:
        """Log decisions about rounds, in order, and return those that are logged now.

        Args:
            numbers: of the rounds.
            page: address of the run's page in Prefect.
            began: when the retraining began that made the newest of these decisions, in seconds since the epoch.
        """
        decided = decisions(self._paths)
        newest = max(
            (accepted for accepted, content in decided.items() if content["decision"] == "accepted"), default=0
        )
        done = []
        measured_on = [_used(_images(self._paths), "validation")] if self._paths.dataset.is_file() else []
        card = cards.of_version(self._paths, self._params, "evaluator", fitted=self._paths.challenger)
        for number in sorted(numbers):
            since = began if number == max(numbers) else None
            told = tags(self._paths, None if since is None else page)  # an earlier one was made by another run
            origin = registry.Origin(told, measured_on, None if since is None else round(1000 * since), card)
            files = [self._paths.round(number).with_suffix(suffix) for suffix in (".json", ".md")]
            if registry.log_decision(
                self._registry("evaluator"), self._experiment, number, decided[number], files,
                self._paths.challenger, origin, newest=number >= newest,
            ):  # fmt: skip
                done.append(number)
        return done

    def _get_experiment(self, *, local: bool) -> str:
        name = experiment_name(self._paths, self._params)
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                self._client.restore_experiment(experiment.experiment_id)
            reach_store(experiment.artifact_location)
            return str(experiment.experiment_id)
        # A server has its own place for artifacts; beside a local database it is the workspace.
        place = artifact_folder(self._paths, name).as_uri() if local else None
        identity = str(self._client.create_experiment(name, artifact_location=place))
        reach_store(self._client.get_experiment(identity).artifact_location)
        return identity

    def _registry(self, model: str) -> Registry:
        return Registry(self._client, registered_name(self._paths, self._params, model))

    def _first(self, condition: str) -> Run | None:
        runs = self._client.search_runs([self._experiment], condition, max_results=1)
        return runs[0] if runs else None

    def _parent(self, hashes: Mapping[str, str]) -> str:
        """Return the run of this state of the pipeline: it exists, or one that got less far goes on, or a new one."""
        names = list(hashes)
        for length in range(len(names), 0, -1):
            reached = run_state({name: hashes[name] for name in names[:length]})
            run = self._first(f"tags.`{STATE}` = '{reached}'")
            if run is not None:
                return str(run.info.run_id)
        named, state = title(self._paths, self._params), {STATE: run_state(hashes)}
        start = _now() - round(1000 * sum(self._seconds(name, value) or 0.0 for name, value in hashes.items()))
        return str(self._client.create_run(self._experiment, run_name=named, tags=state, start_time=start).info.run_id)

    def _seconds(self, stage: str, value: str) -> float | None:
        """Return how long the stage of this hash ran, None if it was not here."""
        timing = read_or_empty(timings_file(self._paths)).get(stage, {})
        return float(timing["seconds"]) if timing.get("stage_hash") == value else None

    def _close(
        self, parent: str, hashes: Mapping[str, str], told: Mapping[str, str], took: int, *, failed: bool
    ) -> None:  # fmt: skip
        """Let the run of the whole pipeline tell what its stages did; one that tells it already is not touched."""
        span, run = " ".join(hashes), self._client.get_run(parent)
        if run.data.tags.get(SPAN) != span:
            self._tell_of_all(parent, hashes, told)
            self._client.set_tag(parent, SPAN, span)
        elif run.info.status == "FINISHED":
            return
        # The time that its stages took, also where one of them was run days after another.
        self._client.set_terminated(parent, "FAILED" if failed else "FINISHED", run.info.start_time + took)

    def _tell_of_all(self, parent: str, hashes: Mapping[str, str], told: Mapping[str, str]) -> None:
        files = {name: read_or_empty(self._paths.metrics(name)) for name in hashes}
        self._log(parent, [metric for name in hashes for metric in headlines(name, files[name])], {})
        if self._paths.dataset.is_file():
            data = _used(_images(self._paths), "training, validation and test")
            self._client.log_inputs(parent, datasets=[data])
        plot = self._paths.plot("train.png")
        known = {**told, STATE: run_state(hashes)}
        for figures in files.values():
            known |= _limits(figures)
        if "train" in hashes:
            self._name_by_winner(parent, files["train"])
            if plot.is_file():
                self._client.log_artifact(parent, str(plot), "plots")
                # Among the charts as well: those of MLflow have neither logarithmic time nor two curves in one.
                with Image.open(plot) as picture:
                    self._client.log_image(parent, picture.convert("RGB"), key=_PICTURE, step=0)
            if said := cards.of_run(self._paths):
                known[_NOTE] = said
                self._client.log_text(parent, pages.html(pages.read(self._paths)), "report.html")
        self._keep_files(parent)
        for key, text in known.items():
            self._client.set_tag(parent, key, text)

    def _name_by_winner(self, parent: str, figures: Mapping[str, Any]) -> None:
        """Let the name of a run, unless somebody changed it, say which winner it found, which tells it from others."""
        first, winner = title(self._paths, self._params), figures.get("winner", {}).get("id")
        if winner and self._client.get_run(parent).info.run_name == first:
            self._client.update_run(parent, name=f"{first}, winner {winner[:8]}")

    def _keep_files(self, parent: str) -> None:
        """Keep what git holds of a run with it: git lacks what was not committed before the next one."""
        for name in WRITTEN:
            path, place = self._paths.root / name, Path(WORKSPACE, name)
            if path.is_dir():
                self._client.log_artifacts(parent, str(path), place.as_posix())
            elif path.is_file():
                self._client.log_artifact(parent, str(path), place.parent.as_posix())

    def _log_stage(self, name: str, value: str, parent: str, told: Mapping[str, str]) -> Run:
        figures = read_or_empty(self._paths.metrics(name))
        known = {**told, _PARENT: parent, STAGE: name, STAGE_HASH: value, **_limits(figures)}
        metrics = flat_metrics(figures) + curves(self._paths, name)
        seconds, end = self._seconds(name, value), _now()
        if seconds is not None:
            metrics += flat_metrics({"seconds": seconds})
        start = end - round(1000 * (seconds or 0.0))
        created = self._client.create_run(self._experiment, run_name=name, tags=known, start_time=start)
        run = created.info.run_id
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
        self._client.set_terminated(run, end_time=end)
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
        datasets = [_used(self._dataset(path), "input") for path in inputs if path.exists()]
        datasets += [_used(self._dataset(path), "output") for path in outputs]
        if stage in ("characterize", "train"):
            datasets.append(_used(_images(self._paths), "validation" if stage == "characterize" else "test"))
        self._client.log_inputs(run, datasets=datasets)

    def _dataset(self, path: Path) -> Dataset:
        """Return data as MLflow knows it, with DVC's hash as its digest."""
        hashed = self._versioning.data_hash(path) if self._versioning else None
        source = LocalArtifactDatasetSource(path.relative_to(self._paths.root).as_posix())
        digest = hashed or file_digest(path)[:_LONGEST_DIGEST]
        if path.is_dir():
            return Dataset(path.name, digest, "local", source.to_json(), profile=f"{len(list(path.iterdir()))} files")
        frame = read_parquet(path, remedy="run `analognas run`")
        table = mlflow.data.from_pandas(frame, source=source, name=path.stem, digest=digest)
        return Dataset(**table.to_dict())

    def _register(self, stage: str, value: str, run: Run) -> None:
        """Register the folder that a stage logged as a version of a model, once."""
        folder = MODELS[stage]
        name = self._registry(folder).name
        self.place = Place("registered_model", name, name)
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
            version = self._client.create_model_version(
                name, source=source, run_id=run.info.run_id, tags=tags,
                description=cards.of_version(self._paths, self._params, folder),
            )  # fmt: skip
        elif "champion" in model.aliases:  # without one, the process was killed before it gave the alias
            return
        if "champion" in model.aliases:
            self._client.set_registered_model_alias(name, "challenger", version.version)
        else:
            self._registry(folder).promote(int(version.version), why="there was no champion")


def _used(dataset: Dataset, context: str) -> DatasetInput:
    return DatasetInput(dataset, [InputTag(_CONTEXT, context)])


def _now() -> int:
    """Return the time as MLflow counts it, in milliseconds."""
    return time.time_ns() // 1_000_000


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
