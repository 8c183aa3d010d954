"""Columns and texts of what commands show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from typing import Any, Final

from coordinator.model.v1 import model_pb2
from coordinator.payload.v1.payload_pb2 import DataType, Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from processing_service.cli.output import Column, fact_lines, table_lines
from processing_service.client.values import from_struct

_SHOWN: Final = 300
"""Characters of an output that people are shown."""


def model_columns(resident: Iterable[model_pb2.ResidentModel]) -> Sequence[Column]:
    """For ModelInfo."""
    sizes = {(model.model_id, model.model_version): model.size_bytes for model in resident}
    return (
        Column("model", lambda model: model.model_id),
        Column("version", lambda model: model.model_version),
        Column("file", lambda model: size(model.file_size_bytes)),
        Column("in memory", lambda model: size(sizes.get((model.model_id, model.model_version), 0))),
        Column("device", lambda model: model.device),
        Column("inputs", lambda model: ", ".join(map(tensor, model.inputs))),
        Column("outputs", lambda model: ", ".join(map(tensor, model.outputs))),
    )


def planned_lines(steps: Iterable[pb.PlannedStep]) -> list[str]:
    """What becomes of each step, and why."""
    return [f"  {step.step_id}: {_decision(step)} ({step.reason})" for step in steps]


def _decision(step: pb.PlannedStep) -> str:
    return pb.ReuseDecision.Name(step.reuse_decision).removeprefix("REUSE_DECISION_").lower()


def session_state(state: pb.SessionState.ValueType) -> str:
    """SUCCEEDED for SESSION_STATE_SUCCEEDED."""
    return pb.SessionState.Name(state).removeprefix("SESSION_STATE_")


def step_state(state: pb.StepState.ValueType) -> str:
    """WAITING for STEP_STATE_WAITING."""
    return pb.StepState.Name(state).removeprefix("STEP_STATE_")


def step_name(step: pb.StepStatus | pb.SessionEvent) -> str:
    """`step`, or `step[3]` for an item."""
    return f"{step.step_id}[{step.item_index}]" if step.HasField("item_index") else step.step_id


def percent(session: pb.Session) -> str:
    """How much of it is done."""
    return f"{round(session.progress * 100)}%"


def moment(timestamp: Timestamp) -> str:
    """`2026-11-24T18:04:05Z`; empty if unset."""
    if not timestamp.ByteSize():
        return ""
    return timestamp.ToDatetime(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def took(session: pb.Session) -> str:
    """Time from the start to the end; empty until then."""
    if not (session.HasField("ended_at") and session.HasField("created_at")):
        return ""
    return seconds((session.ended_at.ToDatetime() - session.created_at.ToDatetime()).total_seconds())


def seconds(value: float) -> str:
    """`12 ms`, `3.4 s`, `2 min 5 s`; empty for nothing."""
    if value <= 0:
        return ""
    if value < 1:
        return f"{max(1, round(value * 1000))} ms"
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {round(value % 60)} s"


def size(count: int) -> str:
    """`4.2 MiB`; empty for nothing."""
    if count <= 0:
        return ""
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def tensor(info: Any) -> str:
    """`x FLOAT32[?,3,48,?]`."""
    sizes = ",".join(str(axis.size or "?") for axis in info.axes)
    return f"{info.name} {DataType.Name(info.data_type).removeprefix('DATA_TYPE_')}[{sizes}]"


def session_lines(session: pb.Session) -> Iterator[str]:
    """All that people want to know of a session."""
    yield from fact_lines(
        [
            ("session", session.session_id),
            ("workflow", session.workflow_id),
            ("state", session_state(session.state)),
            ("attempt", session.attempt if session.attempt > 1 else ""),
            ("model", session.model_id),
            ("labels", ", ".join(f"{key}={value}" for key, value in sorted(session.labels.items()))),
            ("parent", session.parent_session_id),
            ("created", moment(session.created_at)),
            ("took", took(session)),
            ("done", "" if session.HasField("ended_at") else percent(session)),
            ("trace", session.trace_id),
        ]
    )
    if session.HasField("failure"):
        yield f"failure: {session.failure.message} ({session.failure.reason_name})"
    if session.steps:
        yield ""
        yield from table_lines([step for step in session.steps if not step.HasField("item_index")], STEP_COLUMNS)
    if session.outputs.fields or session.payloads:
        yield ""
        yield "outputs:"
        yield from output_lines(session)


def output_lines(session: pb.Session) -> Iterator[str]:
    """A line for each output: its value as JSON, or what kind of content it is."""
    for name, value in sorted(from_struct(session.outputs).items()):
        yield f"  {name}: {_clip(json.dumps(value, ensure_ascii=False))}"
    for name, datum in sorted(session.payloads.items()):
        yield f"  {name}: {content(datum)}"


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters; -o json has all)"


def content(datum: Datum) -> str:
    """`image/png, 345.2 KiB, artifact 3f2a...`."""
    if datum.HasField("artifact"):
        artifact = datum.artifact
        kind = artifact.media_type or artifact.type_name or "bytes"
        return f"{kind}, {size(artifact.size_bytes)}, artifact {artifact.digest}"
    if datum.HasField("tensor"):
        return f"tensor {DataType.Name(datum.tensor.data_type).removeprefix('DATA_TYPE_')}{list(datum.tensor.shape)}"
    return f"{datum.media_type or 'bytes'}, {size(len(datum.inline_bytes)) or '0 B'}"


def _source(event: pb.SessionEvent) -> str:
    key = event.reused_from_step_key
    return f"took the output of {key}" if key else ""


EVENT_COLUMNS = (
    Column("number", lambda event: event.sequence),
    Column("when", lambda event: event.occurred_at.ToDatetime().isoformat(timespec="milliseconds") + "Z"),
    Column("event", lambda event: pb.EventKind.Name(event.kind).removeprefix("EVENT_KIND_")),
    Column("step", step_name),
    Column("attempt", lambda event: event.attempt or ""),
    Column("what", lambda event: event.failure.message or event.message or _source(event)),
)

WORKFLOW_COLUMNS = (
    Column("workflow", lambda workflow: workflow.workflow_id),
    Column("revision", lambda workflow: workflow.revision),
    Column("updated", lambda workflow: moment(workflow.updated_at)),
    Column("digest", lambda workflow: workflow.digest[:12]),
    Column("title", lambda workflow: workflow.title),
)

SESSION_COLUMNS = (
    Column("session", lambda session: session.session_id),
    Column("workflow", lambda session: session.workflow_id),
    Column("state", lambda session: session_state(session.state)),
    Column("done", percent),
    Column("created", lambda session: moment(session.created_at)),
    Column("took", took),
    Column("reason", lambda session: session.failure.reason_name),
)

STEP_COLUMNS = (
    Column("step", step_name),
    Column("state", lambda step: step_state(step.state)),
    Column("attempt", lambda step: step.attempt or ""),
    Column("items", lambda step: f"{step.items_done}/{step.items_total}" if step.items_total else ""),
    Column("queued", lambda step: seconds(step.queued.ToTimedelta().total_seconds())),
    Column("computed", lambda step: seconds(step.computing.ToTimedelta().total_seconds())),
    Column("operation", lambda step: step.operation),
    Column("failure", lambda step: step.failure.message),
)
