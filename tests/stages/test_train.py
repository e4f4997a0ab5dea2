from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analognas.datasets import load
from analognas.errors import StageError
from analognas.files import file_digest, read_sealed, write_sealed
from analognas.hardware.cost import cost
from analognas.params import Params
from analognas.params.file import override
from analognas.search_algorithms import Constraints
from analognas.stages import identity, inputs, run_stage, train
from analognas.testing import made_up_row
from analognas.training import load_winner
from analognas.training.card import Known
from analognas.workspace import Paths


@dataclass(frozen=True)
class PretendedWinner:
    """A winner of which nothing but its id is written, and what its card would say."""

    id: str

    def write(self, folder: Path, known: Known) -> None:
        (folder / "architecture.json").write_text(self.id)
        (folder / "card.md").write_text("\n".join([*known.limits, str(known.evaluator), *known.notes]))


def outcome(task: train.Training, avm: float, status: str = "ok") -> train.Outcome:
    """Return what a worker would, without training: 60 % after a day, and this variation on validation."""
    figures = {} if status != "ok" else {"avm": avm, "acc_1d": 60.0}
    row = made_up_row(task.architecture, status=status, reason="made up", **figures)
    if not row.ok or (task.limits is not None and task.limits.violation(task.architecture, row.measured) > 0):
        return train.Outcome(row)
    names = [f"acc_{label}" for label in ("1s", "1h", "1d", "30d")]
    measured = {f"{name}{end}": 60.0 for name in (*names, "avm") for end in ("", "_std", "_sem")}
    images = dict.fromkeys(("acc_1d", "acc_30d", "avm"), np.full(5, 60.0))
    return train.Outcome(
        row,
        replace(row, measured=measured),
        PretendedWinner(task.architecture.id),
        images,
        np.full(len(images["acc_1d"]), "a class"),
    )


def known(params: Params, paths: Paths) -> list:
    return [one.architecture for one in inputs.candidates(params, paths)]


def set_statuses(paths: Paths, statuses: list[str]) -> None:
    file = paths.search / "best.json"
    best = read_sealed(file, remedy="")
    for candidate, status in zip(best["candidates"], statuses, strict=False):
        candidate["limits"]["status"] = status
    write_sealed(file, best)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch):
    """Let candidates vary as told, in order; plain networks vary by nothing."""

    def replaced(*made_up: tuple[float, str]):
        told: dict[str, tuple[float, str]] = {}

        def each(_function, tasks, pool):
            asked.append((pool, [task.architecture.id for task in tasks]))
            for index, task in enumerate(tasks):
                if index == 0:
                    name = task.architecture.id
                    told.setdefault(name, made_up[len(told)] if len(told) < len(made_up) else (0.0, "ok"))
                    yield index, outcome(task, *told[name])
                else:
                    yield index, outcome(task, 0.0)

        asked: list[tuple[object, list[str]]] = []
        monkeypatch.setattr(train.processes, "each", each)
        return asked

    return replaced


def test_the_winner_is_the_best_candidate_and_gives_its_stored_curve_again(finished: Paths):
    best = read_sealed(finished.search / "best.json", remedy="")["candidates"][0]["id"]
    summary = read_sealed(finished.metrics("train"), remedy="")
    winner = load_winner(finished.winner)
    assert summary["winner"]["id"] == winner.architecture.id == best
    assert winner.part == "test"
    assert np.array_equal(winner.drift_curve(load("digits")), winner.accuracy)
    assert winner.accuracy[:, 2].mean() == pytest.approx(summary["winner"]["acc_1d"])


def test_the_plain_network_is_about_as_large(finished: Paths):
    summary = read_sealed(finished.metrics("train"), remedy="")
    assert summary["baseline"]["params"] == pytest.approx(summary["winner"]["params"], rel=0.35)


def test_the_difference_comes_with_its_interval(finished: Paths):
    summary = read_sealed(finished.metrics("train"), remedy="")
    for name, difference in summary["difference"].items():
        assert difference["value"] == pytest.approx(summary["winner"][name] - summary["baseline"][name])
        programmings = 1.96 * (summary["winner"][f"{name}_sem"] ** 2 + summary["baseline"][f"{name}_sem"] ** 2) ** 0.5
        assert difference["high"] - difference["low"] > 2 * programmings  # the images are in it, too


def test_the_curves_are_in_the_plot_table(finished: Paths):
    curves = pd.read_csv(finished.plot("train.csv"))
    assert curves.groupby("network").size().to_dict() == {"winner": 4, "plain residual network": 4}
    assert finished.plot("train.png").stat().st_size > 5_000


