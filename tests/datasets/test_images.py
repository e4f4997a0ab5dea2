import numpy as np
import pytest
from PIL import Image

from analognas.datasets.images import EXTENSIONS, decode, inspect
from analognas.errors import DatasetError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "image.png"


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("extension", [e for e in EXTENSIONS if e not in (".pgm", ".pbm")])
def test_every_format(tmp_path, extension):
    file = tmp_path / f"image{extension}"
    Image.new("RGB", (6, 4), (200, 100, 0)).save(file)
    assert inspect(file)[0] == (6, 4)
    pixels = decode(file, 3, 4, 6)
    assert pixels.shape == (3, 4, 6)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), [200, 100, 0], atol=3)


def test_pixels_are_kept_channel_first(file):
    array = noise(4, 6, 3)
    Image.fromarray(array).save(file)
    assert inspect(file) == ((6, 4), False)
    np.testing.assert_array_equal(decode(file, 3, 4, 6), array.transpose(2, 0, 1))


def test_grey(file):
    array = noise(4, 6)
    Image.fromarray(array).save(file)
    assert inspect(file) == ((6, 4), True)
    np.testing.assert_array_equal(decode(file, 1, 4, 6), array[None])
    np.testing.assert_array_equal(decode(file, 3, 4, 6), np.stack([array] * 3))


def test_black_and_white(file):
    Image.new("1", (3, 3), 1).save(file)
    assert inspect(file)[1]
    assert (decode(file, 1, 3, 3) == 255).all()


@pytest.mark.parametrize("extension", [".png", ".tiff", ".pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, extension):
    file = tmp_path / f"image{extension}"
    Image.fromarray(np.array([[0, 256], [32768, 65535]], dtype=np.uint16)).save(file)
    assert inspect(file)[1]
    assert decode(file, 1, 2, 2).tolist() == [[[0, 1], [128, 255]]]


def test_32_bits_are_bytes_if_they_are_within(tmp_path):
    file = tmp_path / "image.tiff"
    for values, expected in (
        ([0, 9, 255], [0, 9, 255]),
        ([-5, 9, 300], [0, 0, 1]),
        ([0, 32768, 70_000], [0, 128, 255]),
    ):
        Image.fromarray(np.array([values], dtype=np.int32)).save(file)
        assert decode(file, 1, 1, 3).tolist() == [[expected]]


@pytest.mark.parametrize("extension", [".png", ".tiff", ".pgm"])
def test_a_dark_image_of_16_bits_stays_dark(tmp_path, extension):
    file = tmp_path / f"image{extension}"
    Image.fromarray(np.array([[0, 255]], dtype=np.uint16)).save(file)
    assert decode(file, 1, 1, 2).tolist() == [[[0, 0]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(file, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.convert(mode).save(file)
    assert decode(file, 1, 1, 2).tolist() == [[[255, 0]]]


def test_transparent_palette(tmp_path):
    file = tmp_path / "image.png"
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 10, 10, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(file, transparency=b"\x00\xff")
    assert decode(file, 3, 1, 2)[0].tolist() == [[255, 0]]


def test_orientation_of_photographs(tmp_path):
    file = tmp_path / "photo.jpg"
    image = Image.new("RGB", (16, 8))
    image.paste((255, 255, 255), (0, 0, 8, 8))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    image.save(file, exif=exif, quality=100)
    assert inspect(file)[0] == (8, 16)
    pixels = decode(file, 1, 16, 8)[0]
    assert pixels[:7].min() > 250
    assert pixels[9:].max() < 5


def test_first_frame_of_an_animation(tmp_path):
    file = tmp_path / "image.gif"
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    frames[0].save(file, save_all=True, append_images=frames[1:])
    assert decode(file, 3, 2, 2)[:, 0, 0].tolist() == [255, 0, 0]


def test_shrinking_averages(file):
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(checkers.astype(np.uint8)).save(file)
    np.testing.assert_allclose(decode(file, 1, 8, 8), 127.5, atol=3)


def test_size_is_height_then_width(file):
    Image.new("RGB", (30, 20)).save(file)
    assert decode(file, 3, 5, 7).shape == (3, 5, 7)


def test_damaged_images_are_named(tmp_path):
    for name in ("a.png", "b.jpg", "c.gif", "d.bmp", "e.webp", "f.tiff"):
        file = tmp_path / name
        Image.fromarray(noise(40, 40, 3)).save(file)
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", b"no image"):
            file.write_bytes(damaged)
            with pytest.raises(DatasetError, match=rf"{name} cannot be read as an image \(.*remove or replace"):
                decode(file, 3, 40, 40)


def test_floating_point_pixels(tmp_path):
    file = tmp_path / "image.tiff"
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(file)
    with pytest.raises(DatasetError, match=r"image.tiff .*floating-point"):
        decode(file, 1, 2, 2)


def test_other_formats_are_not_opened(tmp_path):
    file = tmp_path / "image.png"  # Pillow would start another program for this one
    Image.new("RGB", (2, 2)).save(file, format="EPS")
    with pytest.raises(DatasetError, match="cannot be read as an image"):
        inspect(file)
