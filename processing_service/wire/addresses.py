"""Addresses of services: how they are written, and whether somebody else listens there."""

from __future__ import annotations

import errno
import re
import socket
from typing import Final

_URL: Final = re.compile(r"(?:https?|grpcs?|tcp)://(.*)")
_MAX_PORT: Final = 65535


def fault_of(address: str) -> str:
    """Why this is no address; empty for `host:port` and `unix:path`."""
    if address.startswith("unix:"):
        return "" if address != "unix:" else "'unix:' names no file; write unix:path"
    if url := _URL.fullmatch(address):
        return f"{address!r} is a URL; write host:port, as {url[1].rstrip('/') or 'localhost:50051'}"
    host, _, port = address.rpartition(":")
    if not host or not port:
        return f"{address!r} is neither host:port nor unix:path"
    if not re.fullmatch(r"[0-9]+", port) or int(port) > _MAX_PORT:
        return f"{address!r} has no port that can be: {port!r} is not a number from 0 to {_MAX_PORT}"
    return ""


def why_taken(address: str) -> str:
    """Why nobody can listen on `host:port` now, in a few words; empty if one can, or if that is not known before.

    Asked before gRPC binds, because its library writes lines of its own to stderr when it cannot.
    """
    host, _, port = address.rpartition(":")
    if address.startswith("unix:") or int(port) == 0:
        return ""
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return f"the host is not known ({error.strerror})"
    faults = [_bind(family, name) for family, *_, name in found]
    taken = any(fault is not None and fault.errno == errno.EADDRINUSE for fault in faults)
    if taken:
        return "is another server using it?"
    return str(faults[0] and faults[0].strerror) if all(faults) else ""


def _bind(family: int, name: tuple[object, ...]) -> OSError | None:
    """What binding fails with."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
            probe.listen(1)
    except OSError as error:
        return error
    return None