def test_the_accuracies_by_class_are_those_of_the_whole_test_part(finished: Paths):
    table = pd.read_csv(finished.plot("classes.csv"))
    told = read_sealed(finished.metrics("train"), remedy="")
    sizes = read_sealed(finished.dataset, remedy="")["sizes"]
    for network, name in (("winner", "winner"), ("plain residual network", "baseline")):
        rows = table[table["network"] == network]
        assert rows["class"].tolist() == list(range(10))
        assert rows["images"].sum() == sizes["test"]
        for column in ("acc_1d", "acc_30d"):
            whole = (rows[column] * rows["images"]).sum() / rows["images"].sum()
            assert whole == pytest.approx(told[name][column])


def test_the_same_params_give_the_same_bytes_serially(finished_copy: Paths):
    before = [file_digest(path) for path in (finished_copy.winner, finished_copy.metrics("train"))]
    run_stage("train", override(finished_copy.params, ["run.runner=serial"]), finished_copy)
    assert [file_digest(path) for path in (finished_copy.winner, finished_copy.metrics("train"))] == before


def test_a_candidate_that_breaks_the_limit_is_passed_over_and_the_run_says_so(finished_copy: Paths, pretend):
    pretend((9.0, "ok"), (1.0, "ok"))
    params = override(finished_copy.params, ["search.T_AVM=2.0"])
    candidates = known(params, finished_copy)
    summary = run_stage("train", params, finished_copy)
    assert (finished_copy.winner / "architecture.json").read_text() == candidates[1].id
    (note,) = summary["notes"]
    assert candidates[0].id in note
    assert "9.00 points" in note
    card = (finished_copy.winner / "card.md").read_text()
    assert note in card
    assert "search.T_AVM (at most 2 points lost in a month) is not shown to hold: 60.00 points" in card
    assert "Kendall tau of 1-day accuracy, out of fold: " in card
    assert summary["limits"]["T_AVM"]["value"] == 60.0  # of the made-up test figures
    assert summary["limits"]["status"] != "held"


def test_a_candidate_below_the_least_accuracy_is_passed_over_too(finished_copy: Paths, pretend):
    pretend((1.0, "ok"))
    params = override(finished_copy.params, ["search.min_acc_1d=70"])
    summary = run_stage("train", params, finished_copy)
    assert "60.00 % after a day, min_acc_1d is 70" in summary["notes"][0]
    assert "No candidate holds the limits" in summary["notes"][-1]


def test_strict_limits_that_no_candidate_holds_are_refused_and_the_old_winner_stays(finished_copy: Paths, pretend):
    pretend((9.0, "ok"), *[(7.0, "ok")] * 10)
    before = file_digest(finished_copy.winner)
    params = override(finished_copy.params, ["search.T_AVM=2.0", "search.strict=true"])
    with pytest.raises(StageError, match=r"holds the limits when it is measured .*9\.00 points.*search\.strict false"):
        run_stage("train", params, finished_copy)
    assert file_digest(finished_copy.winner) == before


def test_what_is_known_to_break_a_limit_is_trained_only_where_there_is_nothing_else(finished_copy: Paths, pretend):
    params = override(finished_copy.params, ["search.T_AVM=2.0"])
    candidates = known(params, finished_copy)
    statuses = ["broken", "not shown", *["broken"] * len(candidates)]
    set_statuses(finished_copy, statuses)
    pretend((1.0, "ok"))
    assert run_stage("train", params, finished_copy)["notes"] == []
    assert (finished_copy.winner / "architecture.json").read_text() == candidates[1].id
    set_statuses(finished_copy, ["broken"] * len(candidates))
    pretend((9.0, "ok"))
    summary = run_stage("train", params, finished_copy)
    assert (finished_copy.winner / "architecture.json").read_text() == candidates[0].id
    assert summary["notes"] == ["Nothing that is known holds the limits: what comes closest was trained."]


def test_the_limits_are_judged_on_test_images(finished_copy: Paths):
    params = override(finished_copy.params, ["search.T_AVM=100", "search.min_acc_1d=0"])
    limits = run_stage("train", params, finished_copy)["limits"]
    winner = read_sealed(finished_copy.metrics("train"), remedy="")["winner"]
    assert limits["status"] == "held"
    assert limits["T_AVM"]["value"] == winner["avm"]
    assert limits["min_acc_1d"]["value"] == winner["acc_1d"]
    assert limits["T_AVM"]["high"] - limits["T_AVM"]["value"] > 1.645 * winner["avm_sem"]


def test_a_candidate_that_costs_too_much_is_passed_over_and_the_summary_says_what_holds(finished_copy: Paths, pretend):
    params = Params.load(finished_copy.params)
    chip = params.cost.of(params.hardware)
    energies = [cost(one, chip)["energy_uj"] for one in known(params, finished_copy)]
    params = override(finished_copy.params, [f"search.constraints.energy_uj={min(energies)}"])
    cheapest = energies.index(min(energies))
    pretend()
    summary = run_stage("train", params, finished_copy)
    assert (finished_copy.winner / "architecture.json").read_text() == known(params, finished_copy)[cheapest].id
    assert len(summary["notes"]) == cheapest
    assert all("energy_uj" in note and f"the limit is {min(energies):g}" in note for note in summary["notes"])
    assert summary["limits"]["energy_uj"]["status"] == "held"


