import contextlib
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from analognas.datasets.images import EXTENSIONS, decode, inspect
from analognas.errors import DatasetError


def pixels_of(*arguments):
    return decode(*arguments).pixels


@pytest.fixture
def file(tmp_path):
    return tmp_path / "image.png"


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("extension", [e for e in EXTENSIONS if e not in (".pgm", ".pbm")])
def test_every_format(tmp_path, extension):
    file = tmp_path / f"image{extension}"
    kind = {".jif": "JPEG"}.get(extension)  # Pillow does not know this ending of it
    Image.new("RGB", (6, 4), (200, 100, 0)).save(file, kind)
    assert inspect(file)[0] == (6, 4)
    pixels = pixels_of(file, 3, 4, 6)
    assert pixels.shape == (3, 4, 6)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), [200, 100, 0], atol=4)


def test_pixels_are_kept_channel_first(file):
    array = noise(4, 6, 3)
    Image.fromarray(array).save(file)
    assert inspect(file) == ((6, 4), False)
    np.testing.assert_array_equal(pixels_of(file, 3, 4, 6), array.transpose(2, 0, 1))


def test_grey(file):
    array = noise(4, 6)
    Image.fromarray(array).save(file)
    assert inspect(file) == ((6, 4), True)
    np.testing.assert_array_equal(pixels_of(file, 1, 4, 6), array[None])
    np.testing.assert_array_equal(pixels_of(file, 3, 4, 6), np.stack([array] * 3))


def test_black_and_white(file):
    Image.new("1", (3, 3), 1).save(file)
    assert inspect(file)[1]
    assert (pixels_of(file, 1, 3, 3) == 255).all()


