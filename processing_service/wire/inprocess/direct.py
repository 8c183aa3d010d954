"""A unary call of the coordinator to a domain in its own process, with nothing between them but the message's bytes.

The coordinator has a CallContext at hand and looks after the deadlines of its calls itself, so what a channel adds
(metadata written and read back, a status made of an error and an error of the status, a timer) can be left out. The
handler sees the same request, context and cancellation as behind a channel; errors come as they were raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from processing_service.wire.callcontext import CURRENT, CallContext, outgoing_metadata
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.inprocess.context import InProcessContext
from processing_service.wire.inprocess.server import Handler, InProcessServer
from processing_service.wire.interceptors import errors
from processing_service.wire.interceptors.sizes import too_large


class DirectContext(InProcessContext):
    """The context of a direct call; its metadata is written when a handler asks for it."""

    def __init__(self, call: CallContext) -> None:
        self._call = call
        self.deadline = call.deadline

    def invocation_metadata(self) -> Any:
        return outgoing_metadata(self._call)


class DirectMethod:
    """One unary method of a servicer in this process.

    Args:
        server: has the servicer; its edge is not passed.
        path: `/package.Service/Method`.
        message_limit: largest request or response, in bytes.
    """

    __slots__ = ("_limit", "_parse", "_path", "_serialize", "_serve")

    def __init__(self, server: InProcessServer, path: str, message_limit: int) -> None:
        handler = server.find_bare(path)
        if handler is None or handler.unary_unary is None:
            raise LookupError(path)
        self._path, self._limit = path, message_limit
        self._serve: Callable[[Any, Any], Awaitable[Any]] = handler.unary_unary
        self._parse, self._serialize = _codec(handler)

    async def __call__(self, request: Message, call: CallContext) -> bytes:
        """The response, serialised. Raises CoordinatorError: what the handler raised; PAYLOAD_TOO_LARGE, INTERNAL."""
        data = request.SerializeToString()
        if len(data) > self._limit:
            raise too_large(len(data), self._limit)
        before = CURRENT.get()
        CURRENT.set(call)
        try:
            response = await self._serve(self._parse(data), DirectContext(call))
        except CoordinatorError:
            raise
        except Exception as error:
            raise errors.from_exception(error, self._path) from error
        finally:
            CURRENT.set(before)
        reply = self._serialize(response)
        if len(reply) > self._limit:
            raise too_large(len(reply), self._limit)
        return reply


def _codec(handler: Handler) -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    parse, serialize = handler.request_deserializer, handler.response_serializer
    assert parse is not None
    assert serialize is not None
    return parse, serialize
