"""One process: the coordinator and the domains that it serves, from start to drain."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from processing_service.config import Settings
from processing_service.server.coordinator import Coordinator
from processing_service.server.garbage import spare_search
from processing_service.server.hosting import DOMAINS, Hosting, service_name
from processing_service.server.monitor import SERVICE, Monitor
from processing_service.wire.channels import DOMAIN_MESSAGE_LIMIT
from processing_service.wire.health import Health
from processing_service.wire.interceptors.auth import Auth
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.listener import PUBLIC_MESSAGE_LIMIT, Listener, ListenerSettings
from processing_service.wire.telemetry.setup import observe

log = logging.getLogger(__name__)

_COORDINATOR: Final = "processing"
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_DRAINING: Final = (
    "draining: calls and sessions have %g s to end; a second signal (Ctrl-C) stops at once, "
    "sessions go on at the next start"
)


@dataclass(frozen=True, slots=True)
class Running:
    """A process that serves."""

    address: str
    """Where it listens, with the real port."""
    metrics_address: str
    """Where its metrics are; empty without a page."""
    recovered: int
    """Sessions that were taken up."""


async def serve(settings: Settings, ready: Callable[[Running], None] = lambda running: None) -> None:
    """Serves until SIGTERM or SIGINT, then drains; a second one ends the process at once, as the signal itself does.

    Raises CoordinatorError: STORE_*, or if the address is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOPS:
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as process:
        spare_search()
        ready(process)
        await stop.wait()
        _let_the_next_signal_end_it(loop)
        log.info(_DRAINING, settings.drain_grace)


def _let_the_next_signal_end_it(loop: asyncio.AbstractEventLoop) -> None:
    """What is durable is written before it is acknowledged, so a hard end loses as little as kill -9: nothing."""
    for number in _STOPS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A process that serves for as long as the context lasts, then drains."""
    async with AsyncExitStack() as stack:
        observed = await stack.enter_async_context(observe(settings.telemetry))
        telemetry = observed.telemetry
        names = (settings.only,) if settings.only else (_COORDINATOR, *DOMAINS)
        hosting = Hosting(settings, names, telemetry, stack)
        if _COORDINATOR in names:
            await hosting.join()
        services = [service_name(name) for name in hosting.hosted] + ([SERVICE] if _COORDINATOR in names else [])
        health = Health(services)
        monitor = Monitor(hosting, health)
        coordinator = None
        if _COORDINATOR in names:
            coordinator = Coordinator(settings, hosting, monitor.of, telemetry, stack)
        edge = Edge(telemetry, limits=settings.deadlines, auth=Auth(settings.tokens) if settings.tokens else None)
        listener = Listener(_listener_settings(settings), edge, health)
        hosting.add_to(listener.server)
        recovered = 0
        for name in hosting.hosted:
            health.set(service_name(name), serving=True)
        if coordinator is not None:
            coordinator.add_to(listener.server)
            coordinator.add_workflows_to(listener.server)
            recovered = await coordinator.start()
            await monitor.look(coordinator.well)
            watching = asyncio.ensure_future(monitor.run(coordinator.well))
            stack.callback(watching.cancel)
        await listener.start(services, coordinator.described if coordinator is not None else None)
        try:
            yield Running(listener.address, observed.metrics_address, recovered)
        finally:
            await _drain(listener, coordinator, settings.drain_grace)


async def _drain(listener: Listener, coordinator: Coordinator | None, grace: float) -> None:
    """Calls and sessions end within one grace, in seconds; sessions that do not are taken up at the next start."""
    if coordinator is None:
        await listener.drain(grace)
    else:
        await asyncio.gather(listener.drain(grace), coordinator.drain(grace))


def _listener_settings(settings: Settings) -> ListenerSettings:
    """A process that serves one domain takes messages as large as channels to domains carry."""
    listener = settings.listener
    if settings.only in DOMAINS and listener.message_limit == PUBLIC_MESSAGE_LIMIT:
        return replace(listener, message_limit=DOMAIN_MESSAGE_LIMIT)
    return listener
