import pytest

from analognas.training.columns import time_label


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0, "0s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "60s"),
        (3600, "1h"),
        (86400, "1d"),
        (604800, "7d"),
        (2592000, "30d"),
    ],
)
def test_times_have_names(seconds: float, label: str):
    assert time_label(seconds) == label
