"""Draws orchestrator/icon.png, the icon of the C# packages: steps on a line, 128 pixels square.

Run it as `python scripts/draw_icon.py`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ICON: Final = Path(__file__).parents[1] / "orchestrator" / "icon.png"
SIDE: Final = 128
_GROUND, _LINE, _STEP = (24, 52, 92), (122, 162, 214), (255, 255, 255)
_STEPS: Final = (28, 64, 100)
"""The middles of the steps, in pixels from the left and from the top, as all lengths here."""
_HALF_STEP, _HALF_LINE = 11, 3


def pixel(x: int, y: int) -> tuple[int, int, int]:
    """The colour of a place: a step, the line from one to the next, or the ground."""
    if any(abs(x - middle) <= _HALF_STEP and abs(y - middle) <= _HALF_STEP for middle in _STEPS):
        return _STEP
    across = any(abs(y - row) <= _HALF_LINE and row <= x <= row + 36 for row in _STEPS[:-1])
    down = any(abs(x - column) <= _HALF_LINE and column - 36 <= y <= column for column in _STEPS[1:])
    return _LINE if across or down else _GROUND


def rows() -> Iterator[bytes]:
    """The lines of the picture, each behind its filter, which is none."""
    for y in range(SIDE):
        yield b"\0" + bytes(part for x in range(SIDE) for part in pixel(x, y))


def drawn() -> bytes:
    """The PNG (RFC 2083): 8 bits a channel, red, green, blue."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows()), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    ICON.write_bytes(drawn())
