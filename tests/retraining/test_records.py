from typing import get_type_hints

from analognas.params import Params
from analognas.retraining.comparing import decide, reasons
from analognas.retraining.records import ByEvaluator, Comparison, GainRecord, NeedFigures


def comparison(low: float) -> Comparison:
    gain = GainRecord(champion=0.5, challenger=0.6, gain=0.1, gain_low=low)
    both = ByEvaluator(champion=0.9, challenger=0.9)
    return Comparison(architectures=48, acc_1d=gain, avm=gain, coverage=both, rmse=both, resamples=10, confidence=0.95)


def test_the_records_are_all_that_decisions_need():
    rules = Params().retrain
    assert decide(comparison(0.01), rules).accepted
    assert not decide(comparison(-0.01), rules).accepted
    assert not decide(Comparison(architectures=3), rules).accepted
    figures: NeedFigures = {
        "newest": {"architectures": 20, "kendall_tau": 0.1, "coverage": None}, "new_rows": 0, "age_days": None,
    }  # fmt: skip
    assert len(reasons(figures, rules)) == 1
    assert set(get_type_hints(NeedFigures)) == set(figures)
