import json

import pytest

from analognas.errors import ParamsError
from analognas.params import Params
from analognas.workspace import Paths
from benchmarks import recipe


def row(acc: float, seconds: float = 1.0) -> dict[str, float]:
    return {"seconds": seconds} | dict.fromkeys(recipe.COLUMNS, acc)


def test_differences_are_paired_and_seeds_of_a_network_count_as_one():
    found = [("a", [row(90), row(88)]), ("a", [row(92), row(88)]), ("b", [row(50), row(49)]), ("b", [row(1), None])]
    told = recipe.compared(["other"], found)["other"]
    difference = told["differences"]["acc_30d"]
    assert difference["value"] == (3 + 1) / 2
    assert difference["half_width"] == pytest.approx(12.706 * 2**0.5 / 2**0.5, rel=1e-3)  # t with one degree of freedom
    assert (told["networks"], told["diverged"], told["diverged_other"]) == (2, 0, 1)


def test_another_recipe_is_that_of_the_workspace_with_some_keys_set():
    params = Params()
    other = recipe.recipe(params, ["hwa_learning_rate=0.01", "distillation_temperature=null"])
    assert (other.hwa_learning_rate, other.distillation_temperature) == (0.01, None)
    assert other.epochs == params.train.epochs
    with pytest.raises(ParamsError):
        recipe.recipe(params, ["nope=1"])


@pytest.mark.slow
def test_it_trains_the_best_networks_of_a_budget(finished: Paths, capsys: pytest.CaptureFixture[str]):
    recipe.main(["--workspace", str(finished.root), "--budgets", "3k", "--networks", "2", "--workers", "2",
                 "--against", "distillation_temperature=null", "--json"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)["3000"]["distillation_temperature=null"]
    assert told["networks"] + told["diverged"] + told["diverged_other"] >= 1
    assert set(told["differences"]) == set(recipe.COLUMNS)
