import contextlib
import io
import struct
import wave as wave_module

import numpy as np
import pytest
from scipy.io import wavfile

from analognas.datasets.audio import RATE, resample
from analognas.datasets.wav import read


def tone(hertz, seconds=1.0, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def wav(samples, rate=RATE):
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


def wav_24(samples, rate=RATE):
    file = io.BytesIO()
    with wave_module.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(3)
        out.setframerate(rate)
        integers = np.round(samples * (2**23 - 1)).astype("<i4")
        out.writeframes(integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return file.getvalue()


def chunk(name, content, size=None, order="<"):
    return name + struct.pack(f"{order}I", len(content) if size is None else size) + content


def form(tag=1, channels=1, rate=RATE, bits=16, frame=None, more=b"", order="<"):
    frame = channels * bits // 8 if frame is None else frame
    return chunk(b"fmt ", struct.pack(f"{order}HHIIHH", tag, channels, rate, 0, frame, bits) + more, order=order)


def riff(*chunks, size=None, start=b"RIFF", order="<"):
    inside = b"WAVE" + b"".join(chunks)
    return start + struct.pack(f"{order}I", len(inside) if size is None else size) + inside


EXACT = tone(440)
SHORT = np.round(EXACT * 32767).astype("<i2")
SOUND = SHORT.tobytes()
GUID = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"


def assert_whole(data, expected=SHORT / 32768):
    np.testing.assert_allclose(read(data).wave, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (wav(np.round(EXACT * 127 + 128).astype(np.uint8)), 0.01),
        (wav(np.round(EXACT * 32767).astype(np.int16)), 1e-4),
        (wav_24(EXACT), 1e-6),
        (wav(np.round(EXACT * (2**31 - 1)).astype(np.int32)), 1e-8),
        (wav(EXACT.astype(np.float32)), 1e-7),
        (wav(EXACT), 1e-15),
    ],
)
def test_every_width(data, tolerance):
    sound = read(data)
    assert (sound.rate, sound.channels, sound.wave.dtype) == (RATE, 1, np.float64)
    np.testing.assert_allclose(sound.wave, EXACT, atol=tolerance)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_every_rate_sounds_the_same(rate):
    sound = read(wav((tone(1_000, rate=rate) * 32767).astype(np.int16), rate))
    assert sound.rate == rate
    wave = resample(sound.wave, rate)
    assert abs(len(wave) - RATE) <= 1
    middle = slice(4_000, 12_000)
    np.testing.assert_allclose(wave[middle], tone(1_000)[middle], atol=0.01)


def test_channels_are_averaged():
    both = np.column_stack([EXACT, -EXACT * 0.5])
    assert read(wav(both)).channels == 2
    np.testing.assert_allclose(read(wav(both)).wave, EXACT / 4, atol=1e-12)


@pytest.mark.parametrize(
    ("whole", "sound"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),  # FFmpeg
        (0x7FFFFFFF, 0x7FFF0000),  # SoX
        (0x80000024, 0x80000000),  # arecord
        (0, 0),  # GStreamer
        (36, 0),  # Python's wave, which knows no length yet
        (0xFFFFFFFF, 0),
        (0, None),  # the sound's own size is right
        (0xFFFFFFFF, None),
        (len(SOUND) + 44, None),  # a common mistake: 8 too many
    ],
)
def test_what_was_written_into_a_pipe_is_a_whole_recording(whole, sound):
    assert_whole(riff(form(), chunk(b"data", SOUND, sound), size=whole))


def test_a_pipe_with_chunks_before_the_sound_and_half_a_sample_at_its_end():
    assert_whole(riff(form(), chunk(b"LIST", b"INFO"), chunk(b"data", SOUND + b"x", 0xFFFFFFFF), size=0xFFFFFFFF))


@pytest.mark.parametrize("tag", [1, 3])
def test_extensible_headers(tag):
    samples = SHORT if tag == 1 else EXACT.astype("<f4")
    more = struct.pack("<HHIH", 22, 8 * samples.itemsize, 4, tag) + GUID
    data = riff(form(0xFFFE, bits=8 * samples.itemsize, more=more), chunk(b"data", samples.tobytes()))
    assert_whole(data, samples / 32768 if tag == 1 else samples)


