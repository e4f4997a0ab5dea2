from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analognas import tailoring
from analognas.environment import prepare
from analognas.errors import DatasetError, ParamsError
from analognas.fitted import read_record
from analognas.hardware.cost import effort
from analognas.params import Params, override
from analognas.tailoring import Profile, Tailored, choose, hours_again, prepare_tailored, size_of_images, wanted
from analognas.template import source
from analognas.training import probe
from analognas.training.probe import Speed
from analognas.workspace import Paths

#: Seconds of an image and unit of effort, about those of one core: at an effort of 1e7 500 images a second.
SPEED = Speed(digital=2e-10, hwa=3e-10, pass_=5e-11)
EFFORTS = tuple(1e7 * (1 + index / 47) for index in range(48))
LARGE = Profile((3, 32, 32), {"train": 45_000, "validation": 5_000, "test": 10_000}, ("a", "b"), (22_500, 22_500))
SMALL = Profile((3, 32, 32), {"train": 600, "validation": 200, "test": 200}, ("cat", "dog"), (540, 60))


def chosen(profile: Profile = LARGE, hours: float = 8.0, **given: Any) -> Tailored:
    how: dict[str, Any] = {"params": Params(), "speed": SPEED, "efforts": EFFORTS, "workers": 2, "given": set()} | given
    return choose(profile, (), hours=hours, **how)


def values(tailored: Tailored) -> dict[str, Any]:
    return {choice.key: choice.value for choice in tailored.choices}


def test_the_more_time_the_better_the_protocol() -> None:
    found = [chosen(hours=hours) for hours in (4.0, 8.0, 16.0, 32.0, 128.0)]
    sizes = [values(one)["sample.size"] for one in found]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == 256
    for name in ("characterize.epochs", "characterize.repeats", "train.epochs"):
        assert [values(one)[name] for one in found] == sorted(values(one)[name] for one in found)


def test_the_run_fits_the_time_by_the_times_that_were_measured() -> None:
    for hours in (8.0, 16.0, 80.0):
        one = chosen(hours=hours)
        assert one.fits
        assert one.seconds <= 3600 * hours
        # A characterization is what its epochs and passes take, by hand.
        typical, how = sum(EFFORTS) / 48, values(one)
        trained = 45_000 * (how["characterize.epochs"] * 2e-10 + how["characterize.hwa_epochs"] * 3e-10)
        passes = 5_000 * (2 + 4 * how["characterize.repeats"]) * 5e-11
        assert one.one == pytest.approx(typical * (trained + passes))
        number = how["sample.size"] + how["characterize.replicates"]
        assert one.seconds > one.one * number / 2


def test_more_workers_or_a_faster_machine_do_more() -> None:
    few = values(chosen(hours=8.0))["sample.size"]
    assert values(chosen(hours=8.0, workers=16))["sample.size"] > few
    assert values(chosen(hours=8.0, speed=Speed(2e-11, 3e-11, 5e-12)))["sample.size"] > few


def test_without_time_the_least_protocol_is_taken_and_said_to_take_longer() -> None:
    one = chosen(hours=0.01)
    assert not one.fits
    assert values(one)["sample.size"] == 24
    assert values(one)["characterize.epochs"] == tailoring._LEAST_EPOCHS
    assert "reduce per_class, max_params or image_size, or allow more" in one.lines()[2]
    assert "reduce" not in chosen(hours=8.0).lines()[2]


def test_few_images_get_more_epochs() -> None:
    assert values(chosen(SMALL, hours=500.0))["characterize.epochs"] == 30
    assert values(chosen(LARGE, hours=500.0))["characterize.epochs"] == 6


def test_nobody_gets_so_few_steps_that_nothing_is_learned() -> None:
    assert values(chosen(SMALL, hours=0.01))["characterize.epochs"] == 30  # 10 steps an epoch, with batches of 64
    params = Params.validated({"characterize": {"batch_size": 32}})
    assert values(chosen(SMALL, hours=0.01, params=params))["characterize.epochs"] == 22


def test_what_the_user_has_set_stays_and_is_counted_with() -> None:
    params = Params.validated({"sample": {"size": 1000}})
    one = chosen(hours=8.0, params=params, given={"sample.size"})
    assert "sample.size" not in values(one)
    assert one.kept == ("sample.size",)
    assert "Yours, and kept: sample.size. Delete such a line" in one.lines()[3]
    assert one.seconds > 1000 * one.one / 2
    assert len(chosen(hours=8.0).lines()) == 3  # nothing to say where nothing is kept


