"""The retraining of the evaluator as a Prefect flow. This file is yours to edit.

A round of new architectures is characterized, a challenger learns from it, and takes the champion's place only if it
ranks the sentinel set better (docs/retraining.md). What a killed run has begun is taken up.

    analognas retrain                        # this flow, after a look at whether it is needed
    analognas serve --cron "0 3 * * 1"       # by a schedule
    prefect deploy --all                     # from prefect.yaml, to run it elsewhere
"""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from analognas.orchestration import artifacts, characterizing, retraining, stage


@task(cache_policy=NO_CACHE)
def ask() -> bool:
    """Fetch what others shared, and see whether the champion needs retraining."""
    return retraining.ask()


@task(cache_policy=NO_CACHE)
def sentinel() -> int:
    """Draw the sentinel set, once."""
    return retraining.sentinel()


@task(cache_policy=NO_CACHE)
def propose() -> int:
    """Propose a round by uncertainty and promise, or take up the one that waits."""
    return retraining.propose()


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
def challenge() -> dict[str, Any]:
    """Fit the challenger beside the champion."""
    return retraining.challenge()


@task(cache_policy=NO_CACHE)
def decide() -> dict[str, Any]:
    """Compare both on the sentinel set, and write the decision."""
    return retraining.decide()


@task(cache_policy=NO_CACHE)
def characterize() -> Any:
    """Make the table of all results, with the decision about each."""
    return stage("characterize")


@task(cache_policy=NO_CACHE)
def fit() -> Any:
    """Make the challenger the evaluator of this workspace, if it was accepted."""
    return retraining.refit()


@flow
def retrain(workspace: str = ".", force: bool = False) -> Any:
    """Retrain the evaluator if it needs it, and promote the new one only if it is better.

    Args:
        workspace: the folder with ``params.yaml`` and ``dvc.yaml``.
        force: retrain without a reason.

    Returns:
        Whether it was retrained, why, and what was decided; the state ``Skipped`` if another run works there.
    """
    try:
        with retraining.session(workspace, force) as going:
            if ask():
                sentinel()
                propose()
                characterizing.measure_pending(characterize_chunk)
                challenge()
                decide()
            if going.round is not None:
                characterize()
                fit()
            artifacts.retraining(going.paths, going.summary())
        return retraining.ended(going)
    except retraining.BusyError as busy:
        return retraining.left_out(busy)


if __name__ == "__main__":
    retrain()
