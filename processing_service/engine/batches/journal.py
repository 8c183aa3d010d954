"""Batches as bytes: `coordinator.journal.v1.BatchStanding` and `BatchChunk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordinator.journal.v1 import journal_pb2

from processing_service.engine.batches.records import (
    BatchKind,
    BatchRecord,
    BatchState,
    PausedReason,
    Standing,
    Verdict,
)
from processing_service.engine.faults import failure_of, fault_from
from processing_service.engine.records import SessionState


class Entry(NamedTuple):
    """A record with its number, and the cells that had begun after it, by the state of their session."""

    sequence: int
    record: BatchRecord
    begun: Mapping[int, int]


def encode_standing(standing: Standing) -> bytes:
    """The standing as a serialised BatchStanding."""
    return journal_pb2.BatchStanding(
        state=standing.state,
        paused_reason=standing.paused_reason,
        priority=standing.priority,
        started_us=standing.started_us,
        ended_us=standing.ended_us,
        retry_before_us=standing.retry_before_us,
        canary=journal_pb2.CanaryVerdict(**standing.canary._asdict()),
        failure=failure_of(standing.fault) if standing.fault is not None else None,
    ).SerializeToString()


def decode_standing(data: bytes) -> Standing:
    """The standing in a serialised BatchStanding."""
    found = journal_pb2.BatchStanding.FromString(data)
    canary = found.canary
    return Standing(
        BatchState(found.state),
        PausedReason(found.paused_reason),
        found.priority,
        found.started_us,
        found.ended_us,
        found.retry_before_us,
        Verdict(canary.decided, canary.passed, canary.failed_count, canary.longest_us),
        fault_from(found.failure) if found.HasField("failure") else None,
    )


def encode_chunk(records: Sequence[BatchRecord], begun: Mapping[int, int]) -> bytes:
    """The records of one transaction, and the cells that have begun after it, as a serialised BatchChunk."""
    entries = [
        journal_pb2.BatchRecord(
            occurred_at_us=record.at,
            kind=record.kind,
            batch_state=record.state,
            cell_number=record.cell + 1,
            cell_state=record.cell_state,
            cell_attempt=record.cell_attempt,
            request_id=record.request_id,
            actor=record.actor,
            message=record.message,
        )
        for record in records
    ]
    return journal_pb2.BatchChunk(records=entries, cells=begun).SerializeToString()


def decode_chunk(data: bytes, first_sequence: int) -> list[Entry]:
    """The records of a serialised BatchChunk; of the cells that end in it those that do so later still run.

    Args:
        first_sequence: number of its first record.
    """
    chunk = journal_pb2.BatchChunk.FromString(data)
    records = [_record(entry) for entry in chunk.records]
    begun, after = dict(chunk.cells), []
    for record in reversed(records):
        after.append(dict(begun))
        if record.kind is BatchKind.CELL_ENDED:
            _unend(begun, record.cell_state)
    return [
        Entry(first_sequence + index, record, counts)
        for index, (record, counts) in enumerate(zip(records, reversed(after), strict=True))
    ]


def _unend(begun: dict[int, int], state: int) -> None:
    """Before its end the cell ran; one that has been begun anew since does not stand with its end any more."""
    if begun.get(state, 0) > 0:
        begun[state] -= 1
        begun[SessionState.RUNNING] = begun.get(SessionState.RUNNING, 0) + 1


def _record(entry: journal_pb2.BatchRecord) -> BatchRecord:
    return BatchRecord(
        at=entry.occurred_at_us,
        kind=BatchKind(entry.kind),
        state=BatchState(entry.batch_state),
        cell=entry.cell_number - 1,
        cell_state=entry.cell_state,
        cell_attempt=entry.cell_attempt,
        request_id=entry.request_id,
        actor=entry.actor,
        message=entry.message,
    )
