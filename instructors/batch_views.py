"""What the engine keeps of batches, as the contract shows it."""

from __future__ import annotations

import json

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine.batches.journal import Entry
from processing_service.engine.batches.matrix import Matrix
from processing_service.engine.batches.records import BatchKind, Counts
from processing_service.engine.faults import failure_of
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import SessionRow
from processing_service.engine.store.batch import BatchRow, Cell


def batch_of(row: BatchRow, owner: str) -> pb.Batch:
    """A batch.

    Args:
        owner: the coordinator that runs it, if it does.
    """
    creation, standing = pb.PostBatchCreateRequest.FromString(row.start.request), row.standing
    batch = pb.Batch(
        batch_id=row.start.batch_id,
        model_ids=creation.model_ids,
        workflow_ids=creation.workflow_ids,
        state=standing.state,  # type: ignore[arg-type]  # the numbers are the contract's
        paused_reason=standing.paused_reason,  # type: ignore[arg-type]
        max_parallel=creation.max_parallel,
        priority=standing.priority,
        counts=counts_of(row.counts),
        last_sequence=row.last_sequence,
        tenant=row.start.tenant,
        owner="" if standing.state.terminal else owner,
        labels=json.loads(row.start.labels) if row.start.labels else None,
        request_id=creation.request_id,
    )
    _add_limits(batch, creation)
    _add_times(batch, row)
    if creation.HasField("canary"):
        _add_canary(batch, creation, row)
    if standing.fault is not None:
        batch.failure.CopyFrom(failure_of(standing.fault))
    return batch


def _add_limits(batch: pb.Batch, creation: pb.PostBatchCreateRequest) -> None:
    limit = creation.WhichOneof("failure_limit")
    if limit is not None:
        setattr(batch, limit, getattr(creation, limit))
    if creation.HasField("cell_timeout"):
        batch.cell_timeout.CopyFrom(creation.cell_timeout)


def _add_times(batch: pb.Batch, row: BatchRow) -> None:
    batch.created_at.FromMicroseconds(row.start.created_us)
    if row.standing.started_us:
        batch.started_at.FromMicroseconds(row.standing.started_us)
    if row.standing.ended_us:
        batch.ended_at.FromMicroseconds(row.standing.ended_us)


def _add_canary(batch: pb.Batch, creation: pb.PostBatchCreateRequest, row: BatchRow) -> None:
    verdict = row.standing.canary
    batch.canary.CopyFrom(creation.canary)
    batch.canary.passed, batch.canary.failed_count = verdict.passed, verdict.failed_count
    batch.canary.ClearField("longest_cell_duration")  # the server's to say
    if verdict.decided:
        batch.canary.longest_cell_duration.FromMicroseconds(verdict.longest_us)


def counts_of(counts: Counts) -> pb.BatchCounts:
    """Cells by state."""
    return pb.BatchCounts(
        items=counts.items,
        total=counts.total,
        pending=counts.pending,
        running=counts.running,
        succeeded=counts.of(SessionState.SUCCEEDED),
        failed=counts.of(SessionState.FAILED),
        cancelled=counts.cancelled,
        terminated=counts.of(SessionState.TERMINATED),
        timed_out=counts.of(SessionState.TIMED_OUT),
    )


def cell_of(cell: Cell, row: BatchRow, creation: pb.PostBatchCreateRequest) -> pb.BatchCell:
    """A cell, with what it came to."""
    shown = _named(cell.number, cell.item_id, row.matrix, creation)
    if cell.session is not None:
        _add_session(shown, cell.session)
    else:
        over = row.standing.state.terminal
        shown.state = pb.SESSION_STATE_CANCELLED if over else pb.SESSION_STATE_PENDING
    return shown


def _named(number: int, item_id: str, matrix: Matrix, creation: pb.PostBatchCreateRequest) -> pb.BatchCell:
    place = matrix.place(number)
    model_id = creation.model_ids[place.model] if creation.model_ids else ""
    return pb.BatchCell(item_id=item_id, model_id=model_id, workflow_id=creation.workflow_ids[place.workflow])


def _add_session(cell: pb.BatchCell, session: SessionRow) -> None:
    cell.session_id, cell.attempt = session.start.session_id, session.attempt
    cell.state = session.state  # type: ignore[assignment]  # the numbers are the contract's
    if session.started_us:
        cell.started_at.FromMicroseconds(session.started_us)
    if session.state.terminal:
        cell.ended_at.FromMicroseconds(session.ended_us)
        result = pb.Session.FromString(session.result)
        cell.outputs.CopyFrom(result.outputs)
        for name, datum in result.payloads.items():
            cell.payloads[name].CopyFrom(datum)
        if result.HasField("failure"):
            cell.failure.CopyFrom(result.failure)


def event_of(
    entry: Entry, row: BatchRow, creation: pb.PostBatchCreateRequest, session: SessionRow | None
) -> pb.BatchEvent:
    """One entry of a history.

    Args:
        session: of the cell that ended, as it stands now; None if it is gone.
    """
    record = entry.record
    event = pb.BatchEvent(
        sequence=entry.sequence,
        kind=record.kind,  # type: ignore[arg-type]  # the numbers are the contract's
        batch_state=record.state,  # type: ignore[arg-type]
        request_id=record.request_id,
        actor=record.actor,
        message=record.message,
        counts=counts_of(row.counted(entry.begun, record.state)),
    )
    event.occurred_at.FromMicroseconds(record.at)
    if record.kind is BatchKind.CELL_ENDED:
        item_id = session.start.item_id if session is not None else ""
        event.cell.CopyFrom(_named(record.cell, item_id, row.matrix, creation))
        if session is not None and session.attempt == record.cell_attempt:
            _add_session(event.cell, session)
        event.cell.state, event.cell.attempt = record.cell_state, record.cell_attempt  # type: ignore[assignment]
        event.cell.session_id = session.start.session_id if session is not None else ""
    return event
