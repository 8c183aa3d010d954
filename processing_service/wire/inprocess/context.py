"""What a handler sees of an in-process call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never

import grpc
from grpc.aio import AioRpcError, Metadata

Pairs = tuple[tuple[str, str | bytes], ...]

PEER = "in-process"
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def failure(code: grpc.StatusCode, details: str) -> AioRpcError:
    """A status that the channel makes, not the handler."""
    return AioRpcError(code, Metadata(), Metadata(), details, f"{PEER}: {details}")


def late() -> AioRpcError:
    """The status of a call whose deadline has passed, in the words of a real channel."""
    return failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


class InProcessContext(grpc.aio.ServicerContext[Any, Any]):
    """Metadata, deadline and status of one call; unary handlers need no more.

    Args:
        metadata: of the caller, keys in lower case.
        deadline: in seconds of `time.monotonic()`; None means none.
    """

    aborted = False
    finished = False
    _code = grpc.StatusCode.OK
    _details = ""
    _initial: Pairs = ()
    _trailing: Pairs = ()
    _callbacks: list[Callable[[Any], None]] | None = None

    def __init__(self, metadata: Pairs, deadline: float | None) -> None:
        self._metadata = metadata
        self.deadline = deadline

    def invocation_metadata(self) -> Pairs:  # type: ignore[override]  # a tuple of pairs, as the real one
        return self._metadata

    def time_remaining(self) -> float | None:  # type: ignore[override]  # the stub forgets calls without a deadline
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def expired(self) -> bool:
        return self.deadline is not None and self.deadline <= time.monotonic()

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata | Iterable[Any] = ()
    ) -> Never:
        if code is grpc.StatusCode.OK:
            code, details = grpc.StatusCode.UNKNOWN, "abort was called with OK"
        self._code, self._details, self.aborted = code, details, True
        self._trailing = tuple(trailing_metadata) or self._trailing
        raise grpc.aio.AbortError(details)

    async def abort_with_status(self, status: grpc.Status) -> Never:
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    async def send_initial_metadata(self, initial_metadata: Metadata | Iterable[Any]) -> None:
        self._initial = tuple(initial_metadata)

    def set_trailing_metadata(self, trailing_metadata: Metadata | Iterable[Any]) -> None:
        self._trailing = tuple(trailing_metadata)

    def set_code(self, code: grpc.StatusCode | int) -> None:
        self._code = code if isinstance(code, grpc.StatusCode) else _BY_NUMBER[code]

    def set_details(self, details: str) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def initial_metadata(self) -> Metadata:
        return Metadata.from_tuple(self._initial)

    def trailing_metadata(self) -> Metadata:
        return Metadata.from_tuple(self._trailing)

    def error(self) -> AioRpcError:
        """The handler's own status as its caller gets it."""
        return AioRpcError(
            self._code, self.initial_metadata(), self.trailing_metadata(), self._details, f"{PEER}: {self._details}"
        )

    async def read(self) -> Any:
        raise grpc.aio.UsageError("a unary call has no stream to read from")

    async def write(self, message: Any) -> None:
        raise grpc.aio.UsageError("a unary call has no stream to write to")

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks = [*(self._callbacks or ()), callback]

    def finish(self) -> None:
        """Ends the call for its handler, once."""
        self.finished = True
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(self)

    def cancelled(self) -> bool:
        return self._code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        return self.finished

    def peer(self) -> str:
        return PEER

    def peer_identities(self) -> Iterable[bytes] | None:
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def set_compression(self, compression: grpc.Compression) -> None:
        """Nothing is compressed on the way to oneself."""

    def disable_next_message_compression(self) -> None:
        """Nothing is compressed on the way to oneself."""
