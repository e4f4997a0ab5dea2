import json

import pandas as pd
import pytest

from analognas.errors import CorruptFileError, MismatchError, SearchError
from analognas.files import read_sealed, write_parquet, write_sealed
from analognas.hardware.cost import costs
from analognas.params import Params
from analognas.params.file import override
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.baseline import known_networks
from analognas.stages import inputs, run_stage, search
from analognas.workspace import Paths


def test_best_is_a_ranked_list_of_members_of_the_space(finished: Paths):
    params = Params.load(finished.params)
    best = read_sealed(finished.search / "best.json", remedy="")
    candidates = [one.architecture for one in inputs.candidates(params, finished)]
    assert [candidate.id for candidate in candidates] == [entry["id"] for entry in best["candidates"]]
    assert all(candidate.params <= 3_000 for candidate in candidates)
    assert 1 <= len(candidates) <= params.search.candidates


def test_the_history_holds_both_searches_and_all_runs(finished: Paths):
    history = pd.read_parquet(finished.search / "history.parquet")
    assert set(zip(history["search"], history["run"], strict=True)) == {
        (search, run) for search in ("ea_optimized", "random_search") for run in (0, 1)
    }
    best = read_sealed(finished.search / "best.json", remedy="")
    own = history[(history["search"] == "ea_optimized") & history["feasible"]]
    assert own["objective"].max() == pytest.approx(best["objective"])


def test_nothing_in_the_pareto_set_is_beaten(finished: Paths):
    pareto = pd.read_parquet(finished.search / "pareto.parquet")
    signs = {"acc_1d": 1, "avm": -1, "acc_1d_std": -1, "params": -1}
    values = pareto[list(signs)].mul(pd.Series(signs))
    for _, one in values.iterrows():
        assert not (values.ge(one).all(axis=1) & values.gt(one).any(axis=1)).any()


def test_an_evaluator_of_other_hardware_is_refused(finished_copy: Paths):
    params = override(finished_copy.params, ["hardware.tile_size=64"])
    before = (finished_copy.search / "best.json").read_bytes()
    with pytest.raises(MismatchError):
        run_stage("search", params, finished_copy)
    assert (finished_copy.search / "best.json").read_bytes() == before


def test_an_evaluator_of_another_protocol_is_refused(finished_copy: Paths):
    with pytest.raises(MismatchError, match="protocol"):
        run_stage("search", override(finished_copy.params, ["characterize.epochs=3"]), finished_copy)


def test_what_was_characterized_is_a_candidate_of_both_searches(finished: Paths):
    history = pd.read_parquet(finished.search / "history.parquet")
    table = pd.read_parquet(finished.surrogate)
    characterized = set(table[table["status"] == "ok"]["id"])
    for _, one in history.groupby(["search", "run"]):
        told = one[one["origin"] == "measured"]
        assert set(told["id"]) == characterized
        assert told["measured"].all()
        assert not one.drop(told.index)["measured"].any()


def test_a_limit_that_nothing_holds_ends_no_run(finished_copy: Paths):
    summary = run_stage("search", override(finished_copy.params, ["search.min_acc_1d=100"]), finished_copy)
    assert summary["limits"]["status"] == "broken"
    best = read_sealed(finished_copy.search / "best.json", remedy="")
    assert best["limits"]["min_acc_1d"]["status"] == "broken"
    assert best["limits"]["min_acc_1d"]["limit"] == 100
    history = pd.read_parquet(finished_copy.search / "history.parquet")
    own = history[history["search"] == "ea_optimized"].drop_duplicates("id")
    closest = own.sort_values(["violation", "objective"], ascending=[True, False])
    assert [entry["id"] for entry in best["candidates"]] == list(closest["id"][: len(best["candidates"])])
    assert len(pd.read_parquet(finished_copy.search / "pareto.parquet"))


def test_a_strict_limit_that_nothing_holds_says_which_one_and_what_helps(finished_copy: Paths):
    params = override(finished_copy.params, ["search.min_acc_1d=100", "search.strict=true"])
    before = (finished_copy.search / "best.json").read_bytes()
    with pytest.raises(SearchError, match=r"min_acc_1d = 100.* Characterize more architectures .*search.strict false"):
        run_stage("search", params, finished_copy)
    assert (finished_copy.search / "best.json").read_bytes() == before


def test_limits_on_costs_decide_who_is_a_candidate_and_are_told(finished_copy: Paths):
    params = Params.load(finished_copy.params)
    history = pd.read_parquet(finished_copy.search / "history.parquet")
    assert not {"tiles", "energy_uj"} & set(history.columns)
    chip, space = params.cost.of(params.hardware), inputs.space(params, finished_copy)
    seen = [space.architecture(json.loads(genes)) for genes in history["genes"].drop_duplicates()]
    least = costs(seen, chip)[["tiles", "energy_uj"]].quantile(0.3)
    limits = [f"search.constraints={{tiles: {least['tiles']:.0f}, energy_uj: {least['energy_uj']}}}"]
    params = override(finished_copy.params, [*limits, "search.min_acc_1d=0", "search.T_AVM=null"])
    summary = run_stage("search", params, finished_copy)
    assert summary["limits"]["tiles"]["status"] == summary["limits"]["energy_uj"]["status"] == "held"
    history = pd.read_parquet(finished_copy.search / "history.parquet")
    known = costs([space.architecture(json.loads(genes)) for genes in history["genes"]], chip)
    assert history["energy_uj"].tolist() == known["energy_uj"].tolist()
    holds = (known["tiles"] <= round(least["tiles"])) & (known["energy_uj"] <= least["energy_uj"])
    assert history["feasible"].tolist() == holds.tolist()
    assert 0 < holds.sum() < len(holds)
    best = read_sealed(finished_copy.search / "best.json", remedy="")
    assert best["candidates"][0]["id"] in set(history["id"][holds])


