"""Sessions as rows: how one is written, read and found."""

from __future__ import annotations

from typing import Any

from processing_service.engine.records import SessionState
from processing_service.engine.state import State
from processing_service.engine.store.base import SessionFilter, SessionRow, SessionStart


def new_row(number: int, start: SessionStart, stands: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """The row of a session that begins.

    Args:
        stands: as `stands` gives it; None if nothing has happened yet.
    """
    pending = (SessionState.PENDING, 1, 0, 0, start.created_us + start.budget_us, start.budget_us, 0, 0, 0, b"")
    return (
        number,
        start.session_id,
        start.tenant,
        start.workflow_id,
        start.definition_digest,
        start.request,
        start.created_us,
        start.budget_us,
        start.request_id or None,
        start.request_digest or None,
        start.model_id,
        start.priority,
        start.admission_class,
        start.durability,
        start.labels,
        start.parent_session_id,
        start.batch_id,
        start.item_id,
        start.depth,
        start.traceparent,
        start.model_pin,
        *(stands or pending),
        start.batch_number,
        start.cell,
    )


def stands(state: State, result: bytes) -> tuple[Any, ...]:
    """Where a session stands, as its row has it."""
    return (
        state.state,
        state.attempt,
        state.started_us,
        state.ended_us,
        0 if state.paused_us else state.deadline_us,
        state.left_us if state.paused_us else state.budget_us,
        state.sequence,
        state.in_flight,
        state.recoveries,
        result,
    )


def read_row(row: tuple[Any, ...]) -> SessionRow:
    """The session in a row, without its definition."""
    start = SessionStart(
        session_id=row[1],
        tenant=row[2],
        workflow_id=row[3],
        definition_digest=row[4],
        definition=b"",
        request=row[5],
        created_us=row[6],
        budget_us=row[7],
        request_id=row[8] or "",
        request_digest=row[9] or b"",
        model_id=row[10],
        priority=row[11],
        admission_class=row[12],
        durability=row[13],
        labels=row[14],
        parent_session_id=row[15],
        batch_id=row[16],
        item_id=row[17],
        depth=row[18],
        traceparent=row[19],
        model_pin=row[20],
        batch_number=row[31],
        cell=row[32],
    )
    return SessionRow(row[0], start, SessionState(row[21]), *row[22:31])


def where(which: SessionFilter, before: int) -> tuple[str, tuple[Any, ...]]:
    """The condition for the rows that a filter lets pass, and its values."""
    parts: list[tuple[str, tuple[Any, ...]]] = [("tenant = ?", (which.tenant,))]
    if before:
        parts.append(("n < ?", (before,)))
    for column in ("workflow_id", "model_id", "batch_id", "parent_session_id"):
        if value := getattr(which, column):
            parts.append((f"{column} = ? AND {column} <> ''", (value,)))  # the partial indices want to see that
    if which.states:
        parts.append((f"state IN ({', '.join('?' * len(which.states))})", which.states))
    for label, value in which.labels:
        # not json_extract: its paths cannot name every label
        has = "labels <> '' AND EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)"
        parts.append((has, (label, value)))
    if which.created_after_us:
        parts.append(("created_us >= ?", (which.created_after_us,)))
    if which.created_before_us:
        parts.append(("created_us < ?", (which.created_before_us,)))
    return " AND ".join(part for part, _ in parts), tuple(value for _, values in parts for value in values)
