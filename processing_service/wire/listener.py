"""An address where services are served: one grpc.aio server with its limits, its edge, health and reflection."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from processing_service.wire.addresses import fault_of, why_taken
from processing_service.wire.errors import Code, CoordinatorError, invalid
from processing_service.wire.health import SERVICE_NAME as HEALTH
from processing_service.wire.health import Health
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.interceptors.sizes import MARGIN
from processing_service.wire.reflection import MoreServices, add_reflection
from processing_service.wire.security import TlsSettings, server_credentials

PUBLIC_MESSAGE_LIMIT: Final = 4 << 20
"""Largest message on the coordinator's own address, in bytes; artifacts carry what is larger."""

_LAST_WORDS: Final = 1.0
"""Seconds for replies that are on their way when the server stops."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One address. Those that other machines reach need TLS, or `insecure` said aloud."""

    address: str = "127.0.0.1:50051"
    """`host:port` (port 0 takes a free one) or `unix:path`."""
    message_limit: int = PUBLIC_MESSAGE_LIMIT
    """Largest message either way, in bytes."""
    max_streams: int = 256
    """Calls at once on one connection."""
    ping_floor: float = 10.0
    """Seconds that a client must leave between two keepalive pings, with calls or without."""
    idle_timeout: float = 900.0
    """Seconds without calls after which a connection is closed."""
    handshake_timeout: float = 10.0
    """Seconds that a client has to open a connection."""
    reflection: bool = True
    """Whether clients may read the descriptors."""
    tls: TlsSettings | None = None
    """None means plain text."""
    insecure: bool = False
    """Allows plain text on an address that other machines reach."""

    def __post_init__(self) -> None:
        if fault := fault_of(self.address):
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "address", fault)
        if self.tls is None and not self.insecure and not _is_local(self.address):
            text = f"{self.address!r} is reached by other machines; set tls, or insecure = true for plain text"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "address", text)


class Listener:
    """Made inside the running loop. Give `server` to `add_XServicer_to_server`, then start.

    Args:
        settings: of the address.
        edge: what every call passes.
        health: told by whoever knows how the services are.
    """

    def __init__(self, settings: ListenerSettings, edge: Edge, health: Health) -> None:
        self._settings = settings
        self._edge = edge
        self._health = health
        interceptor = EdgeInterceptor(edge, settings.message_limit)
        self.server = grpc.aio.server(interceptors=(interceptor,), options=_options(settings))
        self.address = settings.address
        """Where it listens; with the real port once started."""

    async def start(self, services: Iterable[str], more: MoreServices | None = None) -> None:
        """Begins to serve; `services` are the full names that reflection lists, `more` those that come and go.

        Raises FAILED_PRECONDITION if the address is taken.
        """
        add_HealthServicer_to_server(self._health, self.server)
        if self._settings.reflection:
            add_reflection([*services, HEALTH], self.server, more)
        self._bind()
        await self.server.start()

    def _bind(self) -> None:
        settings = self._settings
        if why := why_taken(settings.address):
            raise _cannot_listen(settings.address, why)
        try:
            if settings.tls is None:
                port = self.server.add_insecure_port(settings.address)
            else:
                port = self.server.add_secure_port(settings.address, server_credentials(settings.tls))
        except RuntimeError as error:
            raise _cannot_listen(settings.address, "is another server using it?") from error
        if not settings.address.startswith("unix:"):
            self.address = f"{settings.address.rpartition(':')[0]}:{port}"

    async def drain(self, grace: float) -> bool:
        """Says NOT_SERVING, refuses new calls, waits at most `grace` seconds for those in flight, then stops.

        Returns whether all calls ended by themselves; the others are cancelled.
        """
        self._health.drain()
        self._edge.in_flight.refuse()
        idle = await self._edge.in_flight.idle(grace)
        if not idle:
            _log.warning("cancelling %d calls that did not end within %g s", self._edge.in_flight.count, grace)
        self._health.close()
        await self.server.stop(_LAST_WORDS if idle else 0)
        return idle


def _cannot_listen(address: str, why: str) -> CoordinatorError:
    text = f"cannot listen on {address!r}; {why}"
    return CoordinatorError(Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_FIELD_INVALID, text)


def _options(settings: ListenerSettings) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", settings.message_limit + MARGIN),
        ("grpc.max_send_message_length", settings.message_limit),
        ("grpc.max_concurrent_streams", settings.max_streams),
        # else calls that a client held back are refused, because those that have ended still count for a while
        ("grpc.http.overload_protection", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", round(settings.ping_floor * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_idle_ms", round(settings.idle_timeout * 1000)),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_timeout * 1000)),
        ("grpc.so_reuseport", 0),
    )


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
