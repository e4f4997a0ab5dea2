"""The parameters of a workspace: read from ``params.yaml``, validated once, frozen.

One section per stage plus ``base``, ``dataset``, ``space``, ``hardware`` and ``run``. Overrides are validated,
then written into the file (comments kept), so that what ``dvc.lock`` records is what was used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from analognas.errors import ParamsError
from analognas.hardware.params import CostParams
from analognas.hardware.params import HardwareParams as HardwareParams
from analognas.params import personal
from analognas.params.text import load_document, plain
from analognas.params.values import (
    each_once,
    host_and_port,
    known_limits,
    known_objectives,
    no_threads,
    parse_count,
)
from analognas.section import Section as _Section
from analognas.training.params import TrainingParams, TrainParams

Augmentation = Literal["crop", "flip", "cutout", "shift", "noise"]
Count = Annotated[int, BeforeValidator(parse_count), Field(ge=1)]


class BaseParams(_Section):
    """What all stages share."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Every random decision derives from it."""
    threads: Literal[1] = 1
    """CPU threads of one stage or characterization: float sums depend on it, so it is fixed."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where networks are trained."""


class DatasetParams(_Section):
    """What the networks classify."""

    name: str = "digits"
    """Name in the registry (``analognas datasets``), or ``module:function``."""
    path: str | None = None
    """Folder or archive with the data, for datasets that are not embedded; relative to the workspace."""
    image_size: Annotated[int, Field(ge=4, le=512)] | None = None
    """Edge length in pixels that images (image-folder, vww) are resized to; of recordings: frames and bands."""
    channels: Literal[1, 3] | None = None
    """1 grey, 3 colour, null: as they are (image-folder, vww)."""
    features: Literal["mfcc", "log-mel"] | None = None
    """What recordings become (kws); null: mfcc."""
    seconds: Annotated[float, Field(ge=0.1, le=60)] | None = None
    """Length of a recording that is looked at (kws); null: 1."""
    classes: Literal[12, 35] | None = None
    """Of Speech Commands: 12 (ten words, silence, unknown) or all 35 words; null: 12."""
    per_class: Annotated[int, Field(ge=4)] | None = None
    """Most training images of a class, a quarter as many for validation, half as many for test; null: all there are."""
    augment: Annotated[tuple[Augmentation, ...], AfterValidator(each_once)] | None = None
    """What happens to training images: ``crop``, ``flip``, ``cutout``, ``shift``, ``noise``; null: what is usual."""


class SpaceParams(_Section):
    """Which architectures are considered."""

    name: str = "resnet"
    """Family of networks: ``resnet``, ``nasbench201``, an installed package's, or ``module:Class``."""
    max_params: Count | None = 10_000
    """Most trainable parameters of a network."""
    ranges: dict[str, list[int | str]] = Field(default_factory=dict)
    """Other ranges than the family's: ``M: [1, 2]`` (bounds, inclusive) or ``kernel_size0: [3, 5]`` (choices)."""


class SampleParams(_Section):
    """Which architectures are characterized first."""

    size: Annotated[int, Field(ge=1, le=100_000)] = 64
    """How many."""
    method: Literal["latin_hypercube", "uniform"] = "latin_hypercube"
    """How they are spread over the space."""
    spread: Literal["genes", "size"] = "genes"
    """``genes``: as the method draws them. ``size``: evenly over the logarithm of the number of parameters."""
    known: bool = True
    """Whether the residual networks that people take by hand are characterized too, as wide as the budget allows."""


class CharacterizeParams(TrainingParams):
    """How every sampled architecture is trained and measured, or where its results are looked up."""

    source: Literal["training", "analognas-bench"] = "training"
    """``training``: train and measure here. ``analognas-bench``: the published table of NAS-Bench-201 cells."""
    replicates: Annotated[int, Field(ge=0)] = 8
    """Architectures of the sample that are characterized again with another seed: how much is luck."""

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides a single result, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"replicates"})


class FitParams(_Section):
    """How the evaluator is fitted."""

    evaluator: str = "xgboost"
    """``xgboost`` (as published), ``gaussian_process``, ``ensemble`` (both and a forest), or ``module:Class``."""
    method: Literal["auto", "ranker", "regressor"] = "auto"
    """Of ``xgboost``: pairwise ranker (as published), regressor, or whichever cross-validation prefers."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation."""
    bootstrap: Annotated[int, Field(ge=100)] = 1_000
    """Resamples behind the intervals of the metrics."""
    prior: str | None = None
    """Of ``xgboost``: an evaluator of another chip or protocol to start from, so that fewer architectures have to be
    characterized: its folder, or ``packaged``; null: start from nothing."""


