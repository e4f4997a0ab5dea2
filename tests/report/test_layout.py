import io

from rich.console import Console

from analognas import report

ROW = {"params": 1234, "tiles": 7, "acc_digital": 98.0, "avm": 1.0, "avm_std": 0.5}
ROW |= {f"acc_{label}{end}": 90.0 for label in ("1s", "1h", "1d", "30d") for end in ("", "_std")}


def test_as_markdown_it_says_the_same(made_up):
    lines = report.markdown(made_up(0.1, 2)).splitlines()
    assert lines[0] == "## digits: test accuracy while the chip drifts"
    assert lines[2:5] == [
        "|  | winner | plain residual network |",
        "| --- | ---: | ---: |",
        "| parameters | 1,234 | 1,234 |",
    ]
    assert "| after 1 day, % | 90.00 ± 90.00 | 90.00 ± 90.00 |" in lines
    said = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    assert said == list(report.told(made_up(0.1, 2)).lines)
    assert "Winner abc: M 2" in said
    last = report.markdown(made_up(0.1, 2) | {"use": "analognas predict FILE..."}).splitlines()[-1]
    assert last == "- The winner is in `data/winner` (`card.md` there): `analognas predict FILE...`"


def test_networks_of_ones_own_stand_in_columns_and_no_table_is_too_wide(made_up):
    own = [
        {"name": name, "figures": ROW | {"params": 77}, "cost": None, "sensitivity": None, "notes": [f"of {name}"],
         "curve": []}
        for name in ("first", "second")
    ]  # fmt: skip
    content = made_up(0.1, 2) | {"own": own}
    told = report.told(content)
    assert told.columns == ("", "winner", "plain residual network", "first (yours)", "second (yours)")
    assert told.rows[0] == ("parameters", "1,234", "1,234", "77", "77")
    assert {"first: of first", "second: of second"} <= set(told.lines)
    output = io.StringIO()
    Console(width=80, file=output).print(report.render(content))
    lines = output.getvalue().splitlines()
    for name, times in (("parameters", 2), ("first (yours)", 1), ("second (yours)", 1)):
        assert sum(name in line for line in lines) == times
