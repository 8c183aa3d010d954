"""Honest health: a service is SERVING while it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from coordinator.processing.v1.processing_pb2 import DomainHealth
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from processing_service.server.hosting import Hosting, service_name
from processing_service.wire.health import Health

SERVICE: Final = service_name("processing")

PERIOD_S: Final = 1.0
"""How often domains are asked, in seconds."""
_PATIENCE_S: Final = 2.0
"""How long a domain may take to answer, in seconds."""


class Monitor:
    """Asks remote domains how they are, and says whether the coordinator serves.

    Args:
        health: of this process; told of the coordinator.
    """

    def __init__(self, hosting: Hosting, health: Health) -> None:
        self._health = health
        self._undescribed = hosting.undescribed
        self._services: dict[str, str] = {}
        self._stubs: dict[str, Any] = {}
        for name, (service, channel) in hosting.remote().items():
            self._services[name], self._stubs[name] = service, HealthStub(channel)
        unknown = DomainHealth.DOMAIN_HEALTH_UNSPECIFIED
        self._seen: dict[str, DomainHealth.ValueType] = dict.fromkeys(self._services, unknown)

    def of(self, domain: str) -> DomainHealth.ValueType:
        """How a domain was when it was last asked; an embedded one serves while this process does."""
        return self._seen.get(domain, DomainHealth.DOMAIN_HEALTH_SERVING)

    async def run(self, well: Callable[[], bool]) -> None:
        """Looks every second until it is cancelled."""
        while True:
            await self.look(well)
            await asyncio.sleep(PERIOD_S)

    async def look(self, well: Callable[[], bool]) -> None:
        """Asks once; the coordinator serves if all domains do and `well` says that its store takes what is written."""
        await asyncio.gather(*(self._ask(domain) for domain in self._stubs))
        serving = all(seen == DomainHealth.DOMAIN_HEALTH_SERVING for seen in self._seen.values())
        self._health.set(SERVICE, serving and well())

    async def _ask(self, domain: str) -> None:
        request = health_pb2.HealthCheckRequest(service=self._services[domain])
        try:
            reply = await self._stubs[domain].Check(request, timeout=_PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            unknown = error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)
            # a foreign domain need not have the health service: it answered, so it is there
            seen = DomainHealth.DOMAIN_HEALTH_SERVING if unknown else DomainHealth.DOMAIN_HEALTH_UNREACHABLE
        else:
            serving = reply.status == health_pb2.HealthCheckResponse.SERVING
            seen = DomainHealth.DOMAIN_HEALTH_SERVING if serving else DomainHealth.DOMAIN_HEALTH_NOT_SERVING
        if domain in self._undescribed and seen == DomainHealth.DOMAIN_HEALTH_SERVING:
            seen = DomainHealth.DOMAIN_HEALTH_NOT_SERVING  # it answers, but what it can do is not known
        self._seen[domain] = seen
