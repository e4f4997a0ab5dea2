from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analognas.datasets import load
from analognas.datasets.reduction import reduced
from analognas.params import Params
from analognas.setup import run_time
from analognas.setup.probe import Speed
from analognas.setup.protocol_choice import Profile, Tailored, choose, of_the_data
from analognas.setup.protocol_ladder import Form
from analognas.setup.run_time import Efforts, Machine, Shape

#: Seconds of an image and unit of effort, about those of one core: at an effort of 1e7 500 images a second.
SPEED = Speed(digital=2e-10, hwa=3e-10, pass_=5e-11)
EFFORTS = tuple(1e7 * (1 + index / 47) for index in range(48))
LARGE = Profile(
    (3, 32, 32), ("a", "b"), {"train": (22_500, 22_500), "validation": (2_500, 2_500), "test": (5_000, 5_000)}
)
SMALL = Profile((3, 32, 32), ("cat", "dog"), {"train": (540, 60), "validation": (180, 20), "test": (180, 20)})
#: Of somebody whose data are no digits.
OWN = Params.validated({"dataset": {"name": "image-folder", "path": "somewhere"}})


def efforts_of(params: Params, shape: Shape, size: int) -> Efforts:
    """Return efforts in proportion to pixels and budget, those of ``EFFORTS`` for 32x32 and 100,000 parameters."""
    assert params.space.max_params is not None
    scale = shape[1] * shape[2] / 1024 * params.space.max_params / 100_000
    spread = tuple(scale * EFFORTS[index % 48] for index in range(size))
    return Efforts(spread, scale * EFFORTS[-1], scale * EFFORTS[0])


def chosen(profile: Profile = LARGE, hours: float = 8.0, **given: Any) -> Tailored:
    machine = Machine(given.pop("speed", SPEED), given.pop("workers", 2))
    how: dict[str, Any] = {"params": Params(), "efforts": efforts_of, "given": set()} | given
    return choose(profile, (), machine=machine, hours=hours, **how)


def values(tailored: Tailored) -> dict[str, Any]:
    return {choice.key: choice.value for choice in tailored.choices}


def test_the_more_time_the_better_the_protocol() -> None:
    found = [values(chosen(hours=hours, given={"dataset.per_class"})) for hours in (4.0, 8.0, 16.0, 32.0, 128.0)]
    sizes = [one["sample.size"] for one in found]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == 256
    for name in ("characterize.epochs", "characterize.repeats", "train.epochs"):
        assert [one[name] for one in found] == sorted(one[name] for one in found)


def test_the_run_fits_the_time_by_the_times_that_were_measured() -> None:
    for hours in (1.0, 8.0, 16.0, 80.0):
        one = chosen(hours=hours)
        assert one.fits
        assert one.seconds <= 3600 * hours
        # A characterization is what its epochs and passes take, by hand.
        how = values(one)
        typical = efforts_of(one.params, one.profile.input_shape, how["sample.size"]).mean
        images, scored = one.profile.sizes["train"], one.profile.sizes["validation"]
        trained = images * (how["characterize.epochs"] * 2e-10 + how["characterize.hwa_epochs"] * 3e-10)
        passes = scored * (2 + 4 * how["characterize.repeats"]) * 5e-11
        assert one.each == pytest.approx(typical * (trained + passes))
        number = how["sample.size"] + how["characterize.replicates"]
        assert one.seconds > one.each * number / 2


def test_more_workers_or_a_faster_machine_do_more() -> None:
    few = values(chosen(hours=32.0))["sample.size"]
    assert values(chosen(hours=32.0, workers=16))["sample.size"] > few
    assert values(chosen(hours=32.0, speed=Speed(2e-11, 3e-11, 5e-12)))["sample.size"] > few


def test_images_are_left_out_before_too_few_architectures_are_sampled() -> None:
    found = [chosen(hours=hours) for hours in (4.0, 6.0, 8.0, 32.0)]
    used = [one.profile.sizes["train"] for one in found]
    assert used == sorted(used)
    assert 3_000 <= used[0] < used[-1] == 45_000
    for one in found:
        assert values(one)["sample.size"] >= 48
        assert values(one).get("dataset.per_class") == one.per_class
        assert (one.per_class is None) == (one.profile == LARGE == one.whole)
    why = next(choice.why for choice in found[0].choices if choice.key == "dataset.per_class")
    assert why.startswith("of up to 22,500: with all of them the run would take about ")
    assert "Only a part is used, of 45,000 training images" in found[0].lines()[2]
    assert not any("Only a part" in line for line in found[-1].lines())
    assert found[0].to_dict()["sizes"]["train"] < found[0].to_dict()["sizes_of_all"]["train"] == 45_000


