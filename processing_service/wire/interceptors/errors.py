"""The one place where errors cross the wire: CoordinatorError to a status on servers, a status to it on clients.

A status goes out by `abort` before anything else has, so it is a single frame of trailers, and with
`grpc-retry-pushback-ms` beside RetryInfo, because that is what the retry policies of gRPC channels obey.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final, Never

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason
from grpc.aio import AioRpcError

from processing_service.wire.errors import Code, CoordinatorError, internal
from processing_service.wire.status import (
    STATUS_LIMIT,
    bounded,
    clip,
    from_status,
    made,
    parse_status,
    retry_delay_of,
    to_status,
)

DETAILS: Final = "grpc-status-details-bin"
PUSHBACK: Final = "grpc-retry-pushback-ms"

_log = logging.getLogger(__name__)
_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_REASONS: Final = {
    Code.CANCELLED: ErrorReason.ERROR_REASON_CANCELLED,
    Code.DEADLINE_EXCEEDED: ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
    Code.PERMISSION_DENIED: ErrorReason.ERROR_REASON_PERMISSION_DENIED,
    Code.UNIMPLEMENTED: ErrorReason.ERROR_REASON_NOT_IMPLEMENTED,
    Code.UNAVAILABLE: ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE,
    Code.UNAUTHENTICATED: ErrorReason.ERROR_REASON_UNAUTHENTICATED,
}
"""What a status without a reason means; any other code is FOREIGN."""
_TRANSPORT: Final = re.compile(
    r"connect|socket|DNS|GOAWAY|ping|stream|transport|recvmsg|sendmsg|broken pipe|Cancelling all calls", re.IGNORECASE
)
"""Words of the transport, which name addresses and system calls; the words of a peer pass."""
_NO_CONNECTION: Final = re.compile(
    r"failed to connect to all addresses|errors? resolving|DNS resolution failed|empty address list", re.IGNORECASE
)
"""How gRPC begins to say that a call found no connection to go out on."""


def status_code(error: CoordinatorError) -> grpc.StatusCode:
    """The error's code as grpc spells it."""
    return _STATUS_CODES[error.code]


def trailers(error: CoordinatorError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata that carries the error's details."""
    details = (DETAILS, to_status(error).SerializeToString())
    if error.retry_delay is None:
        return (details,)
    return (details, (PUSHBACK, str(round(error.retry_delay * 1000))))


async def end(context: grpc.aio.ServicerContext[Any, Any], error: CoordinatorError | AioRpcError) -> Never:
    """Ends the call with the error's status: our own, or that of a call that the handler made."""
    if isinstance(error, AioRpcError):
        await pass_on(context, error)
    await abort(context, error)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: CoordinatorError) -> Never:
    """Ends the call with the error's status."""
    await context.abort(status_code(error), clip(error.message, 1024), trailers(error))


async def pass_on(context: grpc.aio.ServicerContext[Any, Any], error: AioRpcError) -> Never:
    """Ends the call with the status of a call that its handler made, details and all."""
    found = _trailing(error, DETAILS)
    if isinstance(found, bytes) and len(found) <= STATUS_LIMIT:
        pushback = _trailing(error, PUSHBACK)
        more = ((PUSHBACK, pushback),) if pushback is not None else ()
        await context.abort(error.code(), clip(error.details() or "", 1024), ((DETAILS, found), *more))
    await abort(context, from_rpc_error(error))


def from_exception(error: Exception, method: str) -> CoordinatorError:
    """What a caller is told of an exception that a handler let through; the log gets the rest."""
    if isinstance(error, CoordinatorError):
        return error
    if isinstance(error, NotImplementedError):
        text = f"{method} is part of the contract and not served yet"
        return CoordinatorError(Code.UNIMPLEMENTED, ErrorReason.ERROR_REASON_NOT_IMPLEMENTED, text)
    _log.error("unexpected %s in %s", type(error).__name__, method, exc_info=error)
    return internal(error)


def inner_cancel(method: str) -> CoordinatorError:
    """For a CancelledError that came from inside the handler while nobody cancelled the call itself."""
    text = f"work inside {method} was cancelled; try again"
    return CoordinatorError(Code.ABORTED, ErrorReason.ERROR_REASON_CANCELLED, text)


def from_rpc_error(error: AioRpcError, peer: str = "the service") -> CoordinatorError:
    """The error that a failed call stands for.

    Args:
        error: as a stub raised it.
        peer: the called service as the message names it, such as `the inference domain`.
    """
    data = _trailing(error, DETAILS)
    status = parse_status(data) if isinstance(data, bytes) else None
    if status is not None and status.code != error.code().value[0]:
        status = None
    found = (from_status(status) if status is not None else None) or _without_reason(error, peer)
    if found.retry_delay is None and status is not None:  # there may be a RetryInfo without an ErrorInfo
        found.retry_delay = retry_delay_of(status)
    if found.retry_delay is None:
        found.retry_delay = _pushback(error)
    return found


def never_left(error: AioRpcError, channel: grpc.aio.Channel) -> bool:
    """True if the call found no connection: no byte of it has left.

    A peer can answer with the very words of the transport, but only by a connection, which the channel then has.
    """
    return (
        error.code() is grpc.StatusCode.UNAVAILABLE
        and _NO_CONNECTION.match(error.details() or "") is not None
        and channel.get_state() is not grpc.ChannelConnectivity.READY
    )


def _without_reason(error: AioRpcError, peer: str) -> CoordinatorError:
    code = Code(error.code().value[0])
    text = clip(error.details() or "", 512)
    if code is Code.UNAVAILABLE and (not text or _TRANSPORT.search(text)):
        text = f"{peer} cannot be reached; see that it serves and that its address is right"
    elif code is Code.DEADLINE_EXCEEDED:
        text = f"{peer} did not answer within the deadline"
    elif code is Code.RESOURCE_EXHAUSTED and "larger than max" in text:
        return made(code, ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE, f"{peer}: {text}")
    reason = _REASONS.get(code, ErrorReason.ERROR_REASON_FOREIGN)
    name = code.name if reason == ErrorReason.ERROR_REASON_FOREIGN else ""
    return made(code, reason, text or f"{peer} answered {code.name}", reason_name=name)


def _trailing(error: AioRpcError, key: str) -> str | bytes | None:
    return next((value for name, value in error.trailing_metadata() or () if name == key), None)


def _pushback(error: AioRpcError) -> float | None:
    """Seconds of the trailer; None if it is absent, no number, or negative (which means: do not try again)."""
    text = _trailing(error, PUSHBACK)
    return bounded(float(text) / 1000) if isinstance(text, str) and text.isdecimal() else None


def cancelled_from_outside() -> bool:
    """Whether the CancelledError that is being handled came by `Task.cancel`, as that of a cancelled RPC does."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
