"""What the engine keeps, as the contract shows it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from coordinator.payload.v1.payload_pb2 import Artifact
from coordinator.processing.v1.processing_pb2 import CallReceipt, Session, SessionEvent, StepStatus
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from instructors.waits import reason_of
from processing_service.engine.definitions import CompiledStep, Definition
from processing_service.engine.faults import failure_of
from processing_service.engine.records import Kind, Output, Record, SessionState, Spent, StepState, step_key
from processing_service.engine.state import State, Step
from processing_service.engine.store.base import SessionRow, SessionStart
from processing_service.wire.telemetry.trace_ids import trace_id_of


def session_of(start: SessionStart, state: State, result: bytes, now_us: int, owner: str) -> Session:
    """A session without its steps."""
    session = Session.FromString(result) if state.state.terminal else Session()
    session.session_id = start.session_id
    session.workflow_id = start.workflow_id
    session.workflow_digest = start.definition_digest.hex()
    session.state = state.state  # type: ignore[assignment]  # the numbers are the contract's
    session.attempt = state.attempt
    session.priority = start.priority
    session.admission_class = start.admission_class  # type: ignore[assignment]  # the numbers are the contract's
    session.durability = start.durability  # type: ignore[assignment]
    session.last_sequence = state.sequence
    session.created_at.FromMicroseconds(start.created_us)
    if state.started_us:
        session.started_at.FromMicroseconds(state.started_us)
    if state.state.terminal:
        session.ended_at.FromMicroseconds(state.ended_us)
        session.progress = float(state.state is SessionState.SUCCEEDED)
    else:
        _add_budget(session, state, now_us)
        session.owner = owner
    _add_names(session, start)
    return session


def _add_budget(session: Session, state: State, now_us: int) -> None:
    session.in_flight_count = state.in_flight
    if state.paused_us:
        session.remaining_budget.FromMicroseconds(state.left_us)
    else:
        session.deadline_at.FromMicroseconds(state.deadline_us)
        session.remaining_budget.FromMicroseconds(max(0, state.deadline_us - now_us))


def _add_names(session: Session, start: SessionStart) -> None:
    """What most sessions do not have."""
    session.model_id = start.model_id
    session.request_id = start.request_id
    session.tenant = start.tenant
    session.parent_session_id = start.parent_session_id
    session.batch_id = start.batch_id
    session.item_id = start.item_id
    if start.labels:
        session.labels.update(json.loads(start.labels))
    if start.traceparent:
        session.trace_id = trace_id_of(start.traceparent)


def row_view(row: SessionRow, now_us: int, owner: str) -> Session:
    """A stored session without its steps."""
    paused_us = int(row.deadline_us == 0)  # when does not matter: the row says what was left
    state = State(
        row.start.session_id,
        [],
        row.deadline_us or paused_us + row.budget_us,
        row.budget_us,
        row.state,
        row.last_sequence,
        row.attempt,
        row.start.created_us,
        row.started_us,
        row.ended_us,
        in_flight=row.in_flight,
        paused_us=paused_us,
    )
    return session_of(row.start, state, row.result, now_us, owner)


def steps_of(definition: Definition, state: State) -> list[StepStatus]:
    """The steps of a session."""
    return [_step(state, step, compiled) for step, compiled in zip(state.steps, definition.steps, strict=True)]


def _step(state: State, step: Step, compiled: CompiledStep) -> StepStatus:
    operation = compiled.operation.operation
    status = StepStatus(step_id=compiled.step_id, state=step.state, attempt=step.attempt, operation=operation)  # type: ignore[arg-type]
    if step.state is StepState.WAITING and not state.state.terminal:
        status.wait_reason = reason_of(state, step)
        status.waiting_since.FromMicroseconds(step.since_us)
    if step.output is not None:
        status.outputs["response"].CopyFrom(artifact_of(step.output))
    if step.output is not None and not step.reused_from:
        _add_times(status, step.output, compiled)
    if step.fault is not None:
        status.failure.CopyFrom(failure_of(step.fault))
    if step.items is not None:
        status.items_done, status.items_total = len(step.items.outputs), step.items.total
    status.reused_from_step_key = step.reused_from
    return status


def _add_times(status: StepStatus, output: Output, compiled: CompiledStep) -> None:
    """Where the call's time went, as its domain said it; it stands in the result itself, or beside a large one."""
    if output.spent is not None:
        for name, spent_us in output.spent._asdict().items():
            if spent_us:
                getattr(status, name).FromMicroseconds(spent_us)
        return
    response = compiled.operation.response
    if not output.data or "computing" not in response.fields_by_name:
        return
    message: Any = GetMessageClass(response).FromString(output.data)
    for name in Spent._fields:
        if name in response.fields_by_name and message.HasField(name):
            getattr(status, name).CopyFrom(getattr(message, name))


def artifact_of(output: Output) -> Artifact:
    """The reference to a result."""
    digest = output.digest or hashlib.sha256(output.data).digest()
    size = output.size_bytes or len(output.data)
    return Artifact(digest=digest.hex(), size_bytes=size, type_name=output.type_name)


def event_of(record: Record, session_id: str, step_ids: Mapping[int, str]) -> SessionEvent:
    """One entry of a history.

    Args:
        step_ids: step_id by index.
    """
    step_id = step_ids.get(record.step, "")
    event = SessionEvent(
        sequence=record.sequence,
        occurred_at=_timestamp(record.at),
        kind=record.kind,  # type: ignore[arg-type]  # the numbers are the contract's
        session_attempt=record.session_attempt,
        step_id=step_id,
        item_index=record.item if record.item >= 0 else None,
        attempt=record.attempt,
        session_state=record.session_state,  # type: ignore[arg-type]
    )
    if record.output is not None:
        event.outputs["response"].CopyFrom(artifact_of(record.output))
    if record.kind >= Kind.STEP_FAILED:
        _add_rare(event, record, step_key(session_id, step_id, record.item, record.attempt))
    return event


def _add_rare(event: SessionEvent, record: Record, key: str) -> None:
    """What most events do not have."""
    event.request_id, event.actor, event.message = record.request_id, record.actor, record.message
    event.control_action = record.action  # type: ignore[assignment]
    event.items_total = record.items_total
    event.reused_from_step_key = record.reused_from
    if record.fault is not None:
        event.failure.CopyFrom(failure_of(record.fault))
    if record.kind is Kind.STEP_RETRY_SCHEDULED:
        event.retry_delay.FromMicroseconds(record.delay_us)
    if record.kind is Kind.CALL_RECEIPT:
        event.receipt.CopyFrom(receipt_of(record, key))


def receipts_of(records: Iterable[Record], definition: Definition, session_id: str) -> list[CallReceipt]:
    """What became of all calls of a session that were cancelled."""
    steps = definition.plan.steps
    return [
        receipt_of(record, step_key(session_id, steps[record.step].step_id, record.item, record.attempt))
        for record in records
        if record.kind is Kind.CALL_RECEIPT
    ]


def receipt_of(record: Record, key: str) -> CallReceipt:
    """What became of a call that was cancelled."""
    receipt = CallReceipt(step_key=key, call_outcome=record.outcome)  # type: ignore[arg-type]
    receipt.elapsed.FromMicroseconds(record.elapsed_us)
    return receipt


def _timestamp(at_us: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(at_us)
    return stamp
