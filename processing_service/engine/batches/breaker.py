"""The breaker of a batch: pauses it when cell after cell fails for want of a domain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from processing_service.engine.batches.chores import Chores
from processing_service.engine.batches.ledger import BatchLedger
from processing_service.engine.batches.records import BatchState, PausedReason, Standing
from processing_service.engine.batches.rules import breaker_open
from processing_service.engine.records import Fault
from processing_service.wire.errors import Code

_MOST: Final = 10
"""So many in a row open it."""

Pause = Callable[[Standing, PausedReason, Fault], Awaitable[None]]
"""Pauses the batch with a standing of its own; to be called with the turn."""


class Breaker:
    """Counts the cells that fail so in a row, and opens; whoever has the batch go on closes it."""

    def __init__(self, ledger: BatchLedger, chores: Chores, pause: Pause) -> None:
        self._ledger, self._chores, self._pause = ledger, chores, pause
        self._in_a_row = 0
        self._why: Fault | None = None
        """Why it opens, from when that is known until it is closed."""

    def note(self, fault: Fault | None, *, may_open: bool) -> None:
        """A cell has ended.

        Args:
            fault: why it failed; None if it did not.
            may_open: False while there is a canary: its verdict says how the batch goes on.
        """
        if fault is None or _root(fault).code != Code.UNAVAILABLE:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if may_open and self._in_a_row >= _MOST and self._ledger.standing.state is BatchState.RUNNING:
            self._open_for(fault)

    def close(self) -> None:
        """The batch goes on: what has failed by now is seen to."""
        self._in_a_row, self._why = 0, None

    def _open_for(self, last: Fault) -> None:
        if self._why is None:
            self._why = breaker_open(self._in_a_row, last)
            self._chores.spawn(self._chores.insist(self._open))

    async def _open(self) -> None:
        """Pauses the batch, unless it stands still by now, or has gone on since."""
        async with self._ledger.turn:
            if self._why is not None and self._ledger.standing.state is BatchState.RUNNING:
                await self._pause(self._ledger.standing, PausedReason.BREAKER, self._why)


def _root(fault: Fault) -> Fault:
    while fault.cause is not None:
        fault = fault.cause
    return fault
