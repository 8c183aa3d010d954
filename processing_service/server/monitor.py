"""Honest health: a service is SERVING while it can do its work."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc
from coordinator.processing.v1.processing_pb2 import DomainHealth
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from processing_service.server.coordinator import SERVICE, Coordinator
from processing_service.server.hosting import Hosting, service_name
from processing_service.wire.health import Health

PERIOD_S: Final = 1.0
"""How often domains are asked, in seconds."""
_PATIENCE_S: Final = 2.0
"""How long a domain may take to answer, in seconds."""


class Monitor:
    """Asks remote domains how they are, and tells the coordinator's health.

    Args:
        hosting: the domains.
        coordinator: None where there is none in this process.
    """

    def __init__(self, health: Health, hosting: Hosting, coordinator: Coordinator | None) -> None:
        self._health, self._coordinator = health, coordinator
        remote = [name for name in hosting.channels if hosting.address(name) is not None]
        self._stubs = {name: HealthStub(hosting.channels[name]) for name in remote}
        self.seen: dict[str, DomainHealth.ValueType] = dict.fromkeys(remote, DomainHealth.DOMAIN_HEALTH_UNSPECIFIED)
        """How each remote domain was when it was last asked."""

    async def run(self) -> None:
        """Looks every second until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Asks once."""
        if self._coordinator is None:
            return
        await asyncio.gather(*(self._ask(domain) for domain in self._stubs))
        serving = all(seen == DomainHealth.DOMAIN_HEALTH_SERVING for seen in self.seen.values())
        self._health.set(SERVICE, serving and self._coordinator.well)

    async def _ask(self, domain: str) -> None:
        request = health_pb2.HealthCheckRequest(service=service_name(domain))
        try:
            reply = await self._stubs[domain].Check(request, timeout=_PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            unknown = error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)
            # a foreign domain need not have the health service: it answered, so it is there
            seen = DomainHealth.DOMAIN_HEALTH_SERVING if unknown else DomainHealth.DOMAIN_HEALTH_UNREACHABLE
        else:
            serving = reply.status == health_pb2.HealthCheckResponse.SERVING
            seen = DomainHealth.DOMAIN_HEALTH_SERVING if serving else DomainHealth.DOMAIN_HEALTH_NOT_SERVING
        self.seen[domain] = seen
