"""How late the event loop comes back to what it was asked to do: the measure of what blocks it."""

from __future__ import annotations

import asyncio

from processing_service.wire.telemetry.hooks import LoopLag, Telemetry


class LoopLagSampler:
    """Asks the loop for a turn again and again, and tells how late it was given.

    Args:
        telemetry: gets a LoopLag for each sample.
        interval: seconds between two samples.
    """

    def __init__(self, telemetry: Telemetry, interval: float = 0.05) -> None:
        self._telemetry = telemetry
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to sample on the running loop."""
        self._ask(asyncio.get_running_loop())

    def stop(self) -> None:
        """Ends sampling."""
        if self._timer is not None:
            self._timer.cancel()

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._interval
        self._timer = loop.call_at(due, self._take, loop, due)

    def _take(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._telemetry.emit(LoopLag(max(0.0, loop.time() - due)))
        self._ask(loop)
