"""Chores are done until they are taken, and not at all once their batch runs elsewhere."""

from __future__ import annotations

import asyncio

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches import chores
from processing_service.engine.batches.chores import Chores, may_pass
from processing_service.wire.errors import Code, CoordinatorError, Unavailable

FULL = CoordinatorError(Code.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_STORE_FULL, "full")
AWAY = Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "away")
NO = CoordinatorError(Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_BATCH_STATE_ILLEGAL, "no")


async def test_what_the_store_does_not_take_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble of the store passes; a refusal does not."""
    monkeypatch.setattr(chores, "PAUSE_S", 0.0)
    answers: list[CoordinatorError | None] = [FULL, AWAY, None, NO]

    async def work() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "done"

    assert await Chores("b").insist(work) == "done"
    with pytest.raises(CoordinatorError, match="no"):
        await Chores("b").insist(work)
    assert [may_pass(error) for error in (FULL, AWAY, NO)] == [True, True, False]


async def test_nothing_is_done_once_they_are_closed() -> None:
    """What is under way ends, and what comes is not begun."""
    kept, begun = Chores("b"), []

    async def work() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    kept.spawn(work())
    await asyncio.sleep(0)
    kept.close()
    kept.spawn(work())
    await asyncio.sleep(0)

    assert begun == [1]