class SearchParams(_Section):
    """How the evaluator is searched."""

    optimizer: str = "ea_optimized"
    """``ea_optimized`` (the published evolutionary search), ``ea``, ``regularized_evolution``, ``local_search``,
    ``bo``, ``tpe``, ``nsga2``, ``latin_hypercube``, ``random_search``, or ``module:Class`` of your own."""
    objective: Literal["penalized", "quantile", "ratio"] = "penalized"
    """``acc_1d - k * acc_1d_std``, the quantile of ``acc_1d`` over programmings, or the published ratio ``acc_1d /
    max(acc_1d_std, 0.1)``."""
    k: Annotated[float, Field(ge=0)] = 1.0
    """How many points of accuracy one point of standard deviation costs, where the objective is penalized."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Which one, where the objective is a quantile: with 0.05 nineteen of twenty programmings keep more."""
    population_size: Annotated[int, Field(ge=2)] = 50
    """Architectures in a generation."""
    nb_iter: Annotated[int, Field(ge=1)] = 20
    """Generations."""
    runs: Annotated[int, Field(ge=1)] = 3
    """Independent runs; the best of all is taken."""
    max_nb_param: Count | None = None
    """Most parameters of the winner; null: the space's budget."""
    T_AVM: Annotated[float, Field(gt=0)] | None = 5.0
    """Largest accuracy variation of one month, percentage points; null: no limit."""
    min_acc_1d: Annotated[float, Field(ge=0, le=100)] | None = None
    """Least accuracy after one day, percent; null: halfway between chance and 100 %."""
    avm_bound: Literal["mean", "upper"] = "mean"
    """What of a predicted AVM the limit is asked of: its mean, or the upper end of its 90 % interval."""
    constraints: Annotated[dict[str, Annotated[float, Field(strict=True)]], AfterValidator(known_limits)] = Field(
        default_factory=dict
    )
    """What an inference may cost on the chip of ``cost``, at most: ``tiles``, ``latency_us``, ``interval_us``,
    ``energy_uj``."""
    objectives: Annotated[tuple[str, ...] | None, AfterValidator(known_objectives)] = None
    """Of ``nsga2``: two or more of ``acc_1d``, ``avm``, ``acc_1d_std``, ``params`` and those costs; null: the first,
    the second and the fourth."""
    strict: bool = False
    """Whether to refuse where nothing holds the limits; false: the run goes on with what comes closest, and says so."""
    candidates: Annotated[int, Field(ge=1)] = 5
    """How many of the best are kept, in case the first one breaks a limit when it is measured."""


class RetrainParams(_Section):
    """When the evaluator is retrained, and when the new one takes the champion's place; no stage reads this."""

    sentinel_size: Annotated[int, Field(ge=10, le=10_000)] = 48
    """Architectures of the sentinel set: drawn uniformly once, never learned from; evaluators are compared on it."""
    round_size: Annotated[int, Field(ge=1, le=10_000)] = 16
    """New architectures of a round."""
    new_rows: Annotated[int, Field(ge=1)] = 16
    """Rows that the champion has not learned from which are reason enough to retrain it."""
    newest: Annotated[int, Field(ge=10)] = 64
    """Most rows, newest first, by which ``min_tau`` and ``min_coverage`` are judged before a round."""
    min_tau: Annotated[float, Field(ge=-1, le=1)] = 0.4
    """Kendall tau of ``acc_1d`` on the newest rows below which the champion is retrained."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Least share of measurements within the 90 % interval: below it a champion is retrained, a challenger refused."""
    max_age_days: Annotated[float, Field(gt=0)] | None = 30.0
    """Days after which the champion is retrained; null: age is no reason."""
    min_gain: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least gain in the Kendall tau of ``acc_1d`` on the sentinel set; its 95 % bound must be above 0 besides."""
    guard_avm: Annotated[float, Field(ge=0, le=2)] = 0.15
    """By how much the Kendall tau of ``avm`` may become worse, held by its 95 % bound."""
    bootstrap: Annotated[int, Field(ge=100)] = 2_000
    """Resamples of the paired bootstrap."""


class RunParams(_Section):
    """How the flow runs; nothing here changes a result."""

    workers: Annotated[int, Field(ge=1)] | None = None
    """Processes that characterize side by side; null: one per CPU."""
    runner: Annotated[Literal["processes", "serial", "dask", "ray"], BeforeValidator(no_threads)] = "processes"
    """What characterizes: processes of this machine, one after the other, or a Dask or Ray cluster."""
    address: Annotated[str | None, AfterValidator(host_and_port)] = None
    """Where the Dask scheduler or the Ray head is, ``tcp://host:8786``; null: a cluster of this machine. Only these
    two read it."""
    experiment: str | None = None
    """MLflow experiment; null: the name of the workspace's folder."""
    share: Literal["scheduled", "always", "never"] = "scheduled"
    """Which retrainings take in git and results before they begin, and push what they made: those by a schedule, all,
    or none."""
    branch: str | None = None
    """Branch of its own in git, on which such a retraining commits and which it pushes; null: git is left to you."""


