"""What a session starts with is what is stored, whoever asks while it changes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processing_service.engine.definitions import Definition, parse_definition
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.errors import CoordinatorError
from tests.unit.engine.definitions.catalog import Catalog

CATALOG = Catalog()
ROUNDS = 5


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[WorkflowManager]:
    """On a real store."""
    store = SqliteStore(StoreSettings(tmp_path))
    yield WorkflowManager(store.workflows, CATALOG, lambda: time.time_ns() // 1000)
    await store.close()


def saying(text: str, workflow_id: str = "greet") -> Definition:
    step = {
        "step_id": "say",
        "operation": "postprocessing.post_postprocessing_execute",
        "parameters": {"echo": {"text": text}},
    }
    return parse_definition(json.dumps({"workflow_id": workflow_id, "steps": [step]}), CATALOG)[0]


async def test_a_deleted_workflow_is_gone_although_it_was_read_meanwhile(manager: WorkflowManager) -> None:
    """Who asks before the deletion is durable may get it; nobody does afterwards."""
    for _ in range(ROUNDS):
        await manager.put("", saying("hello"))
        asked = (manager.definition("", "greet") for _ in range(3))
        await asyncio.gather(manager.delete("", "greet"), *asked, return_exceptions=True)

        with pytest.raises(CoordinatorError, match="there is no workflow 'greet'"):
            await manager.definition("", "greet")


async def test_a_workflow_that_is_put_is_what_sessions_start_with_although_its_caller_left(
    manager: WorkflowManager,
) -> None:
    """What was compiled before is forgotten when the change is stored, not when its caller hears of it."""
    await manager.put("", saying("hello"))
    await manager.definition("", "greet")
    putting = asyncio.ensure_future(manager.put("", saying("good bye")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    while (await manager.read("", "greet")).digest != saying("good bye").digest:
        pass
    while (await manager.definition("", "greet")).digest != saying("good bye").digest:  # noqa: ASYNC110
        await asyncio.sleep(0)  # a reader may see it a moment before the event loop hears of it
