from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import replace

from analognas.params import Params
from analognas.setup.probe import Speed
from analognas.setup.protocol_choice import Profile, Tailored, choose
from analognas.setup.protocol_levers import CHOSEN, refusal
from analognas.setup.record import default, with_values
from analognas.setup.run_time import Efforts, Machine, Shape

DATA = Profile(
    (3, 32, 32), ("a", "b"), {"train": (22_500, 22_500), "validation": (2_500, 2_500), "test": (5_000, 5_000)}
)
MACHINE = Machine(Speed(5e-11, 1e-10, 1.5e-11), workers=2)


def efforts(params: Params, shape: Shape, size: int) -> Efforts:
    one = 2.0 * shape[1] * shape[2] * (params.space.max_params or 0)
    return Efforts((one,) * size, 2 * one, one)


def refused(hours: float, more: int = 0, **values: object) -> str:
    """Return what is said of a run with these values of the user, named ``section__key``."""
    given = {name.replace("__", "."): value for name, value in values.items()}
    params = with_values(Params(), {"dataset.name": "image-folder", "dataset.path": "somewhere", **given})

    def chosen(yours: Set[str], params: Params = params) -> Tailored:
        return choose(DATA, (), params, MACHINE, efforts, hours, yours, more)

    def without(keys: Set[str]) -> Tailored:
        return chosen(set(given) - keys, with_values(params, {key: default(key) for key in keys if key not in CHOSEN}))

    shortest = chosen(set(given))
    assert not shortest.fits
    return refusal(shortest, params, set(given), more, without)


def test_nothing_of_the_user_in_the_way() -> None:
    said = refused(0.01)
    assert re.fullmatch(
        r"No run fits 0\.01 h \(--hours, two if you say none\) with these data on this machine: the shortest "
        r"one that is worth its while takes about \d+ (s|min), about \d+ s of it to start, "
        r"fit and search; allow --hours 0\.\d+\.",
        said,
    )


def test_the_budget_is_named_by_its_option() -> None:
    said = refused(0.2, space__max_params=2_000_000)
    assert re.search(r", or --max-params \d+ instead of 2000000 \(about \d+ min\)\.$", said)


def test_of_several_the_ones_that_suffice_are_named_else_all_that_help() -> None:
    both = refused(0.1, sample__size=2_000, search__k=2.0)
    assert both.count("--set") == 1
    none = refused(0.1, sample__size=2_000, search__nb_iter=20_000)
    assert re.search(
        r"--set s\w+\.\w+=20 instead of 20000 and --set sample\.size=\d+ instead of 2000 \(about", none
    ) or re.search(r"--set sample\.size=\d+ instead of 2000 and --set search\.nb_iter=20 instead of 20000 \(", none)


def test_slow_layers_and_rounds_are_named() -> None:
    assert "--set hardware.layers=fast (about ten times as fast)" in refused(0.01, hardware__layers="aihwkit")
    assert "with 70 architectures of the rounds and the sentinel set" in refused(0.01, more=70)


def test_what_is_named_helps() -> None:
    said = refused(0.1, sample__size=2_000)
    size = re.search(r"--set sample\.size=(\d+) ", said)
    assert size is not None
    params = with_values(Params(), {"dataset.name": "image-folder", "dataset.path": "x", "sample.size": int(size[1])})
    assert choose(DATA, (), params, MACHINE, efforts, 0.1, {"sample.size"}).fits
    enough = re.search(r"--hours ([\d.]+\d), or", said)
    assert enough is not None
    params = with_values(params, {"sample.size": 2_000})
    assert choose(DATA, (), params, MACHINE, efforts, float(enough[1]), {"sample.size"}).fits
    assert not choose(DATA, (), params, replace(MACHINE, start=30.0), efforts, float(enough[1]), {"sample.size"}).fits
