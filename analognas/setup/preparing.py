"""A workspace made ready to run: its parameters looked at and written, its data and versions recorded.

What results depend on besides parameters, the data itself and the versions of what computed them, is written as small
JSON files into the workspace. DVC sees them as parameters of the stages, which refuse to run against other ones
(``stages.recorded``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import ParamsError
from analognas.files import sealed_bytes, write_sealed
from analognas.progress import Progress
from analognas.stages import PROTOCOLS
from analognas.stages.recorded import describe_dataset, package_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analognas.datasets.records import Description
    from analognas.params import Params
    from analognas.params.file import Draft
    from analognas.search_spaces import ConfigSpace
    from analognas.stages.recorded import Environment
    from analognas.workspace import Paths


def current_environment(params: Params, paths: Paths) -> Environment:
    """Return protocols of the stages, versions of the packages that decide results, the chip, and the prior.

    Raises:
        ParamsError: if the prior is not there.
    """
    from analognas.stages.identity import chip, prior

    return {
        **package_versions(), "protocol": dict(PROTOCOLS), "hardware": chip(params.hardware),
        "prior": prior(params, paths),
    }  # fmt: skip


def prepare(paths: Paths, values: Mapping[str, Any] | None = None, progress: Progress | None = None) -> Params:
    """Make a workspace ready to run and return its parameters.

    Writes the values (by ``section.key``) into ``params.yaml``; the rest is as for ``adopt``.
    """
    from analognas.params.file import Draft

    draft = Draft(paths.params)
    draft.assign(values or {})
    return adopt(draft, paths, progress)


def adopt(draft: Draft, paths: Paths, progress: Progress | None = None) -> Params:
    """Make a workspace ready to run with new parameters and return them.

    Writes ``params.yaml``, and ``data/environment.json`` and ``data/dataset.json`` where they do not say what is true.
    Everything is looked at before anything is written.

    Args:
        draft: of the parameters.
        paths: the workspace.
        progress: called while the dataset is read.

    Raises:
        InputError: if parameters, dataset or space are not valid; nothing is written then.
        WorkspaceError: if another run works in the workspace, or it cannot be written.
    """
    from analognas.hardware import coverage
    from analognas.stages.inputs import space_of
    from analognas.workspace import alone

    coverage.begin()
    truth: dict[Path, Mapping[str, Any]] = {}

    def accept(params: Params) -> None:
        truth[paths.dataset] = description = describe_dataset(params, paths, progress)
        space = space_of(params, description)
        check_parts(params)
        check_source(params, description)
        check_size(params, paths, space)
        truth[paths.environment] = current_environment(params, paths)
        check_prior(params, paths, space)
        paths.clean()  # the last look: whether the folder can be written

    with alone(paths):  # a run that goes on keeps its parameters, and the files that it is about to finish
        params = draft.save(accept)
        for path, content in truth.items():
            if not path.exists() or path.read_bytes() != sealed_bytes(content):
                write_sealed(path, content)
    return params


def check_source(params: Params, dataset: Description) -> None:
    """Refuse to train on data without images, and to look up what the table does not hold.

    Raises:
        InputError: with the remedy.
    """
    from analognas.stages import lookup

    lookup.check(params)
    if not lookup.is_table(params) and not dataset["sizes"]["train"]:
        raise ParamsError(
            f"dataset.name is {dataset['name']}, which has published results and no images, so nothing can be trained "
            "on it: set characterize.source to analognas-bench, space.name to nasbench201 and space.max_params to "
            "null, or name a dataset with images."
        )


def check_size(params: Params, paths: Paths, space: ConfigSpace) -> None:
    """Refuse fewer architectures than the evaluator needs, before hours go into them; raises InputError."""
    from analognas.evaluators.columns import LEAST_ROWS
    from analognas.evaluators.registry import EVALUATORS
    from analognas.stages.rounds import read_rounds

    of_the_library = params.fit.evaluator in EVALUATORS  # one of the user's own may need fewer
    if not of_the_library or params.sample.size >= LEAST_ROWS:
        return
    number = params.sample.size + sum(len(added.entries) for added in read_rounds(paths, space))
    if number < LEAST_ROWS:
        raise ParamsError(
            f"sample.size is {params.sample.size}, and fit.evaluator {params.fit.evaluator} needs at least "
            f"{LEAST_ROWS} architectures that were measured: raise it."
        )


def check_prior(params: Params, paths: Paths, space: ConfigSpace) -> None:
    """Refuse a prior that the evaluator cannot start from, before hours go into what it is to learn besides.

    Raises:
        CorruptFileError: if its folder holds no evaluator.
        InputError: if the evaluator starts from nothing, or the prior is of another space.
    """
    if params.fit.prior is None:
        return
    from analognas.evaluators.xgboost import read_prior
    from analognas.stages.fit import unfitted
    from analognas.stages.identity import prior_place

    unfitted(params, 0, paths)
    where = prior_place(params, paths)
    assert where is not None
    read_prior(where, space.name)


def check_parts(params: Params) -> None:
    """Refuse optimizers, evaluators, chips and devices that are not there, and objectives that nobody looks at.

    Raises:
        InputError: with the remedy.
    """
    from analognas.evaluators.registry import EVALUATORS, evaluator_class
    from analognas.hardware import coverage
    from analognas.hardware.presets import PRESETS
    from analognas.hardware.rpu_config import overrides, rpu_config
    from analognas.search_algorithms import NSGA2
    from analognas.search_algorithms.registry import optimizer_class

    optimizer = optimizer_class(params.search.optimizer)
    if params.search.objectives and not issubclass(optimizer, NSGA2):
        raise ParamsError(
            f"search.objectives are those of nsga2, and search.optimizer is {params.search.optimizer}: "
            "set it to nsga2, or search.objectives to null."
        )
    if params.fit.evaluator not in EVALUATORS:  # those that ship need no look, and take long to load
        evaluator_class(params.fit.evaluator)
    if params.hardware.rpu_config not in PRESETS:
        coverage.check(params.hardware)
    elif overrides(params.hardware):
        rpu_config(params.hardware)
    params.cost.of(params.hardware)
    if params.base.device != "cpu" and params.run.runner in ("processes", "serial"):  # workers elsewhere may have one
        import torch

        if not torch.cuda.is_available():
            raise ParamsError(f"base.device is {params.base.device}: torch finds no such device here; use cpu.")
