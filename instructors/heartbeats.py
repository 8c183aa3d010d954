"""Signs of life of calls that are out: each is reported every half second, by one timer for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from processing_service.engine.base import Progress

EVERY_S: Final = 0.5
"""How often a call is reported, in seconds."""

Report = Callable[[Progress], None]


class _Call(NamedTuple):
    key: str
    domain: str
    begun: int
    """The beat in which it began."""


class Heartbeats:
    """Reports calls that last longer than a beat.

    Args:
        waits: whether a call, by domain and step key, waits for its turn.
    """

    def __init__(self, waits: Callable[[str, str], bool]) -> None:
        self._waits = waits
        self._out: dict[Report, _Call] = {}
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, report: Report, key: str, domain: str) -> None:
        """A call begins; its `report` is its own. It costs no timer and no look at a clock."""
        self._out[report] = _Call(key, domain, self._beats)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)

    def end(self, report: Report) -> None:
        """The call is over."""
        del self._out[report]

    def beat(self) -> None:
        """Reports every call that began before the last beat."""
        self._beats += 1
        for report, call in list(self._out.items()):
            lasted = (self._beats - call.begun - 1) * EVERY_S
            if lasted > 0:
                does = "waits for its turn" if self._waits(call.domain, call.key) else "is out"
                report(Progress(0.0, f"{does}, for {lasted:g} s by now"))

    def _tick(self) -> None:
        self.beat()
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick) if self._out else None
