"""Streaming in-process calls: the handler runs in a task of its own, messages cross by bounded pipes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
from grpc.aio import AioRpcError

from processing_service.wire.inprocess.call import InProcessCall, Method, unexpected
from processing_service.wire.inprocess.context import InProcessContext, Pairs, late
from processing_service.wire.inprocess.pipe import Pipe
from processing_service.wire.inprocess.server import Handler

Requests = AsyncIterable[Any] | Iterable[Any]


class _StreamContext(InProcessContext):
    """The handler's end of both pipes."""

    def __init__(self, metadata: Pairs, deadline: float | None, method: Method) -> None:
        super().__init__(metadata, deadline)
        self._method = method
        self.handler: Handler | None = None
        self.requests = Pipe()
        self.responses = Pipe()

    async def read(self) -> Any:
        data = await self.requests.get()
        if data is None:
            return grpc.aio.EOF
        parse = self.handler.request_deserializer if self.handler else None
        return parse(data) if parse else data

    async def write(self, message: Any) -> None:
        serialize = self.handler.response_serializer if self.handler else None
        data = serialize(message) if serialize else message
        if not await self.responses.put(self._method.checked(data)):
            raise asyncio.CancelledError  # nobody reads any more

    async def incoming(self) -> AsyncIterator[Any]:
        """The caller's messages, for handlers that iterate."""
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message


async def _serve(method: Method, context: _StreamContext) -> None:
    """Runs the handler to its end; raises the status if that is not OK."""
    handler = context.handler = method.find()
    try:
        request = context.incoming() if handler.request_streaming else await context.read()
        if handler.response_streaming:
            await _stream(handler, request, context)
        else:
            behaviour: Any = handler.stream_unary
            await context.write(await behaviour(request, context))
    except AioRpcError:
        raise
    except Exception as error:
        if not context.aborted:
            raise unexpected(error, method, context) from error
    if context.code() is not grpc.StatusCode.OK:
        raise context.error()


async def _stream(handler: Handler, request: Any, context: _StreamContext) -> None:
    behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream
    if inspect.iscoroutinefunction(behaviour):
        await behaviour(request, context)
        return
    async with aclosing(behaviour(request, context)) as responses:
        async for response in responses:
            await context.write(response)


class _StreamingCall(InProcessCall):
    """Starts at once. A call that is dropped unread is cancelled, as that of a real channel."""

    _context: _StreamContext

    def __init__(self, method: Method, timeout: float | None, metadata: Pairs) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        super().__init__(_StreamContext(metadata, deadline, method))
        loop = asyncio.get_running_loop()
        self._method = method
        self._end: asyncio.Future[BaseException | None] = loop.create_future()
        self._feeder: asyncio.Task[None] | None = None
        self._half_closed = False
        self._task = loop.create_task(_run(method, self._context, self._end))
        if timeout is not None:
            timer = loop.call_later(max(0.0, timeout), _cut, self._context, self._end, self._task, late())
            self._end.add_done_callback(lambda _: timer.cancel())

    def __del__(self) -> None:
        if not self._end.done() and not self._task.get_loop().is_closed():
            self._task.cancel()
            if self._feeder is not None:
                self._feeder.cancel()

    def done(self) -> bool:
        return self._end.done()

    def cancelled(self) -> bool:
        return self._end.done() and isinstance(self._end.result(), asyncio.CancelledError)

    def cancel(self) -> bool:
        if self._end.done():
            return False
        _cut(self._context, self._end, self._task, asyncio.CancelledError())
        if self._feeder is not None:
            self._feeder.cancel()
        return True

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._end.add_done_callback(lambda _: callback(self))

    async def _ended(self) -> None:
        if not self._end.done():
            await asyncio.shield(self._end)
        self._error = self._end.result()

    async def _check(self) -> None:
        await self._ended()
        if self._error is not None:
            raise self._error

    async def _read(self) -> Any:
        """The next response; EOF at the end; raises the status where that is not OK."""
        try:
            data = await self._context.responses.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if data is None:
            await self._check()
            return grpc.aio.EOF
        return self._method.parse(data)

    async def _responses(self) -> AsyncIterator[Any]:
        while (response := await self._read()) is not grpc.aio.EOF:
            yield response

    def _send(self, request: Any) -> Any:
        return self._context.requests.put(self._method.checked(self._method.serialize(request)))

    def _feed(self, requests: Requests | None) -> None:
        if requests is not None:
            self._feeder = asyncio.get_running_loop().create_task(self._pump(requests))

    async def _pump(self, requests: Requests) -> None:
        """Sends what the caller's iterator gives; one that raises cancels the call, as a real channel does."""
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self._send(request)
            else:
                for request in requests:
                    await self._send(request)
            self._context.requests.close()
        except BaseException:
            self.cancel()
            raise

    async def _write(self, request: Any) -> None:
        if self._half_closed:
            raise asyncio.InvalidStateError('RPC is half closed after calling "done_writing".')
        if self.done():
            raise asyncio.InvalidStateError("RPC already finished.")
        await self._send(request)

    async def done_writing(self) -> None:
        self._half_closed = True
        self._context.requests.close()


async def _run(method: Method, context: _StreamContext, end: asyncio.Future[BaseException | None]) -> None:
    """The handler's task. It holds no reference to the call, so that a dropped one can be collected."""
    try:
        if context.expired():
            raise late()
        await _serve(method, context)
        if context.expired():
            raise late()
    except AioRpcError as error:
        _settle(context, end, error)
    except asyncio.CancelledError as error:
        _settle(context, end, error)
        raise
    else:
        _settle(context, end, None)
    finally:
        context.finish()


def _settle(context: _StreamContext, end: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not end.done():
        end.set_result(error)
    context.responses.close()
    context.requests.close(discard=True)


def _cut(
    context: _StreamContext, end: asyncio.Future[BaseException | None], task: asyncio.Task[None], error: BaseException
) -> None:
    """Ends the call for its caller at once and tells the handler by cancelling its task."""
    if not end.done():
        end.set_result(error)
        context.responses.close(discard=True)
        task.cancel()


class InProcessUnaryStreamCall(_StreamingCall, grpc.aio.UnaryStreamCall[Any, Any]):
    """One request, many responses."""

    def __init__(self, method: Method, request: Any, timeout: float | None, metadata: Pairs) -> None:
        super().__init__(method, timeout, metadata)
        self._context.requests.push(method.checked(method.serialize(request)))
        self._context.requests.close()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses()

    async def read(self) -> Any:
        return await self._read()


class InProcessStreamUnaryCall(_StreamingCall, grpc.aio.StreamUnaryCall[Any, Any]):
    """Many requests, one response."""

    def __init__(self, method: Method, requests: Requests | None, timeout: float | None, metadata: Pairs) -> None:
        super().__init__(method, timeout, metadata)
        self._feed(requests)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._reply().__await__()

    async def _reply(self) -> Any:
        reply = await self._read()
        await self._check()
        return reply

    async def write(self, request: Any) -> None:
        await self._write(request)


class InProcessStreamStreamCall(_StreamingCall, grpc.aio.StreamStreamCall[Any, Any]):
    """Many requests, many responses."""

    def __init__(self, method: Method, requests: Requests | None, timeout: float | None, metadata: Pairs) -> None:
        super().__init__(method, timeout, metadata)
        self._feed(requests)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses()

    async def read(self) -> Any:
        return await self._read()

    async def write(self, request: Any) -> None:
        await self._write(request)
