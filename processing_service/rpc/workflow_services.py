"""The services that workflows have of their own, on the wire: looked up when they are called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc

from instructors.typed_calls import TypedCalls
from processing_service.wire.workflow_names import is_typed, split

Context = grpc.aio.ServicerContext[Any, Any]


class WorkflowServices(grpc.GenericRpcHandler):
    """Handlers of what is served at the moment.

    Args:
        calls: the use cases.
        is_served: whether there is a service of that name.
    """

    def __init__(self, calls: TypedCalls, is_served: Callable[[str], bool]) -> None:
        self._calls, self._is_served = calls, is_served

    def service(self, handler_call_details: _Details) -> Any:
        """The handler of a method; None if it is of no workflow that there is."""
        if not is_typed(handler_call_details.method):
            return None
        service, rpc = split(handler_call_details.method)
        if not self._is_served(service):
            return None
        match rpc:
            case "Execute":
                return grpc.unary_unary_rpc_method_handler(self._execute(service), bytes)
            case "Watch":
                return grpc.unary_stream_rpc_method_handler(self._watch(service), bytes)
        return None

    def _execute(self, service: str) -> Any:
        async def execute(request: bytes, context: Context) -> bytes:
            return await self._calls.execute(service, request)

        return execute

    def _watch(self, service: str) -> Any:
        async def watch(request: bytes, context: Context) -> AsyncIterator[bytes]:
            async for update in self._calls.watch(service, request):
                yield update

        return watch


class _Details(Protocol):
    """What the server knows of a call before it has a handler."""

    method: str
