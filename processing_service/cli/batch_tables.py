"""Columns and texts of batches and their cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from coordinator.error.v1.error_pb2 import Failure
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from processing_service.cli.output import Column, fact_lines
from processing_service.cli.tables import content, moment, seconds, session_state
from processing_service.client.values import from_struct

_SHOWN: Final = 80
"""Characters of a cell's result that a table shows."""
_UNSUCCESSFUL: Final = ("failed", "timed_out", "cancelled", "terminated")


def batch_state(state: pb.BatchState.ValueType) -> str:
    """RUNNING for BATCH_STATE_RUNNING."""
    return pb.BatchState.Name(state).removeprefix("BATCH_STATE_")


def standing(batch: pb.Batch) -> str:
    """`RUNNING`, `PAUSED by its canary`."""
    state = batch_state(batch.state)
    if batch.state not in (pb.BATCH_STATE_PAUSING, pb.BATCH_STATE_PAUSED) or not batch.paused_reason:
        return state
    return f"{state} by {_PAUSED_BY.get(batch.paused_reason, 'somebody')}"


def done(counts: pb.BatchCounts) -> int:
    """Cells that have ended."""
    return counts.total - counts.pending - counts.running


def unsuccessful(counts: pb.BatchCounts) -> str:
    """`2 failed, 1 timed out`; empty if there are none."""
    found = [(getattr(counts, name), name.replace("_", " ")) for name in _UNSUCCESSFUL]
    return ", ".join(f"{count} {name}" for count, name in found if count)


def counts_text(counts: pb.BatchCounts) -> str:
    """`23 succeeded, 1 failed, 8 running, 8 pending`; what is 0 is left out."""
    found = [(getattr(counts, name), name) for name in ("succeeded", "running", "pending")]
    parts = [f"{count} {name}" for count, name in found if count]
    if lost := unsuccessful(counts):
        parts.insert(1 if counts.succeeded else 0, lost)
    return ", ".join(parts)


def matrix(batch: pb.Batch) -> str:
    """`20 items x 2 workflows`."""
    parts = [many(batch.counts.items, "item")]
    parts += [many(len(batch.model_ids), "model")] if batch.model_ids else []
    parts += [many(len(batch.workflow_ids), "workflow")]
    return " x ".join(parts)


def created_line(batch: pb.Batch) -> str:
    """What somebody wants to know who just made or filled a batch."""
    return f"{batch.batch_id} {batch_state(batch.state)}, {many(batch.counts.total, 'cell')}: {matrix(batch)}"


def ended_text(counts: pb.BatchCounts) -> str:
    """`38 of 40 cells succeeded, 2 failed`."""
    return ", ".join(
        filter(None, [f"{counts.succeeded} of {many(counts.total, 'cell')} succeeded", unsuccessful(counts)])
    )


def batch_lines(batch: pb.Batch) -> Iterator[str]:
    """All that people want to know of a batch."""
    yield from fact_lines(
        [
            ("batch", batch.batch_id),
            ("state", standing(batch)),
            ("cells", f"{batch.counts.total}: {matrix(batch)}"),
            ("of them", counts_text(batch.counts)),
            ("workflows", ", ".join(batch.workflow_ids)),
            ("models", ", ".join(batch.model_ids)),
            ("at once", batch.max_parallel or "8"),
            ("may fail", _limit(batch)),
            ("canary", _canary(batch) if batch.HasField("canary") else ""),
            ("priority", batch.priority),
            ("time of a cell", _duration(batch.cell_timeout)),
            ("labels", ", ".join(f"{key}={value}" for key, value in sorted(batch.labels.items()))),
            ("created", moment(batch.created_at)),
            ("started", moment(batch.started_at)),
            ("took", _between(batch.started_at, batch.ended_at)),
        ]
    )
    if batch.HasField("failure"):
        yield f"failure: {batch.failure.message} ({batch.failure.reason_name})"


def root(failure: Failure) -> Failure:
    """The failure that caused the others."""
    while failure.HasField("cause"):
        failure = failure.cause
    return failure


def cell_name(cell: pb.BatchCell) -> str:
    """`page-3 x read-text`, with the model if there is one."""
    return " x ".join(filter(None, (cell.item_id, cell.model_id, cell.workflow_id)))


def _result(cell: pb.BatchCell) -> str:
    """The outputs, or why there are none."""
    if cell.HasField("failure"):
        cause = root(cell.failure)
        return f"{cause.message} ({cause.reason_name})"
    texts = [
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(from_struct(cell.outputs).items())
    ]
    texts += [f"{name}: {content(datum)}" for name, datum in sorted(cell.payloads.items())]
    text = ", ".join(texts)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _limit(batch: pb.Batch) -> str:
    match batch.WhichOneof("failure_limit"):
        case "max_failures":
            return f"at most {many(batch.max_failures, 'cell')}"
        case "max_failure_ratio":
            return f"at most {batch.max_failure_ratio * 100:.4g}% of the cells"
    return "any number of cells"


def _canary(batch: pb.Batch) -> str:
    canary = batch.canary
    slowest = (
        f", none longer than {_duration(canary.max_cell_duration)}" if canary.HasField("max_cell_duration") else ""
    )
    asked = f"{many(canary.cell_count, 'cell')}, at most {canary.max_failures} failed{slowest}"
    if not canary.HasField("longest_cell_duration"):
        return asked
    verdict = "passed" if canary.passed else "did not pass"
    return (
        f"{asked}; {verdict}: {canary.failed_count} failed, the longest took {_duration(canary.longest_cell_duration)}"
    )


def many(count: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _duration(duration: Duration) -> str:
    return seconds(duration.ToMicroseconds() / 1e6)


def _between(start: Timestamp, end: Timestamp) -> str:
    """Empty until both are there."""
    return seconds((end.ToMicroseconds() - start.ToMicroseconds()) / 1e6) if start.ByteSize() and end.ByteSize() else ""


_PAUSED_BY: Final = {
    pb.PAUSED_REASON_OPERATOR: "an operator",
    pb.PAUSED_REASON_CANARY: "its canary",
    pb.PAUSED_REASON_BREAKER: "its breaker",
}

BATCH_COLUMNS = (
    Column("batch", lambda batch: batch.batch_id),
    Column("state", standing),
    Column("done", lambda batch: f"{done(batch.counts)}/{batch.counts.total}"),
    Column("unsuccessful", lambda batch: unsuccessful(batch.counts)),
    Column("created", lambda batch: moment(batch.created_at)),
    Column("took", lambda batch: _between(batch.started_at, batch.ended_at)),
    Column("workflows", lambda batch: ", ".join(batch.workflow_ids)),
)

CELL_COLUMNS = (
    Column("item", lambda cell: cell.item_id),
    Column("model", lambda cell: cell.model_id),
    Column("workflow", lambda cell: cell.workflow_id),
    Column("state", lambda cell: session_state(cell.state)),
    Column("attempt", lambda cell: cell.attempt or ""),
    Column("took", lambda cell: _between(cell.started_at, cell.ended_at)),
    Column("result", _result),
)
