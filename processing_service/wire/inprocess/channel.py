"""A channel to servicers in this process, for the same generated stubs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc

from processing_service.wire.inprocess.call import Method
from processing_service.wire.inprocess.context import Pairs
from processing_service.wire.inprocess.direct import DirectMethod
from processing_service.wire.inprocess.server import InProcessServer
from processing_service.wire.inprocess.streams import (
    InProcessStreamStreamCall,
    InProcessStreamUnaryCall,
    InProcessUnaryStreamCall,
    Requests,
)
from processing_service.wire.inprocess.unary import InProcessUnaryCall

Serialize = Callable[[Any], bytes] | None
Parse = Callable[[bytes], Any] | None
Sent = grpc.aio.Metadata | Iterable[Any] | None


def _pairs(metadata: Sent) -> Pairs:
    return tuple(metadata) if metadata else ()


class _UnaryUnary(Method, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    def __call__(
        self, request: Any, *, timeout: float | None = None, metadata: Sent = None, **unused: Any
    ) -> InProcessUnaryCall:
        return InProcessUnaryCall(self, request, timeout, _pairs(metadata))


class _UnaryStream(Method, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    def __call__(
        self, request: Any, *, timeout: float | None = None, metadata: Sent = None, **unused: Any
    ) -> InProcessUnaryStreamCall:
        return InProcessUnaryStreamCall(self, request, timeout, _pairs(metadata))


class _StreamUnary(Method, grpc.aio.StreamUnaryMultiCallable):  # type: ignore[type-arg]  # generic in the stub only
    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: Sent = None,
        *unused: Any,
        **ignored: Any,
    ) -> InProcessStreamUnaryCall:
        return InProcessStreamUnaryCall(self, request_iterator, timeout, _pairs(metadata))


class _StreamStream(Method, grpc.aio.StreamStreamMultiCallable):  # type: ignore[type-arg]  # generic in the stub only
    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: Sent = None,
        *unused: Any,
        **ignored: Any,
    ) -> InProcessStreamStreamCall:
        return InProcessStreamStreamCall(self, request_iterator, timeout, _pairs(metadata))


class InProcessChannel(grpc.aio.Channel):
    """Calls the servicers of `server` without a socket, on the caller's event loop.

    Messages cross as bytes, so neither side sees the other's objects. A unary call differs from that of a real channel
    in one point: it starts when it is awaited, not when it is made. Credentials, compression and `wait_for_ready` mean
    nothing here and are ignored.

    Args:
        server: holds the servicers.
        message_limit: largest request or response, in bytes.
    """

    def __init__(self, server: InProcessServer, *, message_limit: int = 64 << 20) -> None:
        self._server = server
        self._message_limit = message_limit

    def unary_unary(
        self, method: str, request_serializer: Serialize = None, response_deserializer: Parse = None, *_: Any, **__: Any
    ) -> _UnaryUnary:
        return _UnaryUnary(self._server, method, request_serializer, response_deserializer, self._message_limit)

    def direct(self, method: str) -> DirectMethod:
        """A unary method for a caller that has a CallContext at hand. Raises LookupError if nobody serves it."""
        return DirectMethod(self._server, method, self._message_limit)

    def unary_stream(
        self, method: str, request_serializer: Serialize = None, response_deserializer: Parse = None, *_: Any, **__: Any
    ) -> _UnaryStream:
        return _UnaryStream(self._server, method, request_serializer, response_deserializer, self._message_limit)

    def stream_unary(
        self, method: str, request_serializer: Serialize = None, response_deserializer: Parse = None, *_: Any, **__: Any
    ) -> _StreamUnary:
        return _StreamUnary(self._server, method, request_serializer, response_deserializer, self._message_limit)

    def stream_stream(
        self, method: str, request_serializer: Serialize = None, response_deserializer: Parse = None, *_: Any, **__: Any
    ) -> _StreamStream:
        return _StreamStream(self._server, method, request_serializer, response_deserializer, self._message_limit)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        stopped = self._server.stopped
        return grpc.ChannelConnectivity.SHUTDOWN if stopped else grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Nothing to wait for: the state is READY until the server stops."""

    async def channel_ready(self) -> None:
        """Nothing to wait for."""

    async def close(self, grace: float | None = None) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.close()
