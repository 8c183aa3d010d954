"""Signs of life of calls that are out: each is reported every half second, by one timer for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from processing_service.engine.base import Progress, Wait

EVERY_S: Final = 0.5
"""How often a call is reported, in seconds."""

Report = Callable[[Progress], None]


class _Call(NamedTuple):
    begun: int
    """The beat in which it began."""
    wait: Wait | None = None


class Heartbeats:
    """Reports calls that last longer than a beat."""

    def __init__(self) -> None:
        self._out: dict[Report, _Call] = {}
        self._beats = 0
        self._begun = _Call(0)
        """A call that begins in this beat."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, report: Report) -> None:
        """A call begins; its `report` is its own. It costs no timer and no look at a clock."""
        self._out[report] = self._begun
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)

    def tell(self, report: Report, wait: Wait) -> None:
        """A call waits, or does not any more: that is reported at once, and at each beat as long as it is so."""
        self._out[report] = self._out[report]._replace(wait=wait)
        report(Progress(0.0, wait.text(), wait))

    def end(self, report: Report) -> None:
        """The call is over."""
        del self._out[report]

    def beat(self) -> None:
        """Reports every call that began before the last beat."""
        self._beats += 1
        self._begun = _Call(self._beats)
        for report, (begun, wait) in list(self._out.items()):
            lasted = (self._beats - begun - 1) * EVERY_S
            if lasted > 0:
                does = wait.text() if wait is not None and wait.reason() else "is out"
                report(Progress(0.0, f"{does}, for {lasted:g} s by now", wait))

    def _tick(self) -> None:
        self.beat()
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick) if self._out else None
