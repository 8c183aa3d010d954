import struct
import zlib

import cv2
import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from processing_service.domains.postprocessing.image_files import decode, encode
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array, to_array

SETTINGS = PostprocessingSettings()
NOISE = np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def file_of(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, image[:, :, ::-1] if image.shape[2:] == (3,) else image, options)[1].tobytes()


def pixels_of(data: bytes, **fields: int) -> np.ndarray:
    return to_array(decode(pb.DecodeOperation(image_bytes=data, **fields), SETTINGS).image, "image")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, *, colour: int = 2, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced)
    compressed = zlib.compress(data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_pixels_are_red_green_blue(suffix):
    """A lossless file gives its very pixels, red first."""
    result = decode(pb.DecodeOperation(image_bytes=file_of(suffix, NOISE)), SETTINGS)

    assert (result.width, result.height) == (60, 40)
    assert np.array_equal(to_array(result.image, "image"), NOISE)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_compressed_photographs_are_decoded(suffix):
    """JPEG and WebP give nearly the pixels that went in."""
    image = cv2.GaussianBlur(NOISE, (0, 0), 6)

    assert np.abs(pixels_of(file_of(suffix, image)).astype(int) - image).mean() < 6


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(NOISE[:, :, 0], id="grey"),
        pytest.param(NOISE.astype(np.uint16) * 257, id="16 bits"),
    ],
)
def test_other_pixels_become_three_bytes(image):
    """Grey and 16-bit images come as UINT8 [height, width, 3] too."""
    assert pixels_of(file_of(".png", image)).shape == (40, 60, 3)


def test_transparent_parts_become_white():
    """Ink on a clear ground stays ink on white; half clear becomes half white."""
    layered = np.zeros((1, 3, 4), np.uint8)
    layered[0, :, 3] = (255, 0, 128)

    assert pixels_of(file_of(".png", layered))[0, :, 0].tolist() == [0, 255, 127]


def test_a_photograph_is_turned_upright():
    """EXIF orientation 6 turns the stored pixels by 90 degrees."""
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = file_of(".jpg", cv2.GaussianBlur(NOISE, (0, 0), 6))
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]

    assert pixels_of(data).shape == (60, 40, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", ErrorReason.ERROR_REASON_FIELD_REQUIRED, id="empty"),
        pytest.param(b"GIF89a" + bytes(40), ErrorReason.ERROR_REASON_IMAGE_INVALID, id="another format"),
        pytest.param(b"%PDF-1.7 and so on", ErrorReason.ERROR_REASON_IMAGE_INVALID, id="not an image"),
        pytest.param(
            png(40_000, 25_000, bytes(1000)), ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE, id="claims 10^9 pixels"
        ),
        pytest.param(png(40_000, 1, bytes(120_001)), ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE, id="too wide"),
        pytest.param(png(0, 10, b""), ErrorReason.ERROR_REASON_IMAGE_INVALID, id="no pixel"),
        pytest.param(png(60, 40, bytes(99)), ErrorReason.ERROR_REASON_IMAGE_INVALID, id="pixels are missing"),
    ],
)
def test_bad_files_are_refused(data, reason):
    """What is no image, damaged or too large is an error that names the field."""
    with pytest.raises(CoordinatorError) as caught:
        decode(pb.DecodeOperation(image_bytes=data), SETTINGS)

    assert caught.value.reason == reason
    assert caught.value.violations[0].field_path == "decode.image_bytes"