def test_the_objectives_of_nsga2_are_those_of_the_parameters(finished_copy: Paths):
    objectives = ["search.optimizer=nsga2", "search.objectives=[acc_1d, energy_uj, tiles]", "search.min_acc_1d=0"]
    params = override(finished_copy.params, objectives)
    run_stage("search", params, finished_copy)
    pareto = pd.read_parquet(finished_copy.search / "pareto.parquet")
    assert {"acc_1d", "energy_uj", "tiles"} < set(pareto.columns)
    values = pareto[["acc_1d", "energy_uj", "tiles"]].mul([1, -1, -1])
    for _, one in values.iterrows():
        assert not (values.ge(one).all(axis=1) & values.gt(one).any(axis=1)).any()


def test_an_unknown_optimizer_names_the_known_ones(finished_copy: Paths):
    with pytest.raises(SearchError, match="did you mean"):
        run_stage("search", override(finished_copy.params, ["search.optimizer=magic"]), finished_copy)


@pytest.mark.parametrize("content", ["{", '{"candidates": [{"genes": {"M": 99}}]}', '{"candidates": []}', "{}"])
def test_a_damaged_result_of_the_search_is_named(finished_copy: Paths, content: str):
    if content.startswith('{"'):
        write_sealed(finished_copy.search / "best.json", json.loads(content))
    else:
        (finished_copy.search / "best.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"best\.json .*analognas stage search"):
        inputs.candidates(Params.load(finished_copy.params), finished_copy)


def test_random_search_is_its_own_baseline(finished_copy: Paths):
    summary = run_stage("search", override(finished_copy.params, ["search.optimizer=random_search"]), finished_copy)
    assert summary["objective"] == summary["objective_random_search"]
    history = pd.read_parquet(finished_copy.search / "history.parquet")
    assert set(zip(history["search"], history["run"], strict=True)) == {("random_search", 0), ("random_search", 1)}
    assert len(history) == summary["evaluations"]


def _told_of_known(paths: Paths, acc_1d: float) -> str:
    """Write into the table that the network that people take by hand keeps so much, fit and search; return its id."""
    params = Params.load(paths.params)
    known = known_networks(inputs.space(params, paths).id, 6_000)["mlperf_tiny"].id
    table = pd.read_parquet(paths.surrogate)
    table.loc[table["id"] == known, ["acc_1d", "acc_1d_std", "avm"]] = [acc_1d, 0.1, 0.1]
    write_parquet(paths.surrogate, table)
    for stage in ("fit", "search"):
        run_stage(stage, params, paths)
    return known


@pytest.mark.parametrize(("acc_1d", "taken"), [(99.5, True), (11.0, False)])
def test_a_network_that_people_take_by_hand_is_a_candidate_by_what_was_measured(
    with_known_copy: Paths, acc_1d: float, taken: bool
):
    known = _told_of_known(with_known_copy, acc_1d)
    best = read_sealed(with_known_copy.search / "best.json", remedy="")
    ids = [candidate["id"] for candidate in best["candidates"]]
    assert (known in ids) == taken
    assert best["known"]["mlperf_tiny"]["id"] == known
    assert len(ids) == len(set(ids)) == Params.load(with_known_copy.params).search.candidates
    values = [one["prediction"]["acc_1d"] - one["prediction"]["acc_1d_std"] for one in best["candidates"]]
    assert values == sorted(values, reverse=True)
    if taken:
        assert best["candidates"][ids.index(known)]["prediction"]["measured"]
        read = inputs.candidates(Params.load(with_known_copy.params), with_known_copy)
        assert [one.architecture.id for one in read] == ids


def test_one_that_is_larger_than_the_winner_may_be_is_none(with_known_copy: Paths):
    override(with_known_copy.params, ["search.max_nb_param=3k"])
    known = _told_of_known(with_known_copy, 99.5)
    best = read_sealed(with_known_copy.search / "best.json", remedy="")
    assert known not in [candidate["id"] for candidate in best["candidates"]]


def test_ranges_that_the_user_has_set_hold_for_networks_taken_by_hand_too():
    within = {"kernel_size0": [3]}
    space = ConfigSpace("digits", max_params=50_000)
    known = known_networks(space.id, 50_000)
    assert known["layers_32"] not in space  # five blocks, where the family's ranges end at three
    assert search.eligible(known.values(), space, Params()) == list(known.values())
    narrowed = ConfigSpace("digits", max_params=50_000, ranges=within)
    params = Params.validated({"space": {"ranges": within}})
    assert search.eligible(known.values(), narrowed, params) == [known["mlperf_tiny"], known["layers_20"]]
