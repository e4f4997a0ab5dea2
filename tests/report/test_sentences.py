import pytest

from analognas import report

ROW = {"params": 1234, "tiles": 7, "acc_digital": 98.0, "avm": 1.0, "avm_std": 0.5}
ROW |= {f"acc_{label}{end}": 90.0 for label in ("1s", "1h", "1d", "30d") for end in ("", "_std")}


@pytest.mark.parametrize(("low", "high", "word"), [(-1, 2, True), (0.1, 2, False), (-3, -1, False)])
def test_a_difference_whose_interval_holds_zero_is_called_inconclusive(low, high, word, made_up, text):
    assert ("inconclusive" in text(made_up(low, high))) is word


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1, 2, "The winner is not shown to be better"), (-3, -1, "The plain network is the better one"), (0.1, 2, "")],
)
def test_a_winner_that_is_not_better_is_not_sold_as_one(low, high, said, made_up, text):
    shown = text(made_up(low, high))
    assert said in shown
    assert ("analognas search --true-evaluations" in shown) is bool(said)


def test_what_helps_is_said_once(made_up):
    tau = {"value": 0.3, "low": -0.1, "high": 0.6}
    doubtful = made_up(-1, 2) | {"evaluator": {"architectures": 28, "targets": {"acc_1d": {"kendall_tau": tau}}}}
    lines = report.told(doubtful).lines
    assert sum("not shown to" in line for line in lines) == 2
    assert sum("What helps:" in line for line in lines) == 1


@pytest.mark.parametrize(("params", "said"), [(1300, False), (1111, False), (1400, True), (1100, True)])
def test_a_plain_network_of_another_size_is_called_so(params: int, said: bool, made_up, text):
    shown = text(made_up(0.1, 1) | {"baseline": ROW | {"params": params}})
    assert ("parameters than the winner" in shown) is said


def test_what_the_evaluator_starts_from_is_said(made_up, text):
    tau = {"value": 0.7, "low": 0.5, "high": 0.8}
    prior = {"dataset": "digits-1", "hardware": "first-2", "protocol": "", "architectures": 300}
    evaluator = {"architectures": 16, "targets": {"acc_1d": {"kendall_tau": tau}}, "prior": prior}
    said = "It starts from an evaluator of 300 architectures on first-2 (digits-1, protocol ?)"
    assert said in " ".join(text(made_up(0.1, 1) | {"evaluator": evaluator}).split())
    assert "It starts from" not in text(made_up(0.1, 1))


@pytest.mark.parametrize("low", [-0.1, 0.0])
def test_an_evaluator_that_does_not_rank_is_called_so(low: float, made_up, text):
    tau = {"value": 0.3, "low": low, "high": 0.6}
    weak = {"architectures": 28, "targets": {"acc_1d": {"kendall_tau": tau}}}
    assert "not shown to rank better than chance" in text(made_up(0.1, 1) | {"evaluator": weak})
    assert "better than chance" not in text(made_up(0.1, 1))


def test_what_is_known_of_ones_own_data_is_told(made_up, text):
    alike = {
        "in_two_parts": {"count": 3, "examples": []},
        "in_two_classes": {"count": 0, "examples": []},
        "repeated": 0,
    }
    reading = {
        "read": {".png": 60}, "passed_over": {".heic": 2}, "leftovers": {}, "sizes": "all are 8x8", "ranges": {},
        "speakers": {}, "given": {},
    }  # fmt: skip
    data = {
        "levels": {},
        "alike": alike,
        "notes": ["look at it"],
        "reading": reading,
        "split_off": ["test"],
    }
    shown = text(made_up(0.1, 1) | {"data": data})
    for line in ("Data:", "  read           60 .png", "  passed over    2 .heic", "3 in two parts", "look at it"):
        assert line in shown
    assert "Data:" not in text(made_up(0.1, 1) | {"data": {key: data[key] for key in ("levels", "alike", "notes")}})