def test_no_images_are_left_out_where_it_is_the_users_or_there_are_few() -> None:
    one = chosen(hours=0.01, given={"dataset.per_class"})
    assert one.per_class is None
    assert one.profile.counts == one.whole.counts
    assert chosen(SMALL, hours=0.01).per_class is None
    assert "dataset.per_class" not in chosen(hours=128.0, given={"dataset.per_class"}).kept  # it would not be chosen


def test_what_the_images_that_are_used_decide_follows_from_them() -> None:
    counts = {"train": (49_000, 1_000), "validation": (4_900, 100), "test": (4_900, 100)}
    uneven = Profile((3, 32, 32), ("a", "b"), counts)
    assert values(chosen(uneven, hours=500.0, params=OWN))["search.min_acc_1d"] == 98.0
    one = chosen(uneven, hours=1.0, params=OWN)
    assert one.per_class == 2_000  # and the 1,000 of the other class
    assert one.profile.counts == {"train": (2_000, 1_000), "validation": (500, 100), "test": (1_000, 100)}
    assert values(one)["search.min_acc_1d"] == 83.3  # of the validation part, on which it is measured


def test_what_is_besides_the_sample_takes_its_time() -> None:
    found = chosen(hours=500.0, more=50).seconds - chosen(hours=500.0).seconds
    assert found == pytest.approx(50 * chosen(hours=500.0).each / (2 * run_time._SIDE_BY_SIDE), rel=0.02)


def test_the_winners_protocol_follows_that_of_the_characterizations() -> None:
    params = Params.validated({"characterize": {"epochs": 60}})
    one = values(chosen(hours=500.0, params=params, given={"characterize.epochs"}))
    assert (one["train.epochs"], one["train.hwa_epochs"]) == (90, 3)
    assert "train.epochs" not in values(chosen(hours=500.0, given={"train.epochs"}))


def test_a_part_is_told_as_the_dataset_has_it() -> None:
    digits = load("digits")
    assert Profile.of(digits).reduced(40) == Profile.of(reduced(digits, 40))
    assert Profile.of(digits).reduced(1_000) == Profile.of(digits)


def test_a_run_shrinks_in_the_order_that_costs_least() -> None:
    found = [chosen(hours=hours, params=OWN) for hours in (500.0, 60.0, 20.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05)]
    assert all(one.fits for one in found)
    for name in ("sample.size", "characterize.repeats", "train.repeats"):
        assert values(found[-1])[name] < values(found[0])[name]
    smaller = [(one.profile.sizes["train"], one.form.edge or 32, one.form.budget or 100_000) for one in found]
    assert smaller == sorted(smaller, reverse=True)
    # Images are left out before networks and images become smaller, and that is before a bad protocol.
    assert smaller[0] == (45_000, 32, 100_000)
    shrunk = next(one for one in found if one.form != Form())
    assert shrunk.profile.sizes["train"] == 3_000
    assert values(shrunk)["sample.size"] >= 24
    least = found[-1]
    assert least.profile.input_shape == (3, 16, 16)
    assert values(least)["dataset.image_size"] == 16
    assert values(least)["space.max_params"] == 25_000
    why = {choice.key: choice.why for choice in least.choices}
    assert why["dataset.image_size"] == "32x32 would be better and take longer"
    assert why["space.max_params"] == "100,000 would be better and take longer"


def test_what_the_user_has_set_is_not_made_smaller() -> None:
    one = chosen(hours=0.1, params=OWN, given={"space.max_params", "dataset.image_size", "dataset.per_class"})
    assert not one.fits
    assert one.form == Form()
    assert one.profile == one.whole
    assert "dataset.image_size" not in values(one)


