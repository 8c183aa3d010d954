"""What every call passes on its way to a servicer, once for all kinds of calls, over sockets and in process.

Outermost first: telemetry, errors, deadlines, auth. They are composed here by hand and not as a chain of interceptors,
because an embedded call passes this in a few microseconds or the engine cannot afford it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any, Final, Never

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.message import DecodeError
from grpc.aio import AbortError, AioRpcError

from processing_service.wire.callcontext import CURRENT, NO_CALL, CallContext
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.inprocess.server import Handler
from processing_service.wire.interceptors import deadlines, errors, metadata
from processing_service.wire.interceptors.auth import Auth
from processing_service.wire.interceptors.deadlines import DeadlineSettings, Limit
from processing_service.wire.interceptors.inflight import InFlight
from processing_service.wire.interceptors.sizes import limited
from processing_service.wire.telemetry.hooks import CallEnded, Telemetry
from processing_service.wire.workflow_names import counted_as, is_typed

Context = grpc.aio.ServicerContext[Any, Any]
Work = Callable[[Any, Context], Awaitable[Any]]

_OPEN: Final = ("/grpc.health.", "/grpc.reflection.")
"""Services that are not counted as work and not refused while the server drains."""
_PUBLIC: Final = "/grpc.health."
UNKNOWN_METHOD: Final = "_OTHER"
"""Counted in place of the name that a caller made up."""
_MAKERS: Final[dict[tuple[bool, bool], Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By (request streaming, response streaming)."""