class Params(_Section):
    """All parameters of a workspace."""

    base: BaseParams = BaseParams()
    dataset: DatasetParams = DatasetParams()
    space: SpaceParams = SpaceParams()
    hardware: HardwareParams = HardwareParams()
    cost: CostParams = CostParams()
    sample: SampleParams = SampleParams()
    characterize: CharacterizeParams = CharacterizeParams()
    fit: FitParams = FitParams()
    search: SearchParams = SearchParams()
    train: TrainParams = TrainParams()
    retrain: RetrainParams = RetrainParams()
    run: RunParams = RunParams()

    @model_validator(mode="after")
    def _limit_within_the_space(self) -> Params:
        most, limit = self.space.max_params, self.search.max_nb_param
        if most is not None and limit is not None and limit > most:
            raise ValueError(
                f"search.max_nb_param is {limit:,}, but the space has no architecture above space.max_params, "
                f"{most:,}: lower it, or set it to null, which means the same"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _hardware_by_name(cls, data: Any) -> Any:
        # `hardware: module:function` is the short form of `hardware: {rpu_config: module:function}`.
        if isinstance(data, dict) and isinstance(data.get("hardware"), str):
            return {**data, "hardware": {"rpu_config": data["hardware"]}}
        return data

    @classmethod
    def validated(cls, data: Any, *, source: str = "params.yaml") -> Params:
        """Return validated parameters.

        Raises:
            ParamsError: with one sentence that names the first wrong key and the remedy.
        """
        if data is None:
            data = {}
        if not isinstance(data, Mapping):
            raise ParamsError(f"{source} must hold sections: write each with its keys below it.")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise ParamsError(f"{source}: {_sentence(error, data)}") from None

    @classmethod
    def load(cls, path: Path) -> Params:
        """Return the parameters of a file, and what a person set for herself beside it (``params.personal``).

        Raises ParamsError if one cannot be read or holds something wrong.
        """
        return cls.validated(plain(load_document(path)), source=path.name).of_person(path.parent)

    def of_person(self, folder: Path) -> Params:
        """Return them with what a person set for herself in a workspace; raises ParamsError if that is not valid."""
        run = self.run
        for source, values in personal.settings(folder, RunParams.model_fields):
            run = Params.validated({"run": {**run.model_dump(), **values}}, source=source).run
        return self.model_copy(update={"run": run})

    def values(self, section: str) -> dict[str, Any]:
        """Return one section as plain JSON values."""
        plain: dict[str, Any] = getattr(self, section).model_dump(mode="json")
        return plain


def known_keys() -> tuple[str, ...]:
    """Return every ``section.key`` there is."""
    return tuple(_keys())


def _keys() -> Iterator[str]:
    for section, field in Params.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        yield from (f"{section}.{name}" for name in model.model_fields)


def nearest(key: str) -> str:
    """Return the end of a sentence that names the key that was probably meant."""
    keys = known_keys()
    section, _, name = key.rpartition(".")
    if not section:  # a whole section is unknown
        near = difflib.get_close_matches(name, list(Params.model_fields), n=1, cutoff=0)
        return f"; did you mean {near[0]}?"
    same = [known for known in keys if known.startswith(f"{section}.")]
    by_case = {known.casefold(): known for known in keys}
    if key.casefold() in by_case:
        return f"; did you mean {by_case[key.casefold()]}?"
    near = difflib.get_close_matches(key, same, n=1) or difflib.get_close_matches(key, keys, n=1, cutoff=0)
    return f"; did you mean {near[0]}?"


def _sentence(error: ValidationError, data: Mapping[str, Any]) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        name = key.removeprefix("run.")
        if name != key and name in personal.OWN:
            variable = personal.OWN[name]
            return f"{key} is nobody's but yours: write it into {personal.FILE}, which git ignores, or set {variable}."
        return f"unknown key {key}{nearest(key)}"
    message = _wanted(first)
    if not first["loc"]:
        return f"{message}."
    if isinstance(first["input"], date):  # which DVC cannot read either
        return f"{key} is the date {first['input']} in YAML: put it in quotes."
    if len(first["loc"]) == 1 and first["type"] != "value_error":
        return f"section {key}: write its keys below it, each with its value."
    return f"{key} is {shown(first['input'])}: {message}."


def shown(value: Any) -> str:
    """Return a value as YAML writes it, text in quotes."""
    plainly = {None: "null", True: "true", False: "false"}
    return plainly[value] if value is None or isinstance(value, bool) else repr(value)


#: What pydantic calls what is wrong with a value, by what a value of that kind is.
_KINDS = {
    "int": "a whole number is needed",
    "float": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool": "true or false is needed",
    "string": "text is needed, so put it in quotes",
    "list": "a list is needed, e.g. [1, 2]",
    "tuple": "a list is needed, e.g. [1, 2]",
    "dict": "keys with values are needed, e.g. {M: [1, 2]}",
    "mapping": "keys with values are needed, e.g. {M: [1, 2]}",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def _wanted(first: Any) -> str:
    """Return what is wanted in the place of a value that pydantic refused, in our words."""
    kind, context = first["type"], first.get("ctx", {})
    if kind == "value_error":  # of our own validators
        text = str(context["error"])
        return text[:1].lower() + text[1:]
    if kind == "literal_error":
        return f"it may be {context['expected'].replace(chr(39), '')}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"it must be {words} {context[name]:,}"
    known = next((words for name, words in _KINDS.items() if kind == name or kind.startswith(f"{name}_")), None)
    return known or "this is no value that it may have"
