"""Ids: the shape that callers may choose, and server-made ones that sort by time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RANDOM_BYTES: Final = 5
_AT_ONCE: Final = 200
"""Ids whose random bytes are taken together: the system call costs as much for one."""


class TimeOrderedIds:
    """Makes ids of 24 hexadecimal digits: 12 of milliseconds, 2 that count within one, 10 random.

    Ids made later sort later (as RFC 9562 version 7), so that an index grows at its end.
    """

    def __init__(self, now_us: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._now_us, self._random_bytes = now_us, random_bytes
        self._last = 0
        self._random: list[str] = []

    def __call__(self) -> str:
        """The next id."""
        moment = (self._now_us() // 1000) << 8
        self._last = max(moment, self._last + 1)
        if not self._random:
            self._random = self._random_bytes(_RANDOM_BYTES * _AT_ONCE).hex(" ", _RANDOM_BYTES).split()
        return f"{self._last:014x}{self._random.pop()}"


def check_id(field_path: str, value: str) -> str:
    """The value, if it is a valid id of a session, batch, item or request.

    Raises:
        CoordinatorError: FIELD_INVALID.
    """
    if not _ID.fullmatch(value):
        text = (
            f"{value[:40]!r} is not an id: at most 128 letters, digits, '.', '_' and '-', the first a letter or digit"
        )
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, field_path, text)
    return value
