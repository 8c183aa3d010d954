"""Holds the handlers of services that are embedded in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Wrap: TypeAlias = "Callable[[str, Handler], Handler]"
"""Puts what every call shares around a handler: from (full method name, handler) to handler."""


@dataclass(slots=True)
class _Details:
    method: str
    invocation_metadata: tuple[Any, ...] = ()


class InProcessServer(grpc.aio.Server):
    """Takes servicers from the generated `add_XServicer_to_server(servicer, server)`; an InProcessChannel calls them.

    Args:
        wrap: the edge that calls pass on their way in; without one handlers are called as they are.
    """

    def __init__(self, wrap: Wrap | None = None) -> None:
        self._wrap = wrap
        self._services: list[grpc.GenericRpcHandler] = []
        self._bare: dict[str, Handler] = {}
        self._wrapped: dict[str, Handler] = {}
        self.stopped = False

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._services.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Nothing: generated code gives the same handlers to `add_generic_rpc_handlers` first."""

    def find(self, method: str) -> Handler | None:
        """The handler of `/package.Service/Method` behind its edge; None if no servicer has it."""
        found = self._wrapped.get(method)
        if found is None and (found := self.find_bare(method)) is not None:
            found = self._wrapped[method] = self._wrap(method, found) if self._wrap else found
        return found

    def find_bare(self, method: str) -> Handler | None:
        """The handler without its edge."""
        if method not in self._bare:
            handlers = (service.service(_Details(method)) for service in self._services)
            handler = next((found for found in handlers if found is not None), None)
            if handler is None:
                return None
            self._bare[method] = _awaitable(handler)
        return self._bare[method]

    async def start(self) -> None:
        """Nothing: calls are served from the first moment."""

    async def stop(self, grace: float | None) -> None:
        """Refuses new calls with UNAVAILABLE; running ones end in their callers' time."""
        self.stopped = True

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        return self.stopped

    def add_insecure_port(self, address: str) -> int:
        raise grpc.aio.UsageError("an in-process server has no port; open an InProcessChannel to it")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        return self.add_insecure_port(address)


def _awaitable(handler: Handler) -> Handler:
    """The handler with a plain unary function, as generated base classes have, made awaitable."""
    behaviour = handler.unary_unary
    if behaviour is None or inspect.iscoroutinefunction(behaviour):
        return handler

    async def call(request: Any, context: Any) -> Any:
        reply = behaviour(request, context)
        return await reply if inspect.isawaitable(reply) else reply

    return grpc.unary_unary_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)
