from analognas.search_algorithms import RandomSearch
from analognas.search_algorithms._walk import shrunk, tournament, walk_to_new
from analognas.search_algorithms.records import Evaluated
from analognas.search_spaces import ConfigSpace
from analognas.testing.optimizers import small_space

SPACE = ConfigSpace("digits")


def test_what_is_new_stays():
    optimizer = RandomSearch().bind(SPACE)
    one = SPACE.sample(1)[0]
    assert walk_to_new(optimizer, one, ()) is one
    other = walk_to_new(optimizer, one, {one.id})
    assert other is not None
    assert other != one


def test_nothing_is_new_in_a_space_that_is_used_up():
    optimizer = RandomSearch().bind(small_space())
    asked = optimizer.ask(128)
    assert walk_to_new(optimizer, asked[0], ()) is None


def test_what_is_too_large_shrinks_no_more_than_it_has_to():
    optimizer = RandomSearch(max_nb_param=3_000).bind(SPACE)
    smallest = SPACE.smallest()
    for one in SPACE.sample(30):
        smaller = shrunk(optimizer, one)
        if one.params <= 3_000:
            assert smaller is one
        else:
            assert smaller.params <= 3_000
            kept = [name for name in smaller.genes if smaller.genes[name] == one.genes.get(name)]
            assert all(smaller.genes[name] == smallest.genes[name] for name in smaller.genes if name not in kept)


def test_the_best_one_of_a_tournament_wins():
    optimizer = RandomSearch().bind(SPACE)
    ranked = [Evaluated(one, 0, "start", 9.0 - index, 0.0, {}) for index, one in enumerate(SPACE.sample(4))]
    assert tournament(ranked, 100, optimizer.rng) == ranked[0].architecture
    assert {tournament(ranked, 1, optimizer.rng) for _ in range(100)} == {record.architecture for record in ranked}
