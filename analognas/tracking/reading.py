"""What is asked of MLflow besides logging: a client whose errors are one sentence."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from analognas.errors import AnalogNASError, StageError
from analognas.tracking import connection, moved
from analognas.tracking.failures import Place, explain, reach

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from analognas.params import Params
    from analognas.workspace import Paths


@contextmanager
def opened_client(paths: Paths, params: Params, place: Place | None = None) -> Iterator[MlflowClient]:
    """Yield MLflow's client of a workspace.

    Args:
        paths: the workspace.
        params: its parameters.
        place: what is asked about, in case the server does not let this person.

    Raises:
        StageError: for whatever MLflow raises, also within the block: one sentence with the remedy.
    """
    uri = connection.tracking_uri(paths)
    try:
        moved.settle(paths, params)
        with warnings.catch_warnings(), connection.one_process(paths):
            warnings.simplefilter("ignore")  # what MLflow and SQLAlchemy deprecate among themselves
            connection.configure()
            connection.check_database(uri)
            reach(uri)
            from mlflow import MlflowClient

            yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except AnalogNASError:
        raise
    except Exception as error:  # MLflow raises whatever its database, its server and its disk raise
        logging.getLogger(__name__).debug("MLflow failed", exc_info=True)
        failure = explain(error, uri, place)
        raise StageError(f"{failure.what}: {failure.remedy}.") from error
