"""What a command does with a batch: follows it, shows its end, saves its files."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.batch_progress import follow
from processing_service.cli.batch_tables import batch_lines, batch_state, created_line, ended_text
from processing_service.cli.failures import ExitCode, stop
from processing_service.cli.runs import save
from processing_service.cli.verbs import Call
from processing_service.cli.waiting import waiting
from processing_service.client import BATCH_ENDED

_EXIT_CODES: Final = {
    pb.BATCH_STATE_SUCCEEDED: ExitCode.OK,
    pb.BATCH_STATE_PARTIALLY_SUCCEEDED: ExitCode.PARTIAL,
}
_CREATION: Final = 1
"""Number of the event of a batch's creation: behind it is all that happened since it was started."""
_NEEDS_SOMEBODY: Final = (pb.PAUSED_REASON_CANARY, pb.PAUSED_REASON_BREAKER)


async def watch(call: Call, batch_id: str, after: int | None, max_wait: float | None) -> None:
    """Shows the way of a batch on stdout, then ends the command with the code of its state."""
    if call.output.for_people:
        batch = await _follow(call, batch_id, after, max_wait, sys.stdout)
    else:
        async with waiting(call, "batch", batch_id, max_wait):
            async for update in _until_somebody(call, batch_id, after):
                call.output.json_line(update)
            batch = (await call.client.get_processing_batch(batch_id)).batch
    _exit(batch)


async def execute(call: Call, batch_id: str, request_id: str, *, watch: bool, max_wait: float | None) -> None:
    """Starts a batch and prints it; with `watch` at its end, its way there on stderr, and the command's code is its."""
    batch = (await call.client.post_batch_execute(batch_id, request_id=request_id)).batch
    if not watch:
        call.output.one(batch, [created_line(batch)])
        return
    batch = await _follow(call, batch_id, _CREATION, max_wait, sys.stderr)
    call.output.one(batch, batch_lines(batch))
    _exit(batch)


async def save_cells(call: Call, cells: AsyncIterator[pb.BatchCell], folder: Path) -> AsyncIterator[pb.BatchCell]:
    """The cells; the outputs of each that are files are in `folder/item/model/workflow` by then."""
    async for cell in cells:
        if cell.payloads:
            place = folder.joinpath(*filter(None, (cell.item_id, cell.model_id, cell.workflow_id)))
            await save(call, pb.Session(payloads=cell.payloads), place)
        yield cell


async def _follow(call: Call, batch_id: str, after: int | None, max_wait: float | None, stream: IO[str]) -> pb.Batch:
    async with waiting(call, "batch", batch_id, max_wait):
        await follow(_until_somebody(call, batch_id, after), stream)
        return (await call.client.get_processing_batch(batch_id)).batch


async def _until_somebody(
    call: Call, batch_id: str, after: int | None
) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
    """The updates until the end, or until nothing goes on because somebody has to decide."""
    async for update in call.client.watch_batch(batch_id, after):
        yield update
        if await _is_stuck(call, batch_id, update, after):
            return


async def _is_stuck(call: Call, batch_id: str, update: pb.WatchProcessingBatchResponse, after: int | None) -> bool:
    if update.HasField("snapshot"):
        return _needs_somebody(update.snapshot) and (after is None or after == update.snapshot.last_sequence)
    if not update.HasField("event") or update.event.batch_state != pb.BATCH_STATE_PAUSED:
        return False
    batch = (await call.client.get_processing_batch(batch_id)).batch
    return _needs_somebody(batch) and batch.last_sequence == update.event.sequence


def _needs_somebody(batch: pb.Batch) -> bool:
    return batch.state == pb.BATCH_STATE_PAUSED and batch.paused_reason in _NEEDS_SOMEBODY


def _exit(batch: pb.Batch) -> None:
    code = _EXIT_CODES.get(batch.state, ExitCode.FAILED)
    if code is ExitCode.OK:
        return
    for line in _why(batch):
        print(line, file=sys.stderr)
    raise stop(code)


def _why(batch: pb.Batch) -> list[str]:
    name, command = batch.batch_id, "processing-service batch"
    failure = [f"  {batch.failure.message} ({batch.failure.reason_name})"] if batch.HasField("failure") else []
    if batch.state not in BATCH_ENDED:
        choice = f"`{command} retry-failed {name}` tries once more, `resume` goes on all the same, `cancel` gives up"
        return [f"error: batch {name} is paused until somebody decides", *failure, f"next: {choice}"]
    look = f"`{command} items {name} --state failed` shows why, `{command} retry-failed {name}` runs them again"
    return [
        f"error: batch {name} ended {batch_state(batch.state)}: {ended_text(batch.counts)}",
        *failure,
        f"next: {look}",
    ]
