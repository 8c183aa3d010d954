"""What the calls of every noun stand on."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from coordinator.processing.v1 import processing_pb2_grpc as rpc

from processing_service.client.caller import Caller, OnBreak
from processing_service.client.settings import ClientSettings

if TYPE_CHECKING:  # the stub of asyncio exists in the typing stubs only
    from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceAsyncStub


class Connected:
    """Owns the channel and the stub over it, from `async with` to its end."""

    _stub: ProcessingServiceAsyncStub

    def __init__(self, settings: ClientSettings, on_break: OnBreak | None = None) -> None:
        self._caller = Caller(settings, on_break)

    @property
    def answered(self) -> bool:
        """Whether the coordinator has ever answered this client, other than with an error."""
        return self._caller.answered

    async def __aenter__(self) -> Self:
        await self._caller.__aenter__()
        self._stub = rpc.ProcessingServiceStub(self._caller.channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._caller.__aexit__(kind, error, trace)
