"""The pipeline as a Prefect flow: one task per stage of ``dvc.yaml``, in its order. This file is yours to edit.

A task asks DVC whether its stage is up to date (then it is shown as Cached), runs the same function as
``dvc repro``, and records what it wrote. Nothing here is imported by worker processes.

    analognas run                            # this flow, after a look at what is up to date
    python flows/pipeline.py                 # the same without that look
    prefect deploy --all                     # from prefect.yaml, to run it elsewhere or by a schedule
"""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from analognas.orchestration import artifacts, characterizing, ended, session, stage


@task(cache_policy=NO_CACHE)
def sample() -> Any:
    """Spread architectures over the configuration space."""
    return stage("sample")


@task(
    cache_policy=NO_CACHE,
    task_run_name="characterize-chunk-{chunk}",
    retries=characterizing.ATTEMPTS - 1,
    retry_delay_seconds=1,
    retry_condition_fn=characterizing.worth_another_attempt,
)
def characterize_chunk(chunk: int) -> int:
    """Train some architectures in worker processes, measure them under drift, keep each result at once."""
    return characterizing.measure_chunk(chunk)


@task(cache_policy=NO_CACHE)
def characterize() -> Any:
    """Make the table of all results."""
    return stage("characterize")


@task(cache_policy=NO_CACHE)
def fit() -> Any:
    """Learn to predict accuracy and robustness."""
    return stage("fit")


@task(cache_policy=NO_CACHE)
def search() -> Any:
    """Look for the best architecture through the evaluator."""
    return stage("search")


@task(cache_policy=NO_CACHE)
def train() -> Any:
    """Train the best architecture and follow its drift on the test set."""
    return stage("train")


@flow
def pipeline(workspace: str = ".") -> Any:
    """Sample, characterize, fit, search and train; what is up to date is skipped.

    Args:
        workspace: the folder with ``params.yaml`` and ``dvc.yaml``.

    Returns:
        The stages that ran and those that were up to date; its state says what you should know.
    """
    with session(workspace) as here:
        sample()
        characterizing.measure_pending(characterize_chunk)
        characterize()
        artifacts.results_table(here.paths)
        fit()
        search()
        train()
        artifacts.summary(here.paths)
    return ended(here, {"ran": here.ran, "up_to_date": here.skipped})


if __name__ == "__main__":
    pipeline()
