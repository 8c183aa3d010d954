"""Batches that were stopped: what stands in their `failure`."""

from pathlib import Path
from typing import Any

from coordinator.processing.v1 import processing_pb2 as pb

from tests.contract.golden_errors import Golden
from tests.coordinators import Served, echo, serving
from tests.integration.test_batches import batch, create, execute, items, put

FEW = 3
ONCE = {"max_attempts": 1}
MANY = 12
"""More than the failures in a row that open the breaker."""


async def errors(folder: Path) -> dict[str, Golden]:
    """By cells that fail."""
    async with serving(folder, drain_grace=0.0) as served:
        await put(served)
        found = {
            "CANARY_FAILED": await _failure(
                served, "canary", FEW, pb.BATCH_STATE_PAUSED, canary=pb.Canary(cell_count=1)
            ),
            "BATCH_FAILURES_EXCEEDED": await _failure(served, "limit", FEW, pb.BATCH_STATE_FAILED, max_failures=0),
        }
    away = f"unix:{folder}/postprocessing.sock"
    async with serving(folder / "away", postprocessing_address=away, drain_grace=0.0) as served:
        await _put_hasty(served)
        found["BREAKER_OPEN"] = await _failure(served, "breaker", MANY, pb.BATCH_STATE_PAUSED)
    return found


async def _failure(served: Served, batch_id: str, count: int, state: pb.BatchState.ValueType, **fields: Any) -> Golden:
    """Of a batch in which every cell fails, once it is in that state."""
    await create(served, items(count, delay="-1s"), batch_id=batch_id, max_parallel=1, **fields)
    await execute(served, batch_id)
    while (found := await batch(served, batch_id)).state != state:
        pass
    return found.failure


async def _put_hasty(served: Served) -> None:
    """As `put`, but its cells wait for their domain a moment only."""
    delay = {"delay": {"value_type": "STRING"}}
    await served.put("say", echo(delay="${parameters.delay}", timeout="0.1s", retry=ONCE), parameters=delay)
