from analognas.datasets.audio import RATE, Features
from analognas.datasets.sounds import Sounds


def sounds(*rows):
    kept = Sounds.empty(len(rows))
    for index, row in enumerate(rows):
        kept.put(index, *row)
    return kept


def test_lengths():
    kept = sounds((8_000, 1, RATE // 2), (8_000, 1, RATE), (44_100, 2, RATE * 2))
    assert kept.lengths(Features()) == (
        "0.50 to 2.00 s at 8,000 Hz, 44,100 Hz, 1/2 channels averaged; as 1 s at 16,000 Hz, 49 windows of 10, "
        "1 filled up with silence, 1 cut to their loudest stretch"
    )
    assert sounds((RATE, 1, RATE)).lengths(Features("log-mel")) == (
        "1.00 to 1.00 s at 16,000 Hz; as 1 s at 16,000 Hz, 49 windows of 40"
    )


def test_many_rates():
    kept = sounds(*((rate, 1, RATE) for rate in (8_000, 11_025, 22_050, 44_100, 48_000, 48_000)))
    assert " at 48,000 Hz, 8,000 Hz, 11,025 Hz and 2 other rates; " in kept.lengths(Features())