def test_a_small_space_is_not_asked_for_more_than_it_holds() -> None:
    assert values(chosen(hours=500.0, efforts=EFFORTS[:30]))["sample.size"] == 30


def test_the_data_decide_budget_batch_and_limits() -> None:
    large = {choice.key: choice.value for choice in tailoring._of_the_data(LARGE, "image-folder")}
    assert large == {"space.max_params": 100_000, "search.min_acc_1d": 50.0, "search.T_AVM": None}
    small = {choice.key: choice.value for choice in tailoring._of_the_data(SMALL, "image-folder")}
    assert small["search.min_acc_1d"] == 90.0  # always answering "cat" gives 90 %
    assert (small["characterize.batch_size"], small["train.learning_rate"]) == (32, 0.1)
    tiny = replace(LARGE, input_shape=(1, 8, 8))
    assert "space.max_params" not in {choice.key for choice in tailoring._of_the_data(tiny, "arrays")}
    # The limits of the template were made for its data.
    assert not list(tailoring._of_the_data(tiny, "digits"))


def test_the_profile_tells_shape_sizes_and_balance() -> None:
    assert str(SMALL) == "2 classes, images of 3x32x32, 600 / 200 / 200 for training / validation / test"
    assert SMALL.balance == (
        "The classes are not balanced: 540 training images of 'cat', 60 of 'dog'; always answering 'cat' gives 90 %."
    )
    assert LARGE.balance == "The classes are balanced: 22,500 to 22,500 training images each."


def images(folder: Path, *sizes: int, number: int = 8) -> Path:
    rng = np.random.default_rng(0)
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        for index in range(number):
            size = sizes[index % len(sizes)]
            pixels = rng.integers(0, 255, (size, size), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("sizes", "why"), [((12,), None), ((80,), "they are 80x80"), ((12, 14), "they differ in size")]
)
def test_large_or_unequal_images_are_resized(tmp_path: Path, sizes: tuple[int, ...], why: str | None) -> None:
    choice = size_of_images(images(tmp_path, *sizes))
    if why is None:
        assert choice is None
    else:
        assert choice is not None
        assert (choice.key, choice.value) == ("dataset.image_size", 32)
        assert choice.why.startswith(why)


def test_what_is_no_image_is_left_to_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    assert size_of_images(tmp_path) is None
    assert size_of_images(tmp_path / "nowhere") is None