class Edge:
    """Wraps handlers; `EdgeInterceptor` puts it into a grpc server, `InProcessServer(edge.wrap)` into an embedded one.

    Args:
        telemetry: gets a CallEnded for each call.
        limits: for callers that give no deadline, or too long a one.
        auth: None lets everybody in.
        in_flight: counts the calls; given where several listeners are one server.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        limits: DeadlineSettings | None = None,
        auth: Auth | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        self.telemetry = telemetry
        self._limits = limits or DeadlineSettings()
        self._auth = auth
        self.in_flight = in_flight or InFlight()

    def wrap(self, method: str, handler: Handler, limit: int | None = None) -> Handler:
        """The handler of `/package.Service/Method` behind everything that calls share.

        Args:
            limit: largest request, in bytes; None where whoever reads it sees to that.
        """
        guarded: Any = self._guard(method, _work(handler), limited=not handler.response_streaming)
        parse: Any = handler.request_deserializer
        if parse is not None:
            parse = parse if limit is None else limited(parse, limit)
            parse = (_refusing if handler.request_streaming else _tolerant)(parse, method)
        serialize: Any = handler.response_serializer
        if handler.response_streaming and serialize is not None:
            serialize = _unless_done(serialize)
        make = _MAKERS[handler.request_streaming, handler.response_streaming]
        return make(guarded, parse, serialize)  # type: ignore[no-any-return]

    def _guard(self, method: str, work: Work, *, limited: bool) -> Work:
        counted = None if method.startswith(_OPEN) else self.in_flight
        auth = None if method.startswith(_PUBLIC) else self._auth
        limits, telemetry = self._limits, self.telemetry

        async def call(request: Any, context: Context) -> Any:
            started = monotonic()
            outer = CURRENT.get()
            served, parent, limit, code = NO_CALL, "", None, 0
            if counted is not None:
                counted.count += 1
            try:
                if counted is not None:
                    counted.check()
                values = metadata.read(context.invocation_metadata())
                remaining = context.time_remaining()
                if limited and (own := deadlines.own_limit(limits, remaining)) is not None:
                    limit, remaining = Limit(own), own
                deadline = deadlines.deadline_of(remaining)
                actor = "" if auth is None else auth.check(method, values)
                served = metadata.to_context(values, deadline, actor)
                if telemetry.tracing is not None:
                    parent = served.traceparent
                    served = served._replace(traceparent=telemetry.tracing.child(parent))
                CURRENT.set(served)
                if isinstance(request, CoordinatorError):
                    _refuse(request)
                return await work(request, context)
            except BaseException as error:
                verdict = _judge(error, method, limit)
                code = _code_of(verdict, error, context, served)
                if verdict is None:
                    raise
                await errors.end(context, verdict)
            finally:
                CURRENT.set(outer)
                if limit is not None:
                    limit.lift()
                if counted is not None:
                    counted.leave()
                ended = CallEnded("server", method, code, monotonic() - started, served, parent)
                telemetry.emit(ended)

        return call


class EdgeInterceptor(grpc.aio.ServerInterceptor):
    """The edge as the one interceptor of a grpc server.

    Args:
        limit: largest request, in bytes; None leaves it to the server.
    """

    def __init__(self, edge: Edge, limit: int | None = None) -> None:
        self._edge, self._limit = edge, limit
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is None:
            self._edge.telemetry.emit(CallEnded("server", UNKNOWN_METHOD, Code.UNIMPLEMENTED, 0.0))
            return None
        wrapped = self._edge.wrap(counted_as(method), handler, self._limit)
        if not is_typed(method):  # those of workflows come and go
            self._wrapped[method] = wrapped
        return wrapped


def _tolerant(parse: Callable[[bytes], Any], method: str) -> Callable[[bytes], Any]:
    """Gives the error in place of a request that is refused: grpc would answer what this raises in its own words."""

    def tolerant(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _malformed(method)
        except CoordinatorError as error:
            return error

    return tolerant


def _refusing(parse: Callable[[bytes], Any], method: str) -> Callable[[bytes], Any]:
    """For requests of a stream: what this raises reaches the handler where it reads them, and from there the caller."""

    def refusing(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            raise _malformed(method) from None

    return refusing


def _unless_done(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """For responses of a stream: one that goes to many callers may come serialised."""

    def serialized(response: Any) -> bytes:
        return response if type(response) is bytes else serialize(response)

    return serialized


def _malformed(method: str) -> CoordinatorError:
    text = f"the body of the call is not a request of {method}; encode it by the contract"
    return CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_INVALID, text)


def _refuse(error: CoordinatorError) -> Never:
    raise error


def _judge(error: BaseException, method: str, limit: Limit | None) -> CoordinatorError | AioRpcError | None:
    """What the caller is told; None where the call has its status already or nobody is left to tell."""
    if isinstance(error, asyncio.CancelledError):
        if limit is not None and limit.expired:
            return deadlines.exceeded()
        return None if errors.cancelled_from_outside() else errors.inner_cancel(method)
    if isinstance(error, AbortError) or not isinstance(error, Exception):
        return None
    return error if isinstance(error, AioRpcError) else errors.from_exception(error, method)


def _code_of(
    verdict: CoordinatorError | AioRpcError | None, error: BaseException, context: Context, served: CallContext
) -> int:
    """The status code as telemetry counts it."""
    if isinstance(verdict, CoordinatorError):
        return verdict.code
    if isinstance(verdict, AioRpcError):
        return int(verdict.code().value[0])
    if isinstance(error, AbortError):
        code: Any = context.code()
        return code.value[0] if isinstance(code, grpc.StatusCode) else int(code or Code.UNKNOWN)
    late = served.deadline is not None and served.deadline <= monotonic()
    return Code.DEADLINE_EXCEEDED if late else Code.CANCELLED


def _work(handler: Handler) -> Work:
    """The handler as one awaitable; streams of responses are written, so that it ends in the task that began it.

    An async generator that grpc itself iterates may never see that its call is cancelled; here it is closed by then.
    """
    if not handler.response_streaming:
        return _awaiting(handler.stream_unary if handler.request_streaming else handler.unary_unary)
    behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream
    if inspect.iscoroutinefunction(behaviour):
        return behaviour  # type: ignore[no-any-return]  # it writes its responses itself

    async def stream(request: Any, context: Context) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return stream


def _awaiting(behaviour: Any) -> Work:
    """The behaviour itself, or an awaitable around a plain function, as generated base classes have."""
    if inspect.iscoroutinefunction(behaviour):
        return behaviour  # type: ignore[no-any-return]

    async def call(request: Any, context: Context) -> Any:
        reply = behaviour(request, context)
        return await reply if inspect.isawaitable(reply) else reply

    return call
