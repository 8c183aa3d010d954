from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.completion import complete
from processing_service.wire.errors import CoordinatorError, Unavailable

REFUSED = Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "later")


class Work:
    """Ends when it is told to, well or with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.go, self.done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._error = error

    async def carry_out(self) -> str:
        self.begun.set()
        await self.go.wait()
        self.done.set()
        if self._error is not None:
            raise self._error
        return "done"


async def leave(work: Work) -> None:
    """A caller that leaves while the work goes on; returns when that has ended and all that could be told is told."""
    caller = asyncio.ensure_future(complete(work.carry_out(), "PutThing"))
    await work.begun.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    work.go.set()
    await work.done.wait()
    del caller
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()


async def test_a_caller_that_stays_gets_the_result_or_the_error() -> None:
    """As if it had awaited the work itself."""
    well, ill = Work(), Work(REFUSED)
    well.go.set()
    ill.go.set()

    assert await complete(well.carry_out(), "PutThing") == "done"
    with pytest.raises(CoordinatorError, match="later"):
        await complete(ill.carry_out(), "PutThing")


@pytest.mark.parametrize("error", [None, REFUSED])
async def test_work_whose_caller_left_ends_in_silence(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is carried out; a refusal that nobody waits for is no fault of the server."""
    await leave(Work(error))

    assert caplog.records == []


async def test_an_unexpected_error_of_such_work_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """By our own log, with its trace, and not by asyncio as one that was never retrieved."""
    error = RuntimeError("broken")
    await leave(Work(error))

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("processing_service.engine.completion", logging.ERROR)
    assert record.message == "unexpected RuntimeError in PutThing, whose caller has left"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