def test_other_data_than_the_templates_want_another_protocol() -> None:
    assert not wanted([])
    assert not wanted(["space.max_params=50k", "dataset.name=digits"])
    assert wanted(["dataset.name=image-folder", "space.max_params=50k"])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine be as fast as ``SPEED`` says."""
    monkeypatch.setattr(probe, "measure", lambda *_: SPEED)


@pytest.mark.usefixtures("quick")
def test_a_workspace_is_made_ready_and_fitted(workspace: Paths, tmp_path: Path) -> None:
    folder = images(tmp_path / "mine", 80, number=12)
    one = prepare_tailored(
        workspace, ["dataset.name=image-folder", f"dataset.path={folder}", "sample.size=9"], hours=1.0
    )
    assert one is not None
    assert one.profile.input_shape == (1, 32, 32)
    params = Params.load(workspace.params)
    assert (params.dataset.image_size, params.sample.size, params.characterize.batch_size) == (32, 9, 16)
    assert "# they are 80x80" in workspace.params.read_text()
    assert '"input_shape"' in workspace.dataset.read_text()
    assert override(workspace.params, ["search.k=2"]).search.k == 2  # a file like any other


@pytest.mark.usefixtures("quick")
def test_what_was_edited_before_stays_when_the_protocol_is_fitted(workspace: Paths) -> None:
    prepare(workspace, ["search.T_AVM=7.5", "space.max_params=2k", "sample.size=11"])
    done = prepare_tailored(workspace, [], hours=200.0)
    params = Params.load(workspace.params)
    assert (params.search.T_AVM, params.space.max_params, params.sample.size) == (7.5, 2_000, 11)
    assert done is not None
    assert "sample.size" in done.kept
    assert "# Yours, and kept: sample.size, " in workspace.params.read_text()


@pytest.fixture
def fresh(tmp_path: Path) -> Paths:
    """Return a workspace in which nobody has set anything."""
    paths = Paths(tmp_path / "fresh")
    paths.root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (paths.root / name).write_text((source() / name).read_text())
    prepare(paths)
    return paths


@pytest.mark.usefixtures("quick")
def test_what_a_fit_wrote_is_fitted_anew_for_other_data(fresh: Paths, tmp_path: Path) -> None:
    cats, dogs = images(tmp_path / "cats", 80, number=12), images(tmp_path / "dogs", 12, number=400)
    prepare_tailored(fresh, ["dataset.name=image-folder", f"dataset.path={cats}"], hours=1.0)
    first = Params.load(fresh.params)
    assert (first.dataset.image_size, first.characterize.batch_size, first.train.learning_rate) == (32, 16, 0.1)
    assert first.space.max_params == 100_000
    # Of what was fitted, the user changes two values, one of them to what is the default.
    override(fresh.params, ["sample.size=33", "search.T_AVM=5.0", "search.k=2"])

    done = prepare_tailored(fresh, [f"dataset.path={dogs}"], hours=1.0)
    assert done is not None
    assert set(done.kept) == {"sample.size", "search.T_AVM"}
    for _ in range(2):  # and once more, for the same data
        second = Params.load(fresh.params)
        assert (second.sample.size, second.search.T_AVM, second.search.k) == (33, 5.0, 2.0)
        template = Params()
        assert second.dataset.image_size is None  # 12x12: nothing to resize, which 32 would have done
        assert (second.characterize.batch_size, second.train.learning_rate) == (32, 0.1)
        assert second.space.max_params == template.space.max_params
        prepare_tailored(fresh, [], hours=1.0)

    # Back to the data of the template: nothing of the others is left but what the user wrote.
    override(fresh.params, ["dataset.path=null"])
    prepare_tailored(fresh, ["dataset.name=digits"], hours=1.0)
    third = Params.load(fresh.params)
    assert (third.search.T_AVM, third.search.min_acc_1d) == (5.0, None)
    assert (third.train.batch_size, third.train.hwa_learning_rate) == (64, 0.02)
    assert third.sample.size == 33


@pytest.mark.usefixtures("quick")
def test_a_line_that_was_deleted_is_fitted_again(fresh: Paths) -> None:
    prepare_tailored(fresh, ["sample.size=33"], hours=200.0)
    prepare_tailored(fresh, [], hours=200.0)
    assert Params.load(fresh.params).sample.size == 33
    lines = fresh.params.read_text().splitlines(keepends=True)
    fresh.params.write_text("".join(line for line in lines if not line.startswith("  size: 33")))
    prepare_tailored(fresh, [], hours=200.0)
    assert Params.load(fresh.params).sample.size == 256
    record = read_record(fresh.params)
    assert record is not None
    assert record.kept == ()


@pytest.mark.usefixtures("quick")
def test_a_fitted_workspace_that_is_given_other_data_is_to_be_fitted_anew(fresh: Paths, tmp_path: Path) -> None:
    other = ["dataset.name=image-folder", f"dataset.path={tmp_path}"]
    assert hours_again(fresh, other) is None  # never fitted: the protocol is the user's
    prepare_tailored(fresh, [], hours=3.5)
    assert hours_again(fresh, other) == 3.5
    assert hours_again(fresh, []) is None
    assert hours_again(fresh, ["dataset.name=digits", "dataset.path=null", "search.k=3"]) is None
    assert hours_again(fresh, ["dataset.augment=[crop]"]) is None


@pytest.mark.usefixtures("quick")
def test_the_timed_architectures_are_spread_over_the_space(fresh: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(probe, "measure", lambda timed, *_: (seen.extend(timed), SPEED)[1])
    prepare_tailored(fresh, [], hours=1.0)
    efforts = [effort(one.structure) for one in seen]
    assert len(efforts) == len(set(efforts)) == 5
    assert efforts == sorted(efforts)
    assert efforts[-1] > 2 * efforts[0]


@pytest.mark.usefixtures("quick")
def test_bad_input_leaves_the_workspace_as_it_is(workspace: Paths) -> None:
    before = workspace.params.read_bytes()
    with pytest.raises(DatasetError):
        prepare_tailored(workspace, ["dataset.name=image-folder", "dataset.path=/nowhere"], hours=1.0)
    with pytest.raises(ParamsError):
        prepare_tailored(workspace, ["sample.nothing=3"], hours=1.0)
    assert workspace.params.read_bytes() == before
