import numpy as np
import pytest

from analognas.datasets import audio
from analognas.datasets.audio import RATE, Features, cut, resample


def tone(hertz, seconds=1.0, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_what_is_too_high_for_the_rate_is_filtered_out():
    assert np.abs(resample(tone(12_000, rate=48_000), 48_000)[1_000:-1_000]).max() < 0.01


def test_short_recordings_get_silence_on_both_sides():
    np.testing.assert_array_equal(cut(np.ones(3), 8), [0, 0, 1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(cut(np.ones(3), 3), np.ones(3))


def test_of_long_ones_the_loudest_stretch_is_taken():
    long = np.concatenate([tone(300, 1.0, level=0.01), tone(500, 1.0), tone(300, 1.5, level=0.01)])
    np.testing.assert_array_equal(cut(long, RATE), long[RATE : 2 * RATE])


@pytest.mark.parametrize(
    ("features", "shape"),
    [
        (Features(), (49, 10)),
        (Features("log-mel"), (49, 40)),
        (Features("log-mel", 2.0), (99, 40)),
        (Features("log-mel", size=64), (64, 64)),
        (Features("mfcc", 0.1, 64), (64, 64)),
        (Features("mfcc", size=32), (32, 32)),
        (Features("log-mel", 0.5, 4), (4, 4)),
    ],
)
def test_shapes(features, shape):
    assert features.shape == shape
    image = features(tone(1_000, 0.7))
    assert image.shape == shape
    assert image.dtype == np.uint8


def test_a_tone_lights_up_its_band():
    features = Features("log-mel")
    edges = np.linspace(audio._mel(20), audio._mel(4_000), 42)
    for hertz in (300, 1_000, 3_000):
        image = features(tone(hertz))
        expected = np.argmin(np.abs(edges[1:-1] - audio._mel(hertz)))
        assert abs(int(image[20].argmax()) - expected) <= 1


def test_the_loudest_is_the_top_and_50_decibels_below_it_the_bottom():
    features = Features("log-mel")
    steps = [features(np.concatenate([tone(1_000, 0.5), tone(1_000, 0.5, level=0.5 * share)])) for share in (0.1, 0.01)]
    assert [image.max() for image in steps] == [255, 255]
    assert [int(image[40].max()) for image in steps] == [153, 51]  # 20 and 40 dB of 50
    assert not features(np.concatenate([tone(1_000, 0.5), tone(1_000, 0.5, level=1e-4)]))[30:].any()
    assert not features(np.zeros(RATE)).any()


@pytest.mark.parametrize("kind", audio.KINDS)
def test_loudness_does_not_matter(kind):
    hiss = np.random.default_rng(0).normal(size=RATE)
    np.testing.assert_array_equal(Features(kind)(hiss * 0.02), Features(kind)(hiss * 0.2))


def test_next_to_nothing_is_not_amplified():
    image = Features("log-mel")(tone(1_000, level=1e-5))
    assert 0 < image.max() < 100


def test_time_goes_downwards():
    late = np.concatenate([np.zeros(RATE // 2), tone(1_000, 0.5)])
    image = Features("log-mel")(late)
    assert image[:23].max() < image[27:].max() / 2


def test_the_first_coefficient_is_the_level_and_the_others_the_shape():
    hiss = np.random.default_rng(0).normal(size=RATE) * 0.1
    falling = Features()(hiss * np.linspace(1, 0.1, RATE))[:, 0].astype(int)
    assert falling[0] - falling[48] == pytest.approx(102, abs=5)  # 20 of 50 dB
    low, high = (Features()(tone(hertz))[20].astype(int) for hertz in (300, 3_000))
    assert low[1] > 140  # more energy below than above
    assert high[1] < 115


def test_seconds_are_looked_at():
    loud_at_the_end = np.concatenate([np.zeros(RATE), tone(500, 0.2)])
    assert Features("log-mel", 0.2)(loud_at_the_end).max(axis=1).min() > 100
