"""Who waits for a change looks again after each."""

from __future__ import annotations

import asyncio

from processing_service.engine.batches.signal import Signal


async def test_a_condition_is_looked_at_after_each_change() -> None:
    """A change that was not the one is waited on."""
    signal, looks, seen = Signal(), [False, False, True], asyncio.Event()

    def condition() -> bool:
        seen.set()
        return looks.pop(0)

    waiting = asyncio.ensure_future(signal.until(condition))
    while looks:
        await seen.wait()
        seen.clear()
        signal.wake()
    await waiting

    assert looks == []
