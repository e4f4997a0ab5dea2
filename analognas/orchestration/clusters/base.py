"""What the engines have in common: how a flow uses their workers, and what is said when these fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from analognas.causes import quoted, reached
from analognas.errors import StageError

if TYPE_CHECKING:
    from analognas.params import RunParams
    from analognas.stages.characterize import Job

Result = TypeVar("Result")


#: Said of a characterization that was taken back.
ANOTHER_FAILED = "The characterization was ended because another one failed."


#: How often an engine tries again what ended its worker (Dask's default).
RETRIES = 3


CONNECT_SECONDS = 5


FIRST_WORKER_SECONDS = 30


#: So long a cluster may be without workers in the middle of a run: they may be on their way back.
NO_WORKER_SECONDS = 300


class Cluster(Protocol):
    """Workers of an engine, as a flow uses them."""

    workers: int
    """How many there were at the start."""

    def submit(self, function: Callable[[Job], Result], item: Job) -> Future[Result]:
        """Call ``function`` with ``item`` in a worker."""

    def check(self) -> None:
        """Raise StageError if nothing can come back any more."""

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error of a future: one sentence for what the engine says."""

    def close(self) -> None:
        """Take back what is not done and let go of the workers; those of this machine end."""


KEEPS_DYING = (
    f"The same characterization ended its workers {RETRIES + 1} times; is there enough memory on them? "
    "What was finished is kept: run again."
)


def refuse(engine: str, answers: Mapping[str, Any]) -> None:
    """Raise StageError for the first worker that lacks something."""
    for address, answer in sorted(answers.items()):
        if isinstance(answer, BaseException):
            answer = f"cannot load analognas (it says {quoted(answer)}): install the same version there"
        if answer:
            raise StageError(f"{engine} worker {address} {answer}.")


def unreachable(run: RunParams, error: BaseException) -> StageError:
    """Return what to raise if the workers of an engine cannot be had."""
    away = reached(error)
    reason = quoted(error) if away is None else f"it {away}"
    if run.address is None:
        return StageError(
            f"{run.runner.capitalize()} cannot start workers on this machine ({reason}): set run.runner to processes."
        )
    return StageError(
        f"No {run.runner.capitalize()} cluster can be reached at run.address {run.address} ({reason}): start it, or "
        "set run.runner to processes."
    )