def test_a_short_run_says_what_it_is_good_for() -> None:
    one = chosen(hours=0.05, params=OWN)
    how = values(one)
    assert one.first_look is not None
    assert one.first_look in one.lines()
    assert f"{how['sample.size']} architectures" in one.first_look
    assert f"{how['characterize.repeats']} programmings of each" in one.first_look
    assert "images of 16x16 pixels, networks of at most 25,000 parameters" in one.first_look
    assert "good for a first look" in one.first_look
    assert one.to_dict()["first_look"] is True
    long = chosen(hours=500.0)
    assert long.first_look is None
    assert long.to_dict()["first_look"] is False


def test_without_time_the_run_that_takes_least_is_told_not_to_fit() -> None:
    one = chosen(hours=0.01)
    assert not one.fits
    assert not one.to_dict()["fits"]
    assert one.seconds > 36
    assert sum(one.to_dict()["seconds_by_part"].values()) == pytest.approx(one.seconds, abs=3)
    assert all(one.seconds <= chosen(hours=one.seconds / 3600 * more).seconds for more in (1.0, 2.0, 5.0))


def test_forms_before_one_are_not_tried_again() -> None:
    assert chosen(hours=500.0, params=OWN).form == Form()
    assert chosen(hours=500.0, params=OWN, least=Form(24, 25_000)).form == Form(24, 25_000)


def test_a_form_without_architectures_is_passed_over() -> None:
    def from_10k(params: Params, shape: Shape, size: int) -> Efforts | None:
        assert params.space.max_params is not None
        return efforts_of(params, shape, size) if params.space.max_params >= 10_000 else None

    one = chosen(hours=0.01, params=OWN, efforts=from_10k)
    assert one.form.budget == 10_000


def test_few_images_get_more_epochs() -> None:
    assert values(chosen(SMALL, hours=500.0))["characterize.epochs"] == 30
    assert values(chosen(LARGE, hours=500.0))["characterize.epochs"] == 6


def test_nobody_gets_so_few_steps_that_nothing_is_learned() -> None:
    assert values(chosen(SMALL, hours=0.01))["characterize.epochs"] == 6  # 19 steps an epoch, with batches of 32
    yours = values(chosen(SMALL, hours=0.01, given={"characterize.batch_size"}))
    assert yours["characterize.epochs"] == 10  # 10 steps, with batches of 64
    # Where the networks stay what they are, it is those that tell networks apart.
    assert values(chosen(SMALL, hours=1.0))["characterize.epochs"] >= 22


def test_what_the_user_has_set_stays_and_is_counted_with() -> None:
    params = Params.validated({"sample": {"size": 1000}})
    one = chosen(hours=500.0, params=params, given={"sample.size"})
    assert "sample.size" not in values(one)
    assert one.kept == ("sample.size",)
    assert "Yours, and kept: sample.size. Delete such a line" in one.lines()[3]
    assert one.seconds > 1000 * one.each / 2
    assert len(chosen(hours=500.0).lines()) == 3  # nothing to say where nothing is kept


def test_a_small_space_is_not_asked_for_more_than_it_holds() -> None:
    few = chosen(hours=500.0, efforts=lambda params, shape, size: efforts_of(params, shape, min(30, size)))
    assert values(few)["sample.size"] == 30


def test_the_data_decide_budget_batch_and_limits() -> None:
    large = {choice.key: choice.value for choice in of_the_data(LARGE, OWN)}
    assert large == {"space.max_params": 100_000, "search.min_acc_1d": 50.0, "search.T_AVM": None}
    small = {choice.key: choice.value for choice in of_the_data(SMALL, OWN)}
    assert small["search.min_acc_1d"] == 90.0  # always answering "cat" gives 90 %
    assert (small["characterize.batch_size"], small["train.learning_rate"]) == (32, 0.1)
    tiny = replace(LARGE, input_shape=(1, 8, 8))
    assert "space.max_params" not in {choice.key for choice in of_the_data(tiny, OWN)}
    # The limits of the template were made for its data.
    assert not list(of_the_data(tiny, Params()))


def test_the_profile_tells_shape_sizes_and_balance() -> None:
    assert str(SMALL) == "2 classes, images of 3x32x32, 600 / 200 / 200 for training / validation / test"
    assert SMALL.balance == (
        "The classes are not balanced: 540 training images of 'cat', 60 of 'dog'; "
        "always answering 'cat' gives 90 % (validation)."
    )
    assert LARGE.balance == "The classes are balanced: 22,500 training images each."
