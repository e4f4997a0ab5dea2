"""WAV files as programs write them: into pipes, with odd headers, with chunks beside the sound.

The chunks are found here, because headers say what is not so: a program that writes into a pipe cannot go back to
write how long the sound became, and puts 0, 0xFFFFFFFF or the largest size it knows. What is found is given to SciPy
as a WAV file with a plain header.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analognas.errors import ContentError

MIN_RATE, MAX_RATE = 1_000, 400_000

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODINGS = {
    2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC",
    0x674F: "Ogg Vorbis", 0xF1AC: "FLAC",
}  # fmt: skip
_OTHERS = (
    (b"fLaC", "FLAC"), (b"OggS", "Ogg"), (b"ID3", "MP3"), (b"FORM", "AIFF"), (b".snd", "AU"), (b"riff", "Wave64"),
    (b"caff", "Core Audio"), (b"\xff\xfb", "MP3"), (b"\xff\xf3", "MP3"), (b"#!AMR", "AMR"), (b"\x1aE\xdf\xa3", "WebM"),
)  # fmt: skip
_OPEN = 0x7FFF0000
"""Sizes from here on are placeholders if the file is smaller: programs take about 2**31 or 2**32."""
_LONG = 0xFFFFFFFF


class Sound(NamedTuple):
    """What a WAV file holds: the mean of its channels, -1 to 1, (samples,); samples per second; how many channels."""

    wave: npt.NDArray[np.float64]
    rate: int
    channels: int


class _Format(NamedTuple):
    """The ``fmt`` chunk: what codes the sound, and how many bytes a moment (all channels) takes."""

    tag: int
    channels: int
    rate: int
    frame: int
    bits: int


def read(data: bytes) -> Sound:
    """Return the sound of a WAV file (RIFF, RIFX or RF64).

    Integers of 8 to 64 bits and floating-point numbers, of any rate from 1 to 400 kHz. Raises ``ValueError`` with the
    reason, in plain words, if the file is damaged, cut short, empty or in another format.
    """
    order = _order(data)
    form, sound = _parts(data, order)
    whole = len(sound) - len(sound) % form.frame
    if not whole:
        raise ContentError("it holds no sound")
    samples = _samples(form, sound[:whole], order)
    wave = to_unit(samples)
    if not np.isfinite(wave).all():
        raise ContentError("it holds samples that are not finite")
    if wave.ndim == 2:
        wave = wave.mean(axis=1)
    return Sound(wave, form.rate, form.channels)


def _order(data: bytes) -> str:
    """Return the order of bytes in a WAV file as ``struct`` calls it."""
    other = next((name for start, name in _OTHERS if data.startswith(start)), None)
    if other is None and data[4:8] == b"ftyp":
        other = "MPEG-4"
    if other is not None:
        raise ContentError(f"it is a file of {other}, whatever its name says; convert it to WAV")
    if not data:
        raise ContentError("it is empty")
    if data[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64") or data[8:12] != b"WAVE":
        raise ContentError("it is no WAV file")
    return ">" if data[:4] == b"RIFX" else "<"


def _parts(data: bytes, order: str) -> tuple[_Format, bytes]:
    """Return the format and the bytes of the sound."""
    form: _Format | None = None
    sound: bytes | None = None
    long = None  # the length that a file of more than 4 GB gives
    for name, start, size in _chunks(data, order):
        content = data[start : start + size]
        if name == b"ds64" and len(content) >= 16:
            long = struct.unpack("<Q", content[8:16])[0] or None  # 0: written into a pipe
        elif name == b"fmt ":
            form = _format(content, order)
        elif name == b"data":
            size = long if size == _LONG and long is not None else size
            if size > len(data) - start and not (size >= _OPEN and long is None):
                raise ContentError(f"it is cut short: {len(data) - start:,} of {size:,} bytes of sound are there")
            sound = data[start : start + size]
    if form is None:
        raise ContentError("it is cut short: its header does not say how the sound is coded")
    if sound is None:
        raise ContentError("it is cut short: there is no sound behind its header")
    return form, sound


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and size of every chunk; the size of sound that was written into a pipe is what there is."""
    declared = struct.unpack(f"{order}I", data[4:8])[0]
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], struct.unpack(f"{order}I", data[place + 4 : place + 8])[0]
        start = place + 8
        if name == b"data" and size == 0 and (declared >= _OPEN or declared + 8 <= start):
            size = len(data) - start
        yield name, start, size
        place = start + size
        if size % 2 and not (_is_name(data[place : place + 4]) and not _is_name(data[place + 1 : place + 5])):
            place += 1  # chunks begin at even places, though some programs forget it


def _is_name(four: bytes) -> bool:
    return len(four) == 4 and four.isascii() and four.decode("ascii").isprintable()


def _format(content: bytes, order: str) -> _Format:
    if len(content) < 16:
        raise ContentError("its header is damaged")
    tag, channels, rate, _, frame, bits = struct.unpack(f"{order}HHIIHH", content[:16])
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = struct.unpack(f"{order}H", content[24:26])[0]  # the first bytes of the coding's GUID
    if tag not in (_PCM, _FLOAT):
        coding = _CODINGS.get(tag, f"format {tag:#06x}")
        raise ContentError(f"its sound is coded as {coding}; convert it to PCM")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ContentError(f"its rate is {rate} samples per second; {MIN_RATE:,} to {MAX_RATE:,} are read")
    frame = frame or channels * ((bits + 7) // 8)
    width = frame // channels if channels else 0
    if tag == _FLOAT:
        fits = width * 8 == bits in (32, 64)
    else:
        fits = width == (bits + 7) // 8 == 1 or 8 < bits <= width * 8 <= 64
    if not fits or frame % channels:
        raise ContentError(f"its header is damaged: {channels} channels of {bits} bits in {frame} bytes")
    return _Format(tag, channels, rate, frame, bits)


def _samples(form: _Format, sound: bytes, order: str) -> np.ndarray[Any, Any]:
    """Return the samples, (N,) or (N, channels), as SciPy reads them behind a plain header."""
    from scipy.io import wavfile

    fields = (form.tag, form.channels, form.rate, form.rate * form.frame & _LONG, form.frame, form.bits)
    header = b"fmt " + struct.pack(f"{order}IHHIIHH", 16, *fields)
    header += b"data" + struct.pack(f"{order}I", len(sound))
    file = (b"RIFX" if order == ">" else b"RIFF") + struct.pack(f"{order}I", 4 + len(header) + len(sound)) + b"WAVE"
    try:
        _, samples = wavfile.read(io.BytesIO(file + header + sound))
    except Exception as error:  # whatever it does not like is no plain WAV file
        raise ContentError("its header does not fit its sound") from error
    return samples  # type: ignore[no-any-return]


def to_unit(samples: np.ndarray[Any, Any]) -> npt.NDArray[np.float64]:
    """Return samples of any type as double precision, full scale 1."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    unit: npt.NDArray[np.float64] = samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)
    return unit
