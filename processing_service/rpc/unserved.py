"""RPCs of the contract that a servicer does not have: UNIMPLEMENTED, saying so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from processing_service.wire.errors import Code, CoordinatorError


def answer_unserved(servicer: object, generated: type, service: ServiceDescriptor) -> list[str]:
    """Gives the servicer an answer for each RPC that it inherits unchanged from `generated`; the names of these."""
    unserved = [
        method for method in service.methods if getattr(type(servicer), method.name) is _inherited(generated, method)
    ]
    for method in unserved:
        setattr(servicer, method.name, _answer(method))
    return [method.name for method in unserved]


def _inherited(generated: type, method: MethodDescriptor) -> Any:
    return getattr(generated, method.name)


def _answer(method: MethodDescriptor) -> Callable[[Any, Any], Any]:
    error_of = _not_implemented

    async def unary(request: Any, context: Any) -> Any:
        raise error_of(method.name)

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        raise error_of(method.name)
        yield

    return stream if method.server_streaming else unary


def _not_implemented(name: str) -> CoordinatorError:
    return CoordinatorError(
        Code.UNIMPLEMENTED,
        ErrorReason.ERROR_REASON_NOT_IMPLEMENTED,
        f"{name} is part of the contract and not served by this version; GetProcessingContract lists what is",
        metadata={"method": name},
    )
