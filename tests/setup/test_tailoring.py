from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analognas.errors import DatasetError, HoursError, ParamsError, StageError
from analognas.files import read_sealed
from analognas.hardware.cost import effort
from analognas.params import Params
from analognas.params.file import override
from analognas.params.overrides import parse
from analognas.search_spaces import ConfigSpace
from analognas.setup import probe, protocol_ladder, tailoring
from analognas.setup.preparing import prepare
from analognas.setup.probe import Speed
from analognas.setup.protocol_choice import choose
from analognas.setup.record import read_record
from analognas.setup.tailoring import fit_again, prepare_tailored, size_of_images, wanted
from analognas.setup.template import source
from analognas.stages.recorded import check_dataset
from analognas.stages.rounds import write_sentinel
from analognas.workspace import Paths

#: Seconds of an image and unit of effort, about those of one core.
SPEED = Speed(digital=2e-10, hwa=3e-10, pass_=5e-11)


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
    assert not wanted({})
    assert not wanted(parse(["space.max_params=50k", "dataset.name=digits"]))
    assert wanted(parse(["dataset.name=image-folder", "space.max_params=50k"]))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine be as fast as ``SPEED`` says."""
    monkeypatch.setattr(probe, "measure", lambda *_: SPEED)


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no worker process to time it."""
    monkeypatch.setattr(probe, "start_up", lambda _: (3.0, 0.1))


@pytest.mark.usefixtures("quick")
def test_a_workspace_is_made_ready_and_fitted(workspace: Paths, tmp_path: Path) -> None:
    folder = images(tmp_path / "mine", 80, number=12)
    one = prepare_tailored(
        workspace, parse(["dataset.name=image-folder", f"dataset.path={folder}", "sample.size=9"]), hours=1.0
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
    prepare(workspace, parse(["search.T_AVM=7.5", "space.max_params=2k", "sample.size=11"]))
    done = prepare_tailored(workspace, {}, hours=200.0)
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
    prepare_tailored(fresh, parse(["dataset.name=image-folder", f"dataset.path={cats}"]), hours=1.0)
    first = Params.load(fresh.params)
    assert (first.dataset.image_size, first.characterize.batch_size, first.train.learning_rate) == (32, 16, 0.1)
    assert first.space.max_params == 100_000
    # Of what was fitted, the user changes two values, one of them to what is the default.
    override(fresh.params, ["sample.size=33", "search.T_AVM=5.0", "search.k=2"])

    done = prepare_tailored(fresh, parse([f"dataset.path={dogs}"]), hours=1.0)
    assert done is not None
    assert set(done.kept) == {"sample.size", "search.T_AVM"}
    for _ in range(2):  # and once more, for the same data
        second = Params.load(fresh.params)
        assert (second.sample.size, second.search.T_AVM, second.search.k) == (33, 5.0, 2.0)
        template = Params()
        assert second.dataset.image_size is None  # 12x12: nothing to resize, which 32 would have done
        assert (second.characterize.batch_size, second.train.learning_rate) == (32, 0.1)
        assert second.space.max_params == template.space.max_params
        prepare_tailored(fresh, {}, hours=1.0)

    # Back to the data of the template: nothing of the others is left but what the user wrote.
    override(fresh.params, ["dataset.path=null"])
    prepare_tailored(fresh, parse(["dataset.name=digits"]), hours=1.0)
    third = Params.load(fresh.params)
    assert (third.search.T_AVM, third.search.min_acc_1d) == (5.0, None)
    assert (third.train.batch_size, third.train.hwa_learning_rate) == (64, 0.05)
    assert third.sample.size == 33


def test_of_many_images_a_part_is_used_until_there_is_time(
    fresh: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "measure", lambda *_: replace(SPEED, pass_=1e-8))
    monkeypatch.setattr(protocol_ladder, "_LEAST_IMAGES", 40)
    monkeypatch.setattr(protocol_ladder, "_LEAST_PER_CLASS", 10)
    many = images(tmp_path / "many", 12, number=100)  # of each class; 60 of them are for training
    given = parse(["dataset.name=image-folder", f"dataset.path={many}"])
    done = prepare_tailored(fresh, given, hours=1.0)
    assert done is not None
    assert (done.per_class, done.profile.sizes["train"], done.whole.sizes["train"]) == (20, 40, 120)
    params = Params.load(fresh.params)
    assert params.dataset.per_class == 20
    assert "# of up to 60: with all of them the run would take about " in fresh.params.read_text()
    assert read_sealed(fresh.dataset, remedy="")["sizes"] == done.profile.sizes
    assert check_dataset(params, fresh)["sizes"] == done.profile.sizes

    # With more time the next fit looks at all of them again, and leaves none out.
    monkeypatch.setattr(probe, "measure", lambda *_: SPEED)
    done = prepare_tailored(fresh, {}, hours=200.0)
    assert done is not None
    assert (done.per_class, done.profile.sizes["train"]) == (None, 120)
    assert Params.load(fresh.params).dataset.per_class is None
    assert read_sealed(fresh.dataset, remedy="")["sizes"]["train"] == 120

    # What the user says stays.
    prepare_tailored(fresh, parse(["dataset.per_class=33"]), hours=200.0)
    done = prepare_tailored(fresh, {}, hours=200.0)
    assert done is not None
    assert done.profile.sizes["train"] == 66
    assert Params.load(fresh.params).dataset.per_class == 33


@pytest.mark.usefixtures("quick")
def test_a_line_that_was_deleted_is_fitted_again(fresh: Paths) -> None:
    prepare_tailored(fresh, parse(["sample.size=33"]), hours=200.0)
    prepare_tailored(fresh, {}, hours=200.0)
    assert Params.load(fresh.params).sample.size == 33
    lines = fresh.params.read_text().splitlines(keepends=True)
    fresh.params.write_text("".join(line for line in lines if not line.startswith("  size: 33")))
    prepare_tailored(fresh, {}, hours=200.0)
    assert Params.load(fresh.params).sample.size == 256
    record = read_record(fresh.params)
    assert record is not None
    assert record.kept == ()


@pytest.mark.usefixtures("quick")
def test_a_fitted_workspace_is_fitted_anew_for_other_data_or_hours(fresh: Paths, tmp_path: Path) -> None:
    other = parse(["dataset.name=image-folder", f"dataset.path={tmp_path}"])
    assert fit_again(fresh, other, None) is None  # never fitted: the protocol is the user's
    assert fit_again(fresh, {}, 3.5) == 3.5
    prepare_tailored(fresh, {}, hours=3.5)
    assert fit_again(fresh, other, None) == 3.5
    assert fit_again(fresh, {}, None) is None
    assert fit_again(fresh, parse(["dataset.name=digits", "dataset.path=null", "search.k=3"]), None) is None
    assert fit_again(fresh, parse(["dataset.augment=[crop]"]), None) is None
    assert fit_again(fresh, parse(["space.max_params=5k"]), None) is None
    # What was asked before is done: a run that was stopped goes on with what it has measured.
    assert fit_again(fresh, parse(["dataset.name=digits", "space.max_params=10k", "sample.size=20"]), 3.5) is None
    assert fit_again(fresh, {}, 4.0) == 4.0
    prepare_tailored(fresh, {}, hours=1 / 3)
    assert fit_again(fresh, {}, 1 / 3) is None
    prepare_tailored(fresh, {}, hours=3.5)
    assert fit_again(fresh, parse(["space.max_params=5k"]), 3.5) == 3.5
    assert fit_again(fresh, other, 3.5) == 3.5
    # A line that was deleted is to be fitted.
    lines = fresh.params.read_text().splitlines(keepends=True)
    fresh.params.write_text("".join(line for line in lines if not line.startswith("  size:")))
    assert fit_again(fresh, {}, 3.5) == 3.5
    assert fit_again(fresh, {}, None) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StageError("diverged")])
