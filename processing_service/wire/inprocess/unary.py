"""A unary call whose handler is awaited in the caller's own task.

No task, future or timer is made for a handler that does not suspend; one that does gets a timer for its deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import grpc
from grpc.aio import AioRpcError

from processing_service.wire.inprocess.call import InProcessCall, Method, unexpected
from processing_service.wire.inprocess.context import InProcessContext, Pairs, late

_NEW, _RUNNING, _DONE = range(3)


class InProcessUnaryCall(InProcessCall, grpc.aio.UnaryUnaryCall[Any, Any]):
    """Starts when it is first awaited, and runs in that task: cancelling the task cancels the handler."""

    def __init__(self, method: Method, request: Any, timeout: float | None, metadata: Pairs) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        super().__init__(InProcessContext(metadata, deadline))
        self._method = method
        self._request = request
        self._state = _NEW
        self._response: Any = None
        self._task: asyncio.Task[Any] | None = None
        self._cut: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._callbacks: list[Callable[[Any], None]] = []

    def __await__(self) -> Generator[Any, None, Any]:
        if self._state is not _NEW:
            return (yield from self._join().__await__())
        self._state = _RUNNING
        try:
            self._response = yield from self._serve()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._finish()
        return self._response

    def _serve(self) -> Generator[Any, None, Any]:
        method, context = self._method, self._context
        if context.expired():
            raise late()
        handler = method.find()
        data = method.checked(method.serialize(self._request))
        try:
            request = handler.request_deserializer(data) if handler.request_deserializer else data
            response = yield from self._drive(handler.unary_unary(request, context))  # type: ignore[misc, arg-type]
            reply: Any = handler.response_serializer(response) if handler.response_serializer else response
        except Exception as error:
            if self._cut is None and not context.aborted:
                raise unexpected(error, method, context) from error
            reply = b""
        except asyncio.CancelledError:
            if self._cut is None:
                raise
            reply = b""
        if self._cut is not None:
            raise self._cut
        if context.expired():
            raise late()
        if context.code() is not grpc.StatusCode.OK:
            raise context.error()
        return method.parse(method.checked(reply))

    def _drive(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, None, Any]:
        """Runs the handler's first stretch; only one that suspends is worth a timer."""
        try:
            waiting = work.send(None)
        except StopIteration as end:
            return end.value
        return (yield from self._suspended(work, waiting))

    def _suspended(self, work: Coroutine[Any, Any, Any], waiting: Any) -> Generator[Any, None, Any]:
        task = self._task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        left = self._context.time_remaining()
        timer = None if left is None else asyncio.get_running_loop().call_later(left, self._expire)
        try:
            while True:
                try:
                    sent = yield waiting
                except BaseException as error:  # whatever it is, it is the handler's
                    waiting = work.throw(error)
                else:
                    waiting = work.send(sent)
        except StopIteration as end:
            return end.value
        finally:
            self._task = None
            if timer is not None:
                timer.cancel()
            if self._cut is not None and task.uncancel() > cancelling:
                self._cut = asyncio.CancelledError()  # the caller was cancelled too, and that comes first

    def _expire(self) -> None:
        self._interrupt(late())

    def _interrupt(self, cut: BaseException) -> None:
        if self._cut is None and self._task is not None:
            self._cut = cut
            self._task.cancel()

    def _finish(self) -> None:
        self._state = _DONE
        self._context.finish()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        for callback in self._callbacks:
            callback(self)

    async def _join(self) -> Any:
        await self._ended()
        if self._error is not None:
            raise self._error
        return self._response

    async def _ended(self) -> None:
        """Waits for the end; begins the call if nobody has."""
        if self._state is _NEW:
            try:
                await self
            except AioRpcError:
                return
        elif self._state is _RUNNING:
            self._waiters.append(asyncio.get_running_loop().create_future())
            await self._waiters[-1]

    def cancel(self) -> bool:
        if self._state is _DONE:
            return False
        if self._state is _RUNNING:
            self._interrupt(asyncio.CancelledError())
            return True
        self._error = asyncio.CancelledError()
        self._finish()
        return True

    def done(self) -> bool:
        return self._state is _DONE

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)
