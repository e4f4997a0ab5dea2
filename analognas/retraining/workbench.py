"""What the steps of a retraining share: the champion, what is listed, what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from analognas.errors import CorruptFileError, SpaceError, StageError, WorkspaceError
from analognas.evaluators.registry import load_evaluator
from analognas.files import file_digest
from analognas.results import ResultStore, result_key
from analognas.stages import characterize, identity
from analognas.stages.inputs import Listed, listed, space
from analognas.stages.rounds import Round, read_rounds
from analognas.stages.rows import learnable, read_out_of_fold

if TYPE_CHECKING:
    import pandas as pd

    from analognas.params import Params
    from analognas.rows import ResultRow
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.workspace import Paths


class Workbench:
    """What the steps share: the champion, what is listed and what is measured.

    Everything is read when it is first asked for; ``refresh`` reads it anew after rounds or results were written.

    Args:
        params: of the workspace.
        paths: of the workspace, prepared.

    Raises:
        WorkspaceError: if there is no champion yet.
        MismatchError: if the champion was fitted for something else than the parameters say.
    """

    def __init__(self, params: Params, paths: Paths) -> None:
        self.params, self.paths = params, paths
        if not paths.evaluator.is_dir() or not paths.plot("fit.csv").is_file():
            raise WorkspaceError(
                f"{paths.evaluator} is missing: there is no champion to retrain; `analognas pull` fetches one that was "
                "pushed, `analognas run` makes one."
            )
        self.space: ConfigSpace = space(params, paths)
        self.champion_digest = file_digest(paths.evaluator)
        self.champion = load_evaluator(paths.evaluator, params.fit.evaluator)
        self.champion.check(space=self.space.name, **identity.context(params, paths))

    def refresh(self) -> None:
        """Forget what depends on the rounds and the results; the champion stays."""
        for name in ("by_id", "jobs", "everything", "measured", "shared"):
            self.__dict__.pop(name, None)

    @cached_property
    def learned(self) -> set[str]:
        """Ids of the architectures that the champion has learned from: those of its out-of-fold predictions."""
        return set(read_out_of_fold(self.paths)["id"])

    @cached_property
    def by_id(self) -> dict[str, Listed]:
        """Everything that is characterized."""
        return {entry.architecture.id: entry for entry in listed(self.params, self.paths)}

    @cached_property
    def jobs(self) -> list[characterize.Job]:
        """One job for each of them."""
        return characterize.jobs(self.params, self.paths)

    @cached_property
    def everything(self) -> pd.DataFrame:
        """The rows that the store holds, in the order and form of ``data/surrogate.parquet``."""
        store = ResultStore.of(self.paths.home)
        done = [job for job in self.jobs if job.key in store]
        return characterize.tabulated(self.params, self.paths, done, self.by_id.values())

    @cached_property
    def measured(self) -> pd.DataFrame:
        """These rows without those of architectures that were characterized again."""
        return self.everything[self.everything["role"] != characterize.AGAIN["role"]]

    def complete(self) -> None:
        """Raise StageError unless everything that is listed is measured: nothing is concluded from less."""
        missing = len(self.jobs) - len(self.everything)
        if missing:
            raise StageError(
                f"{missing} of {len(self.jobs)} architectures that the comparison needs are not characterized: "
                "`analognas retrain` goes on with them."
            )

    @cached_property
    def shared(self) -> list[tuple[Architecture, ResultRow]]:
        """Architectures with a usable result in the store that this workspace does not list, by id."""
        return sorted(_unlisted(self), key=lambda pair: pair[0].id)

    def learnable(self) -> pd.DataFrame:
        """Return the rows that an evaluator may learn from."""
        return learnable(self.measured)

    def table_with(self, number: int) -> pd.DataFrame:
        """Return the table that ``characterize`` writes once round ``number`` is accepted."""
        accepting = listed(self.params, self.paths, accepting=number)
        return characterize.tabulated(self.params, self.paths, self.jobs, accepting)

    def round(self, number: int) -> Round:
        """Return a round."""
        return next(added for added in read_rounds(self.paths, self.space) if added.number == number)


def _unlisted(bench: Workbench) -> Iterator[tuple[Architecture, ResultRow]]:
    """Yield what the store holds beside the listed architectures, measured exactly as here."""
    store = ResultStore.of(bench.paths.home)
    if not bench.jobs:
        return
    template, limit = bench.jobs[0].inputs, bench.params.space.max_params
    for key in set(store.keys()) - {job.key for job in bench.jobs}:
        try:
            row = store.get(key)
            architecture = bench.space.architecture(json.loads(row.genes))
        except (CorruptFileError, SpaceError, ValueError, TypeError, AttributeError, RecursionError):
            continue  # of another space, or not what a characterization gives
        inputs = {**template, "architecture": architecture.to_dict()}
        if "within_budget" in inputs:
            inputs["within_budget"] = limit is None or architecture.params <= limit
        if result_key(inputs) == key and row.ok:
            yield architecture, row