def test_limits_are_the_smaller_of_the_callers_and_the_servers():
    """A caller can lower the limit on pixels, not raise it; encoded bytes have a limit of their own."""
    data = file_of(".png", NOISE)
    for operation, limits in (
        (pb.DecodeOperation(image_bytes=data, max_pixels=2399), SETTINGS),
        (pb.DecodeOperation(image_bytes=data, max_pixels=10**9), PostprocessingSettings(max_pixels=2399)),
        (pb.DecodeOperation(image_bytes=data), PostprocessingSettings(max_image_bytes=len(data) - 1)),
    ):
        with pytest.raises(CoordinatorError) as caught:
            decode(operation, limits)

        assert caught.value.reason == ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [
        *(
            pytest.param(file_of(suffix, cv2.GaussianBlur(NOISE[:16, :16], (0, 0), 4)), id=suffix)
            for suffix in (".png", ".jpg", ".webp", ".bmp")
        ),
        pytest.param(png(8, 8, bytes(8 * 4 * 25 // 4), colour=2, interlaced=1), id="interlaced"),
    ],
)
def test_a_file_cut_short_is_never_an_image(data):
    """Wherever a file is cut, it is refused; the whole file is not."""
    for length in range(1, len(data) - 1):
        with pytest.raises(CoordinatorError) as caught:
            decode(pb.DecodeOperation(image_bytes=data[:length]), SETTINGS)

        assert caught.value.reason == ErrorReason.ERROR_REASON_IMAGE_INVALID


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([file_of(suffix, NOISE[:12, :12]) for suffix in (".png", ".jpg", ".webp", ".bmp", ".tiff")]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_files_are_images_or_errors(data, changes):
    """Whatever bytes change, the answer is pixels within the limits or an error that names the field."""
    damaged = bytearray(data)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        result = decode(pb.DecodeOperation(image_bytes=bytes(damaged), max_pixels=100_000), SETTINGS)
    except CoordinatorError as error:
        answer = error.violations[0].field_path
    else:
        answer = "pixels" if 0 < result.width * result.height <= 100_000 else "too many pixels"

    assert answer in ("pixels", "decode.image_bytes")


@pytest.mark.parametrize(
    ("image_format", "media_type", "magic"),
    [
        (pb.IMAGE_FORMAT_UNSPECIFIED, "image/png", b"\x89PNG"),
        (pb.IMAGE_FORMAT_PNG, "image/png", b"\x89PNG"),
        (pb.IMAGE_FORMAT_JPEG, "image/jpeg", b"\xff\xd8"),
        (pb.IMAGE_FORMAT_WEBP, "image/webp", b"RIFF"),
    ],
)
def test_images_are_written_in_each_format(image_format, media_type, magic):
    """The file has its media type, and decodes to the size that went in."""
    file = encode(pb.EncodeOperation(image=from_array(NOISE), image_format=image_format), SETTINGS).file

    assert file.media_type == media_type
    assert file.inline_bytes.startswith(magic)
    assert pixels_of(file.inline_bytes).shape == NOISE.shape


def test_a_png_keeps_every_pixel():
    """Encoding and decoding a PNG changes nothing."""
    file = encode(pb.EncodeOperation(image=from_array(NOISE)), SETTINGS).file

    assert np.array_equal(pixels_of(file.inline_bytes), NOISE)


def test_quality_makes_files_smaller():
    """Less quality is fewer bytes."""
    best, worst = (
        encode(
            pb.EncodeOperation(image=from_array(NOISE), image_format=pb.IMAGE_FORMAT_JPEG, quality=quality), SETTINGS
        ).file
        for quality in (95, 10)
    )

    assert len(worst.inline_bytes) < len(best.inline_bytes)


@pytest.mark.parametrize(
    ("operation", "field_path"),
    [
        (pb.EncodeOperation(image=from_array(NOISE), quality=101), "encode.quality"),
        (pb.EncodeOperation(image=from_array(NOISE), image_format=17), "encode.image_format"),
        (pb.EncodeOperation(image=from_array(NOISE.astype(np.float32))), "encode.image"),
        (pb.EncodeOperation(image=from_array(NOISE[:, :, 0])), "encode.image"),
        (pb.EncodeOperation(image=from_array(NOISE[:0])), "encode.image"),
        (
            pb.EncodeOperation(image=from_array(np.zeros((1, 16_384, 3), np.uint8)), image_format=pb.IMAGE_FORMAT_WEBP),
            "encode.image",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(operation, field_path):
    """Each refusal names its field."""
    with pytest.raises(CoordinatorError) as caught:
        encode(operation, SETTINGS)

    assert caught.value.violations[0].field_path == field_path


def test_a_result_that_no_message_carries_is_refused():
    """Decoded pixels above the limit on results are RESOURCE_EXHAUSTED, with both numbers."""
    with pytest.raises(CoordinatorError) as caught:
        decode(pb.DecodeOperation(image_bytes=file_of(".png", NOISE)), PostprocessingSettings(max_result_bytes=7199))

    assert caught.value.reason == ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE
    assert caught.value.metadata == {"size_bytes": "7200", "limit_bytes": "7199"}