def test_if_all_break_it_the_closest_is_taken_and_the_run_says_so(finished_copy: Paths, pretend):
    params = override(finished_copy.params, ["search.T_AVM=0.5"])
    candidates = known(params, finished_copy)
    pretend((9.0, "ok"), (3.0, "ok"), *[(5.0, "ok")] * len(candidates))
    summary = run_stage("train", params, finished_copy)
    assert (finished_copy.winner / "architecture.json").read_text() == candidates[1].id
    assert "No candidate holds the limits" in summary["notes"][-1]


def test_all_candidates_share_workers_and_a_plain_network_is_trained_once(finished_copy: Paths, pretend):
    params = override(finished_copy.params, ["search.T_AVM=0.5"])
    asked = pretend(*[(9.0, "ok")] * 20)
    run_stage("train", params, finished_copy)
    assert len(asked) > 2
    assert len({id(pool) for pool, _ in asked}) == 1
    plain = [network for _, networks in asked for network in networks[1:]]
    assert plain
    assert len(plain) == len(set(plain))
    assert len(asked[-1][1]) == 1  # the closest again, for the test set; its plain network is known


def test_a_candidate_that_diverges_is_passed_over(finished_copy: Paths, pretend):
    pretend((0.0, "diverged"), (1.0, "ok"))
    summary = run_stage("train", Params.load(finished_copy.params), finished_copy)
    assert "could not be trained (made up)" in summary["notes"][0]


def test_if_none_can_be_trained_the_old_winner_stays(finished_copy: Paths, pretend):
    pretend(*[(0.0, "diverged")] * 10)
    before = file_digest(finished_copy.winner)
    with pytest.raises(StageError, match=r"train\.learning_rate"):
        run_stage("train", Params.load(finished_copy.params), finished_copy)
    assert file_digest(finished_copy.winner) == before


def test_the_test_part_is_not_touched_when_the_limit_is_broken(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch):
    from analognas.datasets import Dataset

    params = Params.load(finished_copy.params)
    parts: list[str] = []
    tensors = Dataset.tensors
    monkeypatch.setattr(Dataset, "tensors", lambda self, part: (parts.append(part), tensors(self, part))[1])
    task = train.Training(
        architecture=known(params, finished_copy)[0],
        dataset=identity.DatasetSpec.of(params, finished_copy),
        hardware=params.hardware,
        training=params.train,
        seed=0,
        device="cpu",
        limits=Constraints(min_acc_1d=100.0),
    )
    assert train.train(task).test is None
    assert "test" not in parts
    assert train.train(replace(task, limits=None)).test is not None
    assert "test" in parts


def test_networks_that_people_take_by_hand_are_measured_as_the_winner_is(with_known: Paths):
    summary = read_sealed(with_known.metrics("train"), remedy="")
    params = Params.load(with_known.params)
    (one,) = inputs.by_hand(params, with_known).values()
    told = summary["known"]["mlperf_tiny"]
    alone = train.train(
        train.Training(
            one, identity.DatasetSpec.of(params, with_known), params.hardware, params.train, params.base.seed, "cpu"
        )
    )
    assert told["figures"]["id"] == one.id
    assert told["figures"]["acc_1d"] == alone.test["acc_1d"]
    assert told["difference"]["acc_30d"]["value"] == pytest.approx(
        summary["winner"]["acc_30d"] - told["figures"]["acc_30d"]
    )
    curves = pd.read_csv(with_known.plot("train.csv"))
    assert curves["network"].unique().tolist() == ["winner", "plain residual network", "MLPerf Tiny's network"]
    assert pd.read_csv(with_known.plot("classes.csv"))["network"].nunique() == 3


def test_they_are_trained_once_whatever_becomes_of_candidates(with_known_copy: Paths, pretend):
    params = override(with_known_copy.params, ["search.T_AVM=2"])
    asked = pretend((3.0, "ok"), (1.0, "ok"))
    run_stage("train", params, with_known_copy)
    (one,) = inputs.by_hand(params, with_known_copy).values()
    trained = [name for _, ids in asked for name in ids]
    assert trained.count(one.id) == 1


def test_a_winner_that_people_take_by_hand_is_not_compared_with_itself_and_the_run_says_so(
    with_known_copy: Paths, pretend
):
    file = with_known_copy.search / "best.json"
    best = read_sealed(file, remedy="")
    known = best["known"]["mlperf_tiny"]
    best["candidates"] = [known | {key: best["candidates"][0][key] for key in ("prediction", "limits")}]
    write_sealed(file, best)
    pretend()
    summary = run_stage("train", Params.load(with_known_copy.params), with_known_copy)
    assert summary["known"] == {}
    assert any("MLPerf Tiny's network" in note and "nothing better" in note for note in summary["notes"])
    assert summary["winner"]["id"] == known["id"]
    assert "baseline" not in summary or summary["baseline"]["id"] != known["id"]
