"""Makes the calls of a client: one deadline over all tries, retries, errors as CoordinatorError."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc
from google.protobuf.message import Message
from grpc.aio import AioRpcError

from processing_service.client.settings import ClientSettings
from processing_service.wire.callcontext import TENANT
from processing_service.wire.channels import ChannelSettings, open_channel
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.interceptors.errors import from_rpc_error
from processing_service.wire.retries import RetrySettings, retried
from processing_service.wire.security import read_secret

Sent = TypeVar("Sent", bound=Message)
Received = TypeVar("Received", bound=Message)

PEER: Final = "the coordinator"
OnBreak = Callable[[CoordinatorError], None]

_ONCE: Final = RetrySettings(max_attempts=1)


def _ignore(error: CoordinatorError) -> None:
    """Tells nobody."""


class Caller:
    """One channel to one coordinator; `async with` opens and closes it. One event loop, one thread.

    Args:
        on_break: told once of each connection that broke and does not come back at once.
    """

    def __init__(self, settings: ClientSettings, on_break: OnBreak | None = None) -> None:
        self.settings, self.on_break = settings, on_break or _ignore
        self.answered = False
        """Whether the coordinator has ever answered, other than with an error."""
        self._retries = RetrySettings(max_attempts=settings.attempts)
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        self._metadata = tuple(_metadata(self.settings))
        channel = ChannelSettings(self.settings.address, tls=self.settings.tls)
        self._channel = open_channel(channel, _tracing() if self.settings.tracing else ())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The open channel; raises RuntimeError outside of `async with`."""
        if self._channel is None:
            raise RuntimeError("the client is not open; write `async with CoordinatorClient(...) as client`")
        return self._channel

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Sent, Received],
        request: Sent,
        deadline: float | None,
        *,
        repeatable: bool = True,
    ) -> Received:
        """One unary call.

        Args:
            method: of a stub over `channel`.
            request: what to send.
            deadline: seconds for all tries and the waits between them; None = that of the settings.
            repeatable: whether `request` may be sent again, by its `request_id` or because it changes nothing.

        Raises:
            CoordinatorError: what the last try ended with.
        """
        end = self._end(deadline)

        async def attempt() -> Received:
            try:
                return await method(request, timeout=_left(end), metadata=self._metadata)
            except AioRpcError as error:
                raise from_rpc_error(error, PEER) from error

        reply = await retried(attempt, self._retries if repeatable else _ONCE, end)
        self.answered = True
        return reply

    async def send(
        self,
        method: grpc.aio.StreamUnaryMultiCallable[Sent, Received],
        requests: Callable[[], AsyncIterator[Sent]],
        deadline: float | None,
    ) -> Received:
        """One call that sends a stream; `requests` makes it anew for each try. Raises as `call`."""
        end = self._end(deadline)

        async def attempt() -> Received:
            try:
                return await method(requests(), timeout=_left(end), metadata=self._metadata)
            except AioRpcError as error:
                raise from_rpc_error(error, PEER) from error

        reply = await retried(attempt, self._retries, end)
        self.answered = True
        return reply

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Sent, Received], request: Sent, seconds: float
    ) -> AsyncIterator[Received]:
        """One call that answers with a stream, not tried again; ending the iteration cancels it. Raises as `call`."""
        call = method(request, timeout=seconds, metadata=self._metadata)
        try:
            async for message in call:
                self.answered = True
                yield message
        except AioRpcError as error:
            raise from_rpc_error(error, PEER) from error
        finally:
            call.cancel()

    async def pages(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Any, Received], request: Message, deadline: float | None
    ) -> AsyncIterator[Received]:
        """The replies of a list, each page fetched when it is wanted. `request` is used up."""
        page: Any = request
        while True:
            reply: Any = await self.call(method, page, deadline)
            yield reply
            if not reply.next_page_token:
                return
            page.page_token = reply.next_page_token

    def _end(self, deadline: float | None) -> float:
        return time.monotonic() + (self.settings.deadline if deadline is None else deadline)


def _left(end: float) -> float:
    return max(0.001, end - time.monotonic())


def _tracing() -> Sequence[grpc.aio.ClientInterceptor]:
    import opentelemetry.instrumentation.grpc as instrumentation

    make: Callable[[], Sequence[grpc.aio.ClientInterceptor]] = instrumentation.aio_client_interceptors
    return make()


def _metadata(settings: ClientSettings) -> Iterator[tuple[str, str]]:
    if settings.token_file:
        yield "authorization", f"Bearer {read_secret(settings.token_file, 'token_file')}"
    if settings.tenant:
        yield TENANT, settings.tenant
