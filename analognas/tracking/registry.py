"""The evaluator's versions in MLflow's model registry: which one is champion, and what retraining made of others.

Loaded by ``runs`` and ``champions`` only when MLflow is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from analognas.causes import quoted
from analognas.errors import CorruptFileError
from analognas.files import digest, file_digest
from analognas.tracking import connection
from analognas.tracking.metrics import flat_metrics
from analognas.workspace import round_name

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

    from analognas.retraining.records import DecidedRound, RoundRecord
    from analognas.workspace import Paths

CHAMPION, CHALLENGER = "champion", "challenger"
#: Tags of versions: the digest of the folder's files, whether it was taken back, Kendall tau of ``acc_1d`` on the
#: sentinel set.
DIGEST, ROLLED_BACK, SENTINEL = "analognas.digest", "analognas.rolled_back", "analognas.sentinel_tau"
#: Tags of versions that are or were champion: who made it that, when (ISO 8601, UTC), why, in whose place.
PROMOTED_BY, PROMOTED_AT = "analognas.promoted_by", "analognas.promoted_at"
WHY, PREVIOUS = "analognas.why", "analognas.previous"
#: Beginning of the tags of the model that keep all promotions, one each; the time follows.
PROMOTION = "analognas.promotion."
_LONGEST_TAG = 1000
#: Tags of runs.
ROUND, DECISION = "analognas.round", "analognas.decision"


@dataclass(frozen=True)
class Version:
    """One registered evaluator.

    ``tau`` and ``coverage`` are out of fold, ``sentinel_tau`` is on the sentinel set, all of ``acc_1d``; None: unknown.
    ``previous`` is the version in whose place it became champion, ``promoted_by``, ``promoted_at`` and ``why`` tell of
    the last time that it did; None: it never did, or not by analognas. ``digest`` is empty where others registered it.
    """

    number: int
    aliases: tuple[str, ...]
    created: datetime
    digest: str
    previous: int | None
    rolled_back: bool
    tau: float | None
    coverage: float | None
    sentinel_tau: float | None
    promoted_by: str | None = None
    promoted_at: str | None = None
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "version": self.number,
            "aliases": list(self.aliases),
            "created": self.created.isoformat(timespec="seconds"),
            "digest": self.digest,
            "previous": self.previous,
            "promoted_by": self.promoted_by,
            "promoted_at": self.promoted_at,
            "why": self.why,
            "rolled_back": self.rolled_back,
            "kendall_tau": self.tau,
            "coverage": self.coverage,
            "sentinel_tau": self.sentinel_tau,
        }


class Registry:
    """The versions of one registered evaluator.

    Args:
        client: of MLflow.
        name: that it is registered under, see ``tracking.registered_name``.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client, self.name = client, name

    def versions(self) -> list[Version]:
        """Return all versions, newest first."""
        try:
            aliases = self.client.get_registered_model(self.name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        registered = []
        for model_version in self.client.search_model_versions(f"name = '{self.name}'"):
            number, tags = int(model_version.version), model_version.tags
            metrics = _metrics(self.client, model_version.run_id)
            registered.append(
                Version(
                    number=number,
                    aliases=tuple(sorted(name for name, version in aliases.items() if int(version) == number)),
                    created=datetime.fromtimestamp(model_version.creation_timestamp / 1000, UTC),
                    digest=tags.get(DIGEST, ""),
                    previous=int(tags[PREVIOUS]) if PREVIOUS in tags else None,
                    rolled_back=tags.get(ROLLED_BACK) == "true",
                    tau=metrics.get("targets.acc_1d.kendall_tau.value"),
                    coverage=metrics.get("targets.acc_1d.coverage.value"),
                    sentinel_tau=float(tags[SENTINEL]) if SENTINEL in tags else None,
                    promoted_by=tags.get(PROMOTED_BY),
                    promoted_at=tags.get(PROMOTED_AT),
                    why=tags.get(WHY),
                )
            )
        return sorted(registered, key=lambda entry: -entry.number)

    def with_alias(self, alias: str) -> Version | None:
        """Return the version that has an alias."""
        return next((version for version in self.versions() if alias in version.aliases), None)

    def with_digest(self, digest: str) -> Version | None:
        """Return the newest version whose files have a digest."""
        return next((version for version in self.versions() if version.digest == digest), None)

    def tag(self, version: int, name: str, value: str) -> None:
        """Set a tag of a version."""
        self.client.set_model_version_tag(self.name, str(version), name, value)

    def ask_to_write(self, version: Version) -> None:
        """Write a tag of a version as it is already, which MLflow refuses whoever may not promote."""
        self.tag(version.number, ROLLED_BACK, "true" if version.rolled_back else "false")

    def promote(self, version: int, *, why: str, back: bool = False) -> None:
        """Make a version the champion, and keep who did it, when, why, and in whose place.

        Args:
            version: its number.
            why: in a few words.
            back: whether it comes back, so that the version before it stays the one that it once followed.
        """
        aliases = self.client.get_registered_model(self.name).aliases
        before = int(aliases[CHAMPION]) if CHAMPION in aliases else None
        now = datetime.now(UTC)
        told = {
            PROMOTED_BY: connection.person(),
            PROMOTED_AT: now.isoformat(timespec="seconds"),
            WHY: why[:_LONGEST_TAG],
        }
        if before is not None and before != version and not back:
            told[PREVIOUS] = str(before)
        for name, value in told.items():
            self.tag(version, name, value)
        self.tag(version, ROLLED_BACK, "false")
        kept = {"version": version, "by": told[PROMOTED_BY], "previous": before, "why": told[WHY]}
        # A plus sign is not allowed in the name of a tag.
        self.client.set_registered_model_tag(self.name, f"{PROMOTION}{now:%Y%m%dT%H%M%S.%f}", json.dumps(kept))
        self.client.set_registered_model_alias(self.name, CHAMPION, str(version))
        if int(aliases.get(CHALLENGER, -1)) == version:
            self.client.delete_registered_model_alias(self.name, CHALLENGER)

    def take_back(self, version: int, *, instead: int) -> None:
        """Make ``instead`` the champion again in the place of ``version``."""
        self.promote(instead, why=f"version {version} was rolled back", back=True)
        self.tag(version, ROLLED_BACK, "true")

    def fetch(self, version: Version, to: Paths) -> None:
        """Fetch what ``fit`` wrote when it wrote a version: the evaluator, its figures and its plots.

        Args:
            version: which.
            to: below which it is put, as in a workspace; a new folder.

        Raises:
            CorruptFileError: if it is not what was registered, or not all of it is there.
        """
        run = self.client.get_model_version(self.name, str(version.number)).run_id
        if not run or not version.digest:
            raise CorruptFileError(
                f"Version {version.number} of {self.name} was not registered by analognas: take another version, see "
                "`analognas champion`."
            )
        folders = {"evaluator": to.evaluator, "metrics": to.metrics("fit"), "plots": to.plot("fit.csv")}
        to.data.mkdir(parents=True, exist_ok=True)
        try:
            for name in folders:
                self.client.download_artifacts(run, name, str(to.data))
        except (MlflowException, OSError) as error:
            raise self._lost(version, quoted(error)) from error
        folders["a picture in plots"] = to.plot("fit.png")
        missing = [name for name, path in folders.items() if not path.exists()]
        if missing:
            raise self._lost(version, f"no {missing[0]}")
        if file_digest(to.evaluator) != version.digest:
            raise CorruptFileError(
                f"The files of version {version.number} of {self.name} are not those that were registered: take "
                "another version, see `analognas champion`."
            )

    def _lost(self, version: Version, why: str) -> CorruptFileError:
        return CorruptFileError(
            f"MLflow does not hold all files of version {version.number} of {self.name} ({why}): take another version, "
            "see `analognas champion`, or a revision of git (`dvc checkout data/evaluator`)."
        )


@dataclass(frozen=True)
class Origin:
    """What is told of a decision besides its figures.

    Attributes:
        tags: who made it, and from what.
        datasets: what it was measured on.
        began: when the retraining began that made it, in milliseconds since the epoch; None: it was another one.
        card: what a challenger is, that is registered with it.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: Sequence[DatasetInput] = ()
    began: int | None = None
    card: str | None = None


def log_decision(
    registry: Registry, experiment: str, number: int, content: DecidedRound, files: list[Path], challenger: Paths,
    origin: Origin, *, newest: bool,
) -> bool:  # fmt: skip
    """Log the decision about a round as one run, once, and give the evaluators their aliases.

    Args:
        registry: the evaluator's.
        experiment: its id.
        number: of the round.
        content: of its file.
        files: the round and its note.
        challenger: where one was fitted last; of another round: it is left alone.
        origin: what is told besides; of a run that was logged before, that stays as it was, and so does its end.
        newest: whether no later round was accepted.

    Returns:
        Whether it is done; False while an accepted evaluator is not registered yet.
    """
    client = registry.client
    record, decision = content["record"], str(content["decision"])
    identity = digest([number, [architecture["id"] for architecture in content["architectures"]]])
    earlier = client.search_runs([experiment], f"tags.`{ROUND}` = '{identity}'", max_results=1)
    if earlier and earlier[0].data.tags.get(DECISION) == decision:
        return True
    promoted = None
    if decision == "accepted" and newest and not record.get("by_hand"):
        promoted = registry.with_digest(record["challenger"]["digest"])
        if promoted is None:
            return False
    # One without a decision may have been cut off before its figures were there.
    run = _log_round(client, experiment, number, identity, record, earlier[0].info.run_id if earlier else None, origin)
    said = content["reason"]
    for path in files:
        if path.is_file():
            client.log_artifact(run, str(path))
            said = path.read_text() if path.suffix == ".md" else said
    if promoted is not None:
        before = registry.with_alias(CHAMPION)
        if before is None or before.digest == record["champion"]["digest"]:
            registry.promote(promoted.number, why=f"round {round_name(number)}: {content['reason']}")
        elif before.number != promoted.number:  # it was compared with another one: that is nothing to promote it for
            client.set_registered_model_alias(registry.name, CHALLENGER, str(promoted.number))
    elif decision == "rejected" and not record.get("rolled_back"):
        _register_challenger(registry, run, record, challenger, origin.card)
    _tag(registry, record)
    client.set_tag(run, "mlflow.note.content", said)
    client.set_tag(run, DECISION, decision)
    # A decision that is another one later makes nothing last longer.
    client.set_terminated(run, end_time=earlier[0].info.end_time if earlier else None)
    return True


def _log_round(
    client: MlflowClient, experiment: str, number: int, identity: str, record: RoundRecord, known: str | None,
    origin: Origin,
) -> str:  # fmt: skip
    """Log the figures of a round, in the run that is known or in a new one, and return its id."""
    run: str = (
        known
        or client.create_run(
            experiment, run_name=f"retrain-{round_name(number)}", tags={**origin.tags, ROUND: identity},
            start_time=origin.began,
        ).info.run_id
    )  # fmt: skip
    if not known and origin.datasets:
        client.log_inputs(run, datasets=origin.datasets)
    metrics = [*flat_metrics(record["comparison"], "sentinel."), *flat_metrics(record["need"], "need.")]
    tau = record["challenger"]["kendall_tau_out_of_fold"]
    if tau is not None:
        metrics += flat_metrics({"targets.acc_1d.kendall_tau.value": tau})
    client.log_batch(run, metrics=metrics)
    for name, value in record["rules"].items():
        client.log_param(run, f"retrain.{name}", value)
    client.log_param(run, "need.reasons", json.dumps(record["need"]["reasons"]))
    return run


def _tag(registry: Registry, record: RoundRecord) -> None:
    """Keep with both evaluators how they did on the sentinel set."""
    gain = record["comparison"].get("acc_1d")
    if gain is None:
        return
    for digest_of, tau in (
        (record["champion"]["digest"], gain["champion"]),
        (record["challenger"]["digest"], gain["challenger"]),
    ):
        for version in registry.versions():
            if version.digest == digest_of and tau is not None:
                registry.tag(version.number, SENTINEL, f"{tau:.4f}")


def _register_challenger(registry: Registry, run: str, record: RoundRecord, fitted: Paths, card: str | None) -> None:
    """Keep a challenger that was refused, if it is still there."""
    expected = record["challenger"]["digest"]
    if not fitted.evaluator.is_dir() or file_digest(fitted.evaluator) != expected:
        return
    if registry.with_digest(expected) is not None:
        return
    client, name = registry.client, registry.name
    client.log_artifacts(run, str(fitted.evaluator), "evaluator")
    client.log_artifact(run, str(fitted.metrics("fit")), "metrics")
    for suffix in ("png", "csv"):
        client.log_artifact(run, str(fitted.plot(f"fit.{suffix}")), "plots")
    made = client.create_model_version(
        name, source=f"runs:/{run}/evaluator", run_id=run, tags={DIGEST: expected}, description=card
    )
    client.set_registered_model_alias(name, CHALLENGER, made.version)


def _metrics(client: MlflowClient, run_id: str | None) -> dict[str, float]:
    try:
        return dict(client.get_run(run_id).data.metrics) if run_id else {}
    except MlflowException:  # the run was deleted
        return {}
