"""Loads what every command of the month loads, once, before the driver of the fault tests forks any of them."""

import warnings
from importlib import import_module

from analognas.orchestration.server import configure_prefect
from analognas.tracking import connection

configure_prefect()
connection.configure()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in ("mlflow.tracking", "prefect.flows", "analognas.tracking.syncing", "analognas.versioning.sharing"):
        import_module(name)
