from analognas.datasets import describe, load
from analognas.datasets.looking import look, recorded
from analognas.datasets.records import Description, Look, RecordedLook

OF_ONES_OWN = {"reading", "split_off", "in_two_parts"}


def test_what_is_described_and_looked_at_has_the_keys_of_its_type():
    dataset = load("digits")
    looked = look(dataset)
    assert set(describe(dataset)) == set(Description.__annotations__) - {"looked"}
    assert set(looked) == set(Look.__annotations__) - OF_ONES_OWN - {"looked"}
    assert set(recorded(looked)) == set(RecordedLook.__annotations__) - OF_ONES_OWN
