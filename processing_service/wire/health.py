"""Standard health, one answer for each service of a server; the empty name means all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthServicer

from processing_service.wire.errors import not_found

SERVICE_NAME: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_Response = health_pb2.HealthCheckResponse


class Health(HealthServicer):
    """Says what it is told; a service is NOT_SERVING until it is said to serve.

    Args:
        services: full names of the services that the server has.
    """

    def __init__(self, services: Iterable[str] = ()) -> None:
        self._serving = dict.fromkeys(services, False)
        self._draining = False
        self._closed = False
        self._changed = asyncio.Event()

    def set(self, service: str, serving: bool) -> None:
        """Whether the service does its work; tells all who watch it."""
        if self._serving.get(service) is not serving:
            self._serving[service] = serving
            self._tell()

    def drain(self) -> None:
        """NOT_SERVING for all from now on, whatever is set."""
        self._draining = True
        self._tell()

    def close(self) -> None:
        """Ends the streams of those who watch, which would hold up the end of the server."""
        self._closed = True
        self._tell()

    def status(self, service: str) -> int:
        """The ServingStatus of the service; of the whole server for an empty name."""
        if service not in self._serving and service:
            return _Response.SERVICE_UNKNOWN
        serving = self._serving[service] if service else all(self._serving.values())
        return _Response.SERVING if serving and not self._draining else _Response.NOT_SERVING

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """The status now; NOT_FOUND for a service that the server does not have."""
        status = self.status(request.service)
        if status == _Response.SERVICE_UNKNOWN:
            raise not_found(ErrorReason.ERROR_REASON_DOMAIN_NOT_FOUND, "service", request.service, self._serving)
        return _Response(status=status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now and whenever it changes, without those that a slow reader has missed; always the last one."""
        told = None
        while True:
            changed = self._changed
            status = self.status(request.service)
            if status != told:
                told = status
                yield _Response(status=status)
            elif self._closed:
                return
            else:
                await changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
