"""What unary and streaming in-process calls have in common: the method they call, and how they tell their end."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import grpc
from grpc.aio import AioRpcError, Metadata

from processing_service.wire.inprocess.context import InProcessContext, failure
from processing_service.wire.inprocess.server import Handler, InProcessServer

_log = logging.getLogger(__name__)


class Method:
    """One method as a stub sees it: its name, how messages become bytes and back, who serves it."""

    def __init__(
        self,
        server: InProcessServer,
        path: str,
        serialize: Callable[[Any], bytes] | None,
        parse: Callable[[bytes], Any] | None,
        message_limit: int,
    ) -> None:
        self.server = server
        self.path = path
        self.serialize = serialize or bytes
        self.parse = parse or bytes
        self.message_limit = message_limit
        self._handler: Handler | None = None

    def find(self) -> Handler:
        """The handler, or the status that a server gives that has none or is stopped."""
        if self.server.stopped:
            raise failure(grpc.StatusCode.UNAVAILABLE, "the in-process server is stopped")
        if self._handler is None:
            self._handler = self.server.find(self.path)
        if self._handler is None:
            raise failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return self._handler

    def checked(self, data: bytes) -> bytes:
        """The message's bytes if they are within the limit."""
        if len(data) > self.message_limit:
            text = f"Received message larger than max ({len(data)} vs. {self.message_limit})"
            raise failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        return data


def unexpected(error: Exception, method: Method, context: InProcessContext) -> AioRpcError:
    """The status for a handler that raised what no edge has translated; the same as a real server's."""
    _log.error("unexpected %s in %s", type(error).__name__, method.path, exc_info=error)
    code = grpc.StatusCode.UNKNOWN if context.code() is grpc.StatusCode.OK else context.code()
    return failure(code, f"Unexpected {type(error)}: {error}")


class InProcessCall(grpc.aio.Call):
    """The caller's half: status and metadata, known when the call has ended.

    Args:
        context: of the handler; the deadline is read from it.
    """

    def __init__(self, context: InProcessContext) -> None:
        self._context = context
        self._error: BaseException | None = None

    @abstractmethod
    async def _ended(self) -> None:
        """Returns when the call has ended, however it did."""

    def cancelled(self) -> bool:
        return isinstance(self._error, asyncio.CancelledError)

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()

    async def initial_metadata(self) -> Metadata:
        await self._ended()
        return self._context.initial_metadata()

    async def trailing_metadata(self) -> Metadata:
        await self._ended()
        known = self._error if isinstance(self._error, AioRpcError) else self._context
        return known.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        await self._ended()
        if isinstance(self._error, AioRpcError):
            return self._error.code()
        return grpc.StatusCode.OK if self._error is None else grpc.StatusCode.CANCELLED

    async def details(self) -> str:
        await self._ended()
        if isinstance(self._error, AioRpcError):
            return self._error.details() or ""
        return "" if self._error is None else "Locally cancelled by application!"

    async def wait_for_connection(self) -> None:
        """Nothing: there is no connection."""