@pytest.mark.parametrize("extension", [".png", ".tiff", ".pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, extension):
    file = tmp_path / f"image{extension}"
    Image.fromarray(np.array([[0, 256], [32768, 65535]], dtype=np.uint16)).save(file)
    assert inspect(file)[1]
    assert pixels_of(file, 1, 2, 2).tolist() == [[[0, 1], [128, 255]]]


def test_32_bits_are_bytes_if_they_are_within(tmp_path):
    file = tmp_path / "image.tiff"
    for values, expected in (
        ([0, 9, 255], [0, 9, 255]),
        ([-5, 9, 300], [0, 0, 1]),
        ([0, 32768, 70_000], [0, 128, 255]),
    ):
        Image.fromarray(np.array([values], dtype=np.int32)).save(file)
        assert pixels_of(file, 1, 1, 3).tolist() == [[expected]]


@pytest.mark.parametrize("extension", [".png", ".tiff", ".pgm"])
def test_a_dark_image_of_16_bits_stays_dark(tmp_path, extension):
    file = tmp_path / f"image{extension}"
    Image.fromarray(np.array([[0, 255]], dtype=np.uint16)).save(file)
    assert pixels_of(file, 1, 1, 2).tolist() == [[[0, 0]]]


def test_what_is_known_of_more_than_8_bits(tmp_path):
    def picture(values, kind="png"):
        Image.fromarray(values).save(tmp_path / f"x.{kind}")
        return decode(tmp_path / f"x.{kind}", 1, 1, 2)

    assert picture(np.array([[0, 4095]], np.uint16)).peak == 4095
    assert picture(np.array([[7, 255]], np.int32), "tiff")[3:5] == (None, True)
    assert picture(np.array([[7, 256]], np.int32), "tiff")[3:5] == (256, False)
    assert picture(np.array([[7, 255]], np.uint8)).peak is None
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    for value, peak in ((200, 255), (0x1234, 0x12FF)):  # colours of 16 bits, which Pillow does not write
        content = zlib.compress(b"\0" + struct.pack(">6H", *[value] * 6))
        whole = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", content) + png_chunk(b"IEND", b"")
        (tmp_path / "x.png").write_bytes(whole)
        assert decode(tmp_path / "x.png", 3, 1, 2).peak == peak


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(file, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.convert(mode).save(file)
    assert pixels_of(file, 1, 1, 2).tolist() == [[[255, 0]]]


def test_transparent_palette(tmp_path):
    file = tmp_path / "image.png"
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 10, 10, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(file, transparency=b"\x00\xff")
    assert pixels_of(file, 3, 1, 2)[0].tolist() == [[255, 0]]


def test_orientation_of_photographs(tmp_path):
    file = tmp_path / "photo.jpg"
    image = Image.new("RGB", (16, 8))
    image.paste((255, 255, 255), (0, 0, 8, 8))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    image.save(file, exif=exif, quality=100)
    assert inspect(file)[0] == (8, 16)
    pixels = pixels_of(file, 1, 16, 8)[0]
    assert pixels[:7].min() > 250
    assert pixels[9:].max() < 5


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("kind", ["late", "early", "png", "jpg", "webp", "avif", "tiff"])
def test_orientation_wherever_it_stands(tmp_path, kind):
    image = Image.new("L", (64, 32))
    image.paste(255, (0, 0, 32, 32))  # left half white: turned clockwise it is on top
    extension = {"late": "png", "early": "png"}.get(kind, kind)
    file = tmp_path / f"image.{extension}"
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind in ("early", "tiff", "avif"):
        image.save(file, exif=exif)
    elif kind == "late":
        image.save(file)
        whole = file.read_bytes()
        file.write_bytes(whole[:-12] + png_chunk(b"eXIf", exif.tobytes()[6:]) + whole[-12:])
    elif kind == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        image.save(file, pnginfo=info)
    else:
        image.save(file, xmp=XMP.encode())
    if kind != "late":  # a header alone does not tell it
        assert inspect(file)[0] == (32, 64)
    picture = decode(file, 1, 64, 32)
    assert picture.pixels[0, :28].min() > 240
    assert picture.pixels[0, 36:].max() < 15
    assert picture.size == (32, 64)
    assert picture.turned


def test_first_frame_of_an_animation(tmp_path):
    file = tmp_path / "image.gif"
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    frames[0].save(file, save_all=True, append_images=frames[1:])
    assert pixels_of(file, 3, 2, 2)[:, 0, 0].tolist() == [255, 0, 0]


def test_shrinking_averages(file):
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(checkers.astype(np.uint8)).save(file)
    np.testing.assert_allclose(pixels_of(file, 1, 8, 8), 127.5, atol=3)


def test_size_is_height_then_width(file):
    Image.new("RGB", (30, 20)).save(file)
    assert pixels_of(file, 3, 5, 7).shape == (3, 5, 7)


def test_damaged_images_are_named(tmp_path):
    for name in ("a.png", "b.jpg", "c.gif", "d.bmp", "e.webp", "f.tiff"):
        file = tmp_path / name
        Image.fromarray(noise(40, 40, 3)).save(file)
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", b"no image"):
            file.write_bytes(damaged)
            with pytest.raises(DatasetError, match=rf"{name} cannot be read as an image \(.*remove or replace"):
                pixels_of(file, 3, 40, 40)


def test_floating_point_pixels(tmp_path):
    file = tmp_path / "image.tiff"
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(file)
    with pytest.raises(DatasetError, match=r"image.tiff .*floating-point"):
        pixels_of(file, 1, 2, 2)


def test_nobody_reads_words_of_python(tmp_path):
    whole = {}
    for name in ("a.png", "b.jpg", "c.gif", "d.bmp", "e.webp", "f.tiff", "g.ppm"):
        Image.fromarray(noise(20, 20, 3)).save(tmp_path / name)
        whole[name] = (tmp_path / name).read_bytes()
    told = (
        "it is of no format that is read here, or damaged", "it is damaged or cut short",
        "it has more pixels than any picture for this purpose", "its pixels are floating-point numbers",
    )  # fmt: skip
    draws = np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name, content in whole.items():
            for _ in range(40):
                damaged = bytearray(content)
                for place in draws.integers(0, 60, 3):
                    damaged[place] = draws.integers(0, 256)
                (tmp_path / name).write_bytes(damaged)
                with contextlib.suppress(DatasetError):
                    decode(tmp_path / name, 3, 20, 20)
                    continue
                with pytest.raises(DatasetError, match=rf"{name} cannot be read as an image \((?:{'|'.join(told)})\);"):
                    decode(tmp_path / name, 3, 20, 20)
    assert not caught
    with pytest.raises(DatasetError, match=r"none.png cannot be read as an image \(No such file or directory\)"):
        decode(tmp_path / "none.png", 3, 20, 20)


def test_other_formats_are_not_opened(tmp_path):
    file = tmp_path / "image.png"  # Pillow would start another program for this one
    Image.new("RGB", (2, 2)).save(file, format="EPS")
    with pytest.raises(DatasetError, match="cannot be read as an image"):
        inspect(file)