def test_other_orders_and_lengths():
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(SOUND), len(SHORT), 0))
    long = riff(
        ds64, form(), chunk(b"data", SOUND, 0xFFFFFFFF), chunk(b"LIST", b"INFO"), size=0xFFFFFFFF, start=b"RF64"
    )
    assert_whole(long)
    big = SHORT.astype(">i2").tobytes()
    assert_whole(riff(form(order=">"), chunk(b"data", big, order=">"), start=b"RIFX", order=">"))


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(b"LIST", b"odd"), form(), chunk(b"data", SOUND)),  # without the byte that fills it up
        (chunk(b"LIST", b"odd") + b"\0", form(), chunk(b"data", SOUND)),
        (form(), chunk(b"fact", b"1234"), chunk(b"data", SOUND), chunk(b"bext", b"author")),
        (form(), chunk(b"data", SOUND), chunk(b"LIST", b"cut", 9_000)),
        (form(frame=0), chunk(b"data", SOUND)),
        (form(more=b"\0\0"), chunk(b"data", SOUND)),
    ],
)
def test_odd_headers(chunks):
    assert_whole(riff(*chunks))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"no sound at all", "it is no WAV file"),
        (riff()[:8], "it is no WAV file"),
        (b"fLaC\0\0\0\x22", "it is a file of FLAC, whatever its name says; convert it to WAV"),
        (b"ID3\3\0", "it is a file of MP3"),
        (b"\0\0\0\x20ftypM4A ", "it is a file of MPEG-4"),
        (wav(EXACT)[:30], "its header is damaged"),
        (wav(EXACT)[:16], "it is cut short: its header does not say"),
        (wav(SHORT)[:44], "cut short: 0 of 32,000 bytes of sound are there"),
        (wav(SHORT)[:40], "cut short: there is no sound behind its header"),
        (wav(SHORT)[:-1_000], "cut short: 31,000 of 32,000 bytes of sound are there"),
        (wav(np.empty(0, np.int16)), "no sound"),
        (riff(form(), chunk(b"data", b""), chunk(b"LIST", b"INFO")), "no sound"),
        (wav(np.array([np.nan, 0.0])), "not finite"),
        (wav(EXACT, 10), "its rate is 10 samples per second; 1,000 to 400,000 are read"),
        (riff(form(7, bits=8), chunk(b"data", SOUND)), "coded as mu-law; convert it to PCM"),
        (riff(form(0x4242), chunk(b"data", SOUND)), "coded as format 0x4242"),
        (riff(form(channels=0, frame=2), chunk(b"data", SOUND)), "its header is damaged: 0 channels of 16 bits"),
        (riff(form(bits=0, frame=2), chunk(b"data", SOUND)), "damaged: 1 channels of 0 bits in 2 bytes"),
        (riff(form(bits=16, frame=1), chunk(b"data", SOUND)), "damaged: 1 channels of 16 bits in 1 bytes"),
        (riff(form(3, bits=24), chunk(b"data", SOUND)), "damaged: 1 channels of 24 bits"),
        (riff(chunk(b"fmt ", b"short"), chunk(b"data", SOUND)), "its header is damaged"),
    ],
)
def test_damaged_or_foreign_files(data, message):
    with pytest.raises(ValueError, match=message):
        read(data)


def test_whatever_is_damaged_nobody_reads_words_of_python():
    whole = riff(form(), chunk(b"LIST", b"INFO"), chunk(b"data", SOUND[:400]))
    draws = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        for place in draws.integers(0, 60, 3):
            damaged[place] = draws.integers(0, 256)
        content = bytes(damaged[: draws.integers(0, len(damaged) + 1)])
        with contextlib.suppress(ValueError):
            read(content)
            continue
        with pytest.raises(ValueError, match=r"^its? (is|holds|header|rate|sound) "):
            read(content)
