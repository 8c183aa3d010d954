"""Sizes of image files, read from their headers before a pixel is decoded.

Decoders believe what a header says: a file of a hundred bytes can claim 10^9 pixels. Layouts are those of PNG (W3C),
JPEG (ITU T.81 annex B), WebP (RFC 9649), BMP (the BITMAPINFOHEADER family) and TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_ALPHA: Final = (4, 6)
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_ENDS: Final = frozenset({0xD9, 0xDA})

# Tags of a TIFF directory, and the struct letter of each field type that such a tag can have.
_TIFF_SIDES: Final = {256: "width", 257: "height", 322: "width", 323: "height"}
_TIFF_TYPES: Final = {1: "B", 3: "H", 4: "I"}

# Most bits a sample and samples a pixel: more is no page, but memory all the same.
_TIFF_MOST: Final = {258: 16, 277: 4}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes of an image file say; sides in pixels, as stored."""

    media_type: str
    width: int
    height: int
    has_alpha: bool = False


def read_header(data: bytes) -> ImageHeader | None:
    """The header of a PNG, JPEG, WebP, BMP or TIFF file; None if it is none of them or damaged."""
    for magic, reader in _READERS:
        if data.startswith(magic):
            try:
                header = reader(data)
            except (struct.error, IndexError):
                return None
            return header if header and header.width > 0 and header.height > 0 else None
    return None


def _read_png(data: bytes) -> ImageHeader | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return ImageHeader("image/png", width, height, has_alpha=data[25] in _PNG_ALPHA)


def _read_jpeg(data: bytes) -> ImageHeader | None:
    position = 2
    while data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return ImageHeader("image/jpeg", width, height)
        if marker in _JPEG_ENDS:
            return None
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_LONE:
            position += 2
        else:
            position += 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])
    return None


def _read_webp(data: bytes) -> ImageHeader | None:
    if data[8:12] != b"WEBP":
        return None
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("image/webp", width & 0x3FFF, height & 0x3FFF)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        alpha = bool(bits >> 28 & 1)
        return ImageHeader("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, alpha)
    if chunk == b"VP8X":
        flags, *sides = struct.unpack_from("<B3xHBHB", data, 20)
        width, height = sides[0] + (sides[1] << 16) + 1, sides[2] + (sides[3] << 16) + 1
        return ImageHeader("image/webp", width, height, has_alpha=bool(flags & 0x10))
    return None


def _read_bmp(data: bytes) -> ImageHeader | None:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return ImageHeader("image/bmp", width, abs(height))


def _read_tiff(data: bytes) -> ImageHeader | None:
    sides = {"width": 0, "height": 0}
    for tag, values in _read_directory(data, "<" if data[:2] == b"II" else ">"):
        if tag in _TIFF_SIDES:
            # A tile larger than the image is memory too; of a repeated tag the largest counts.
            sides[_TIFF_SIDES[tag]] = max(sides[_TIFF_SIDES[tag]], *values)
        elif max(values) > _TIFF_MOST.get(tag, max(values)):
            return None
    return ImageHeader("image/tiff", sides["width"], sides["height"])


def _read_directory(data: bytes, order: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    (offset,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, offset)
    for entry in range(offset + 2, offset + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        letter = _TIFF_TYPES.get(kind)
        if letter is None or not 0 < count <= _TIFF_MOST[277]:
            if tag in _TIFF_SIDES or tag in _TIFF_MOST:
                raise struct.error("a tag of a type or count that it cannot have")
            continue
        layout = f"{order}{count}{letter}"
        place = entry + 8 if struct.calcsize(layout) <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
        yield tag, struct.unpack_from(layout, data, place)


_READERS: Final[tuple[tuple[bytes, Callable[[bytes], ImageHeader | None]], ...]] = (
    (_PNG, _read_png),
    (b"\xff\xd8\xff", _read_jpeg),
    (b"RIFF", _read_webp),
    (b"BM", _read_bmp),
    (b"II*\0", _read_tiff),
    (b"MM\0*", _read_tiff),
)
