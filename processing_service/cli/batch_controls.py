"""`batch pause`, `resume`, `cancel`, `retry-failed`, `reprioritize`: commands to batches."""

from __future__ import annotations

from typing import Annotated

import typer

from processing_service.cli.verbs import Call, verb

BatchIds = Annotated[list[str], typer.Argument(metavar="BATCH", help="Names of batches.")]
CommentFlag = Annotated[str, typer.Option("--comment", help="Why; stands in the history.")]

_TEXTS = {
    "pause": "Begins no further cell.\n\nThose that run are paused as sessions are.",
    "resume": "Goes on with paused batches.\n\nAlso behind a canary that did not pass.",
    "cancel": "Cancels batches.\n\nThe cells that run are cancelled, the rest does not begin.",
    "retry-failed": "Runs what failed once more.\n\nAlso cells that were cancelled, terminated or out of time; "
    "what succeeded is kept.",
}


def add_to(app: typer.Typer) -> None:
    """Adds the commands to those of batches."""
    for name, text in _TEXTS.items():
        _add(app, name, text)
    verb(app, "reprioritize")(_reprioritize)


def _add(app: typer.Typer, name: str, text: str) -> None:
    async def control(call: Call, batch_ids: BatchIds, comment: CommentFlag = "") -> None:
        await _control(call, name, batch_ids, comment)

    control.__doc__ = text
    verb(app, name)(control)


async def _reprioritize(
    call: Call,
    batch_ids: BatchIds,
    priority: Annotated[int, typer.Option("--priority", min=1, max=10, help="1 to 10, 10 first.")],
    comment: CommentFlag = "",
) -> None:
    """Changes the priority of batches.

    It is that of all calls that have yet to go out, also of those that wait for their models.
    """
    await _control(call, "reprioritize", batch_ids, comment, priority)


async def _control(call: Call, name: str, batch_ids: list[str], comment: str, priority: int = 0) -> None:
    from coordinator.processing.v1 import processing_pb2 as pb

    from processing_service.cli.batch_tables import standing

    action = pb.BatchAction.Value(f"BATCH_ACTION_{name.upper().replace('-', '_')}")
    for batch_id in batch_ids:
        reply = await call.client.post_batch_control(batch_id, action, priority=priority, comment=comment)
        done = "" if reply.applied else ", not applied yet"
        shown = f", priority {reply.batch.priority}" if priority else ""
        call.output.one(reply, [f"{batch_id} {standing(reply.batch)}{shown}{done}"])