def test_a_fit_that_is_interrupted_changes_nothing(
    fresh: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(probe, "measure", lambda *_: SPEED)
    one, other = images(tmp_path / "one", 80, number=12), images(tmp_path / "other", 12, number=400)
    prepare_tailored(fresh, parse(["dataset.name=image-folder", f"dataset.path={one}"]), hours=1.0)
    before = fresh.params.read_bytes(), fresh.dataset.read_bytes()

    def stop(*_: object) -> Any:
        raise error

    monkeypatch.setattr(probe, "measure", stop)
    with pytest.raises(type(error)):
        prepare_tailored(fresh, parse([f"dataset.path={other}", "sample.size=30"]), hours=1.0)
    assert (fresh.params.read_bytes(), fresh.dataset.read_bytes()) == before


@pytest.mark.usefixtures("quick")
def test_what_is_besides_the_sample_is_counted(fresh: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(tailoring, "choose", lambda *given: (seen.append(given[-2]), choose(*given))[1])
    prepare_tailored(fresh, {}, hours=1.0)
    write_sentinel(fresh, ConfigSpace("digits", max_params=10_000).sample(7, seed=3))
    prepare_tailored(fresh, {}, hours=1.0)
    assert seen == [0, 7]


def test_images_are_looked_at_as_the_loader_finds_them(tmp_path: Path) -> None:
    folder = images(tmp_path / "mine", 80)
    (folder / "left" / "._0.png").write_bytes(b"no image")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "junk.png").write_bytes(b"no image")
    choice = size_of_images(folder)
    assert choice is not None
    assert choice.value == 32
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("left", "right"):
        (linked / name).symlink_to(folder / name)
    assert size_of_images(linked) == choice


@pytest.mark.usefixtures("quick")
def test_the_name_of_a_dataset_is_read_as_everywhere(fresh: Paths, tmp_path: Path) -> None:
    assert not wanted(parse(["dataset.name=Digits"]))
    folder = images(tmp_path / "mine #1", 80, number=12)
    prepare_tailored(fresh, parse(["dataset.name=image_folder", f'dataset.path="{folder}"']), hours=1.0)
    assert Params.load(fresh.params).dataset.image_size == 32


@pytest.mark.usefixtures("quick")
def test_the_timed_architectures_are_spread_over_the_space(fresh: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(probe, "measure", lambda timed, *_: (seen.extend(timed), SPEED)[1])
    prepare_tailored(fresh, {}, hours=1.0)
    efforts = [effort(one.structure) for one in seen]
    assert len(efforts) == len(set(efforts)) == 5
    assert efforts == sorted(efforts)
    assert efforts[-1] > 2 * efforts[0]


@pytest.mark.usefixtures("quick")
def test_bad_input_leaves_the_workspace_as_it_is(workspace: Paths) -> None:
    before = workspace.params.read_bytes()
    with pytest.raises(DatasetError):
        prepare_tailored(workspace, parse(["dataset.name=image-folder", "dataset.path=/nowhere"]), hours=1.0)
    with pytest.raises(ParamsError):
        prepare_tailored(workspace, parse(["sample.nothing=3"]), hours=1.0)
    assert workspace.params.read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_what_does_not_fit_is_refused_and_nothing_is_written(fresh: Paths) -> None:
    prepare_tailored(fresh, {}, hours=1.0)
    before = fresh.params.read_bytes(), fresh.dataset.read_bytes()
    with pytest.raises(HoursError, match=r"No run fits 0\.01 h .* about .* it to start, .* allow --hours ") as info:
        prepare_tailored(fresh, parse(["search.k=2"]), hours=0.01)
    assert (fresh.params.read_bytes(), fresh.dataset.read_bytes()) == before
    assert info.value.exit_code == 2
    assert info.value.details["fitted"]["fits"] is False
    # What is said to be enough is enough.
    enough = float(re.search(r"allow --hours (0\.\d+)", str(info.value))[1])  # type: ignore[index]
    done = prepare_tailored(fresh, parse(["search.k=2"]), hours=enough)
    assert done is not None
    assert done.fits


@pytest.mark.usefixtures("quick")
def test_the_values_of_the_user_that_stand_in_the_way_are_named(fresh: Paths) -> None:
    with pytest.raises(HoursError) as info:
        prepare_tailored(fresh, parse(["sample.size=500", "train.repeats=30", "search.k=2"]), hours=0.4)
    said = str(info.value)
    assert re.search(r", or --set sample\.size=\d+ instead of 500 \(about \d+ min\)", said)
    assert "search.k" not in said
    assert "train.repeats" not in said  # that alone does not help
    size = re.search(r"sample\.size=(\d+) instead", said)
    assert size is not None
    prepare_tailored(fresh, parse([f"sample.size={size[1]}", "train.repeats=30", "search.k=2"]), hours=0.4)


def test_smaller_networks_and_images_are_timed_too(
    fresh: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[tuple[int, int, int], int]] = []

    def measure(timed: Any, dataset: Any, params: Params) -> Speed:
        seen.append((dataset.input_shape, max(one.params for one in timed)))
        # Small images take longer than their effort tells: a second look is needed.
        slower = 1 if dataset.input_shape[1] == 32 else 1.5
        return replace(SPEED, digital=slower * SPEED.digital, hwa=slower * SPEED.hwa)

    monkeypatch.setattr(probe, "measure", measure)
    folder = images(tmp_path / "mine", 80, number=300)
    done = prepare_tailored(fresh, parse(["dataset.name=image-folder", f"dataset.path={folder}"]), hours=0.15)
    assert done is not None
    assert done.fits
    assert len(seen) > 1
    assert seen[0][0] == (1, 32, 32)
    assert seen[-1][0] == done.profile.input_shape
    params = Params.load(fresh.params)
    assert params.dataset.image_size == done.form.edge
    assert params.space.max_params == done.form.budget
    assert seen[-1][1] <= done.form.budget < 100_000
    text = fresh.params.read_text()
    assert "# 32x32 would be better and take longer" in text
    assert "# 100,000 would be better and take longer" in text
    # With time again what was made smaller is as it was.
    prepare_tailored(fresh, {}, hours=50.0)
    params = Params.load(fresh.params)
    assert (params.dataset.image_size, params.space.max_params) == (32, 100_000)


def test_more_processes_than_processors_are_no_faster(fresh: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    params = Params.load(fresh.params)
    how: dict[str, Any]
    for how, expected in (
        ({}, 2), ({"workers": 8}, 2), ({"workers": 1}, 1), ({"runner": "serial"}, 1),
        ({"runner": "dask", "workers": 8}, 8),
    ):  # fmt: skip
        run = params.run.model_copy(update=how)
        assert tailoring._side_by_side(params.model_copy(update={"run": run})) == expected
