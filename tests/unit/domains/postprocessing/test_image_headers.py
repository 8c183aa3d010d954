import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing_service.domains.postprocessing.image_headers import ImageHeader, read_header

PAGE = np.full((30, 50, 3), 200, np.uint8)


def encode(suffix: str, image: np.ndarray = PAGE, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        (".png", "image/png"),
        (".jpg", "image/jpeg"),
        (".webp", "image/webp"),
        (".bmp", "image/bmp"),
        (".tiff", "image/tiff"),
    ],
)
def test_the_size_stands_in_the_header(suffix, media_type):
    """Width and height of each format are read without decoding."""
    header = read_header(encode(suffix))

    assert (header.media_type, header.width, header.height) == (media_type, 50, 30)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 50)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    ],
)
def test_variants_of_a_format_are_read(suffix, options):
    """Progressive JPEG, lossy and lossless WebP have their sizes in other places."""
    noise = np.random.default_rng(1).integers(0, 255, (33, 77, 3), dtype=np.uint8)

    header = read_header(encode(suffix, noise, *options))

    assert (header.width, header.height) == (77, 33)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_told(suffix):
    """An image with an alpha channel says so in its header."""
    layered = np.random.default_rng(1).integers(0, 255, (8, 8, 4), dtype=np.uint8)

    assert read_header(encode(suffix, layered)).has_alpha
    assert not read_header(encode(suffix)).has_alpha


def test_a_bitmap_from_top_to_bottom_has_a_positive_height():
    """BMP stores top-down images with a negative height."""
    data = bytearray(encode(".bmp"))
    data[22:26] = struct.pack("<i", -30)

    assert read_header(bytes(data)) == ImageHeader("image/bmp", 50, 30)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        pytest.param(258, 64, id="64 bits a sample"),
        pytest.param(277, 200, id="200 samples a pixel"),
    ],
)
def test_a_tiff_that_takes_more_memory_than_its_pixels_say_is_refused(tag, value):
    """Samples that no page has would multiply the memory of a picture."""
    entries = struct.pack("<HHIHHI", 256, 3, 1, 50, 0, 257) + struct.pack("<HIHH", 3, 1, 30, 0)
    directory = struct.pack("<H", 3) + entries + struct.pack("<HHIHH", tag, 3, 1, value, 0)

    assert read_header(b"II*\0" + struct.pack("<I", 8) + directory) is None


def test_a_tile_larger_than_the_image_counts():
    """Memory is taken by the tile, so the tile's size is the one that is bounded."""
    sides = [(256, 50), (257, 30), (322, 60_000), (323, 60_000)]
    directory = struct.pack(">H", 4) + b"".join(struct.pack(">HHII", tag, 4, 1, side) for tag, side in sides)

    assert read_header(b"MM\0*" + struct.pack(">I", 8) + directory) == ImageHeader("image/tiff", 60_000, 60_000)


@given(
    st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF", b"BM", b"II*\0", b"MM\0*"]
    ),
    st.binary(max_size=80),
)
def test_no_bytes_break_the_reader(magic, rest):
    """Whatever follows a magic number, the answer is a header with an area, or none."""
    header = read_header(magic + rest)

    assert header is None or (header.width > 0 and header.height > 0)
