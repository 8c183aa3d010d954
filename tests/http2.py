"""HTTP/2 by hand (RFC 9113), as far as tests look below gRPC: signs of life, and the frames that a reply is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
"""Kinds of frames."""
END_STREAM, END_HEADERS = 1, 4
"""Flags of HEADERS and DATA."""
ACK: Final = 1
"""Flag of PING."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Connection:
    """One connection; open it by `connected`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.farewell = b""
        """Why the server ended the connection, in its words; empty as long as it holds."""
        writer.write(_PREFACE)
        self._send(Frame(SETTINGS, 0, 0, b""))

    async def ping(self) -> bool:
        """Whether the server gave a sign of life, and did not end the connection."""
        self._send(Frame(PING, 0, 0, b"are you?"))
        try:
            while True:
                frame = await self._frame()
                if frame.kind == GOAWAY:
                    self.farewell = frame.payload[8:]
                    return False
                if (frame.kind, frame.flags) == (PING, ACK):
                    return True
        except (asyncio.IncompleteReadError, ConnectionError):
            return False

    async def call(self, path: str, message: bytes) -> list[Frame]:
        """The frames of the reply to a unary gRPC call; one call a connection."""
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
        fields |= {"content-type": "application/grpc", "te": "trailers"}
        self._send(Frame(HEADERS, END_HEADERS, 1, _block(fields)))
        self._send(Frame(DATA, END_STREAM, 1, b"\0" + len(message).to_bytes(4) + message))
        frames: list[Frame] = []
        while not frames or not frames[-1].flags & END_STREAM:
            frame = await self._frame()
            if frame.stream == 1 and frame.kind in (DATA, HEADERS):
                frames.append(frame)
        return frames

    def _send(self, frame: Frame) -> None:
        head = len(frame.payload).to_bytes(3) + bytes((frame.kind, frame.flags)) + frame.stream.to_bytes(4)
        self._writer.write(head + frame.payload)

    async def _frame(self) -> Frame:
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3]))
        return Frame(head[3], head[4], int.from_bytes(head[5:]), payload)


def _block(fields: Mapping[str, str]) -> bytes:
    """Header fields as literals that nobody remembers (RFC 7541, 6.2.2); each shorter than 127 bytes."""
    parts = (text.encode() for field in fields.items() for text in field)
    texts = [bytes((len(part),)) + part for part in parts]
    return b"".join(b"\0" + name + value for name, value in zip(texts[::2], texts[1::2], strict=True))


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Connection]:
    """Connects to `host:port`."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
