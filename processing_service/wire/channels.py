"""How a channel to a service is opened: TCP, Unix socket, or in process; the stubs are the same for all.

No channel carries a retry policy: a step's retries are the engine's, all others are made where the call is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.addresses import fault_of
from processing_service.wire.errors import invalid
from processing_service.wire.inprocess.channel import InProcessChannel
from processing_service.wire.inprocess.server import InProcessServer
from processing_service.wire.security import TlsSettings, channel_credentials

__all__ = ["DOMAIN_MESSAGE_LIMIT", "ChannelSettings", "InProcessChannel", "InProcessServer", "open_channel"]

DOMAIN_MESSAGE_LIMIT: Final = 64 << 20
"""Largest message on a channel to a domain, in bytes."""


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel to one service."""

    address: str
    """`host:port` or `unix:path`."""
    message_limit: int = DOMAIN_MESSAGE_LIMIT
    """Largest message either way, in bytes."""
    keepalive_time: float = 60.0
    """Seconds without traffic, while a call is out, after which the peer is asked for a sign of life."""
    keepalive_timeout: float = 20.0
    """Seconds that the peer has to answer; then its connection and calls are UNAVAILABLE."""
    reconnect_delay: float = 5.0
    """Seconds between two tries to connect, at most; the first come sooner."""
    tls: TlsSettings | None = None
    """None means plain text."""

    def __post_init__(self) -> None:
        if fault := fault_of(self.address):
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "address", fault)


def open_channel(
    settings: ChannelSettings, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()
) -> grpc.aio.Channel:
    """A channel that connects when it is first used, to a connection of its own; close it when done. One event loop,
    one thread.

    Interceptors cost a task a call: they are for a caller's own instrumentation, not for channels to domains.
    """
    options = (
        ("grpc.max_receive_message_length", settings.message_limit),
        ("grpc.max_send_message_length", settings.message_limit),
        ("grpc.keepalive_time_ms", round(settings.keepalive_time * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout * 1000)),
        ("grpc.max_reconnect_backoff_ms", round(settings.reconnect_delay * 1000)),
        ("grpc.service_config_disable_resolution", 1),
        # else channels to one address share a connection, and so the calls that it may have at once
        ("grpc.use_local_subchannel_pool", 1),
    )
    if settings.tls is None:
        return grpc.aio.insecure_channel(settings.address, options, interceptors=interceptors)
    return grpc.aio.secure_channel(
        settings.address, channel_credentials(settings.tls), options, interceptors=interceptors
    )