def test_limits_are_said_with_their_figures_and_what_helps(made_up, text):
    held = {"limit": 5.0, "value": 2.0, "low": 1.0, "high": 3.0, "status": "held"}
    shown = text(made_up(0.1, 1) | {"limits": {"status": "held", "T_AVM": held}})
    assert "Limit search.T_AVM (at most 5 points lost in a month) is held: 2.00 points" in shown
    assert "What helps" not in shown
    shown = text(made_up(0.1, 1) | {"limits": {"status": "broken", "T_AVM": held | {"limit": 0.5, "status": "broken"}}})
    assert "is broken" in shown
    assert "A limit that is not held asks for more than was found. What helps" in shown


def test_what_an_inference_costs_is_told_with_the_chip_it_is_of(made_up, text):
    costs = {"tiles": 70, "utilisation": 0.25, "latency_us": 12.345, "interval_us": 3.0, "energy_uj": 1234.5}
    chip = {"name": "some-chip", "note": "measured", "source": "a paper", "tiles": 64, "constants": []}
    content = made_up(0.1, 1) | {"cost": {"chip": chip, "winner": costs, "baseline": costs | {"energy_uj": 7.0}}}
    rows = {row[0]: row[1:] for row in report.told(content).rows}
    assert rows["of their weights in use, %"] == ("25.0", "25.0")
    assert rows["latency, us"] == ("12.35", "12.35")
    assert rows["energy, uJ"] == ("1,234", "7")
    shown = text(content)
    assert "those of the tiles of some-chip (measured); pipelined, there is an answer every 3 us" in shown
    assert "some-chip has 64 tiles: the winner needs more than one such chip." in shown
    assert "given by the user" not in shown
    mine = [
        {"name": "vector_ns", "value": 80.0, "unit": "ns", "source": "given by the user"},
        {"name": "tile_pj", "value": 1234.5, "unit": "pJ", "source": "a paper; given by the user"},
        {"name": "row_pj", "value": 1.0, "unit": "pJ", "source": "a paper"},
    ]
    shown = text(made_up(0.1, 1) | {"cost": {"chip": chip | {"constants": mine}, "winner": costs}})
    assert "Constants of some-chip that are given by the user: vector_ns 80 ns, tile_pj 1,234.5 pJ" in shown
    alone = report.told(made_up(0.1, 1) | {"cost": {"chip": chip | {"tiles": None}, "winner": costs}})
    assert ("energy, uJ", "1,234", "") in alone.rows
    assert "needs more than one" not in "".join(alone.lines)
    assert "energy, uJ" not in text(made_up(0.1, 1))


def test_everything_a_reader_needs_is_there(made_up, text):
    shown = text(made_up(0, 1))
    for part in (
        "1,234",
        "98.00",
        "90.00 ± 90.00",
        "M 2",
        "Kendall tau",
        "28 architectures",
        "A note.",
        "pcm-hermes, tiles of 32 x 32, adc_bits 6",
    ):
        assert part in shown
    other = made_up(0, 1)
    other["hardware"]["tile_size"] = [128, 0]
    assert "pcm-hermes, tiles of 128 x any, adc_bits 6" in text(other)


def test_a_tau_that_cannot_be_told_is_left_out(made_up, text):
    assert "Kendall" not in text(made_up(0, 1, tau=None))


def test_networks_that_people_take_by_hand_stand_beside_the_winner(made_up, text):
    def known(low: float, high: float) -> dict:
        one = {"value": (low + high) / 2, "low": low, "high": high}
        figures = {"name": "32 layers", "figures": ROW | {"params": 4321}, "cost": None}
        return {"known": [figures | {"difference": {"acc_1d": one, "acc_30d": one}}]}

    shown = text(made_up(0.1, 1) | known(-1.5, 0.5))
    assert "4,321" in shown
    assert "Winner minus 32 layers, accuracy after 1 month: -0.50 points" in shown
    assert "is the better one" not in shown
    assert "32 layers is the better one: take it, or look further." in text(made_up(0.1, 1) | known(-2.0, -0.5))
