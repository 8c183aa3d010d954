"""A request_id is carried out once, however its calls come."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coordinator.processing.v1.processing_pb2 import (
    DeleteProcessingSessionRequest,
    DeleteProcessingSessionResponse,
    Workflow,
)

from instructors.repeats import Repeats
from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings

REQUEST = DeleteProcessingSessionRequest(session_id="s", request_id="r")


class Deletion:
    """Counts how often it is carried out and how often its answer is given again."""

    def __init__(self, store: SqliteStore) -> None:
        self._store, self._repeats = store, Repeats(store.requests, lambda: time.time_ns() // 1000)
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.done = self.repeated = 0

    async def call(self) -> DeleteProcessingSessionResponse:
        return await self._repeats.once("", "DeleteProcessingSession", REQUEST, "s", self._act, self._again)

    async def _act(self, note: RequestNote | None) -> DeleteProcessingSessionResponse:
        self.begun.set()
        await self.go.wait()
        await self._store.workflows.put("", Workflow(workflow_id="w"), b"1" * 32, 1, note)
        self.done += 1
        return DeleteProcessingSessionResponse()

    async def _again(self, subject: str) -> DeleteProcessingSessionResponse:
        self.repeated += 1
        return DeleteProcessingSessionResponse()


@pytest.fixture
async def deletion(tmp_path: Path) -> AsyncIterator[Deletion]:
    """On a real store."""
    store = SqliteStore(StoreSettings(tmp_path))
    yield Deletion(store)
    await store.close()


async def test_equal_calls_at_the_same_time_are_carried_out_once(deletion: Deletion) -> None:
    """The others wait and get the first answer."""
    deletion.go.set()
    await asyncio.gather(*(deletion.call() for _ in range(5)))

    assert (deletion.done, deletion.repeated) == (1, 4)


async def test_a_call_whose_caller_leaves_is_noted_all_the_same(deletion: Deletion) -> None:
    """Who asks again gets the answer and not the traces of the first call."""
    first = asyncio.ensure_future(deletion.call())
    await deletion.begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    deletion.go.set()
    await deletion.call()

    assert (deletion.done, deletion.repeated) == (1, 1)
