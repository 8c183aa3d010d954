"""What a command does with a plan: asks for it, shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.failures import ExitCode, stop
from processing_service.cli.output import Column, fact_lines, table_lines
from processing_service.cli.tables import seconds, size
from processing_service.cli.verbs import Call
from processing_service.client.values import to_duration


def _expected(timed: pb.PlannedStep | pb.PostWorkflowPlanResponse) -> str:
    return seconds(timed.expected_duration.ToMicroseconds() / 1e6)


def _decision(step: pb.PlannedStep) -> str:
    return pb.ReuseDecision.Name(step.reuse_decision).removeprefix("REUSE_DECISION_") if step.reuse_decision else ""


STEP_COLUMNS: Final = (
    Column("step", lambda step: step.step_id),
    Column("operation", lambda step: step.operation),
    Column("model", lambda step: step.model_id),
    Column("expected", _expected),
    Column("reuse", _decision),
    Column("why", lambda step: step.reason),
)
MODEL_COLUMNS: Final = (
    Column("model", lambda model: model.model_id),
    Column("version", lambda model: model.model_version),
    Column("in memory", lambda model: "yes" if model.resident else "no"),
    Column("size", lambda model: size(model.size_bytes)),
)


async def show(
    call: Call, workflow_id: str, values: Mapping[str, Any], *, model_id: str, timeout: float | None
) -> None:
    """Prints the plan of an execution, and ends the command with 1 if it is not feasible."""
    parameters, payloads = await call.client.to_parameters(values)
    execution = pb.PostWorkflowExecuteRequest(
        workflow_id=workflow_id,
        model_id=model_id,
        parameters=parameters,
        payloads=payloads,
        timeout=to_duration(timeout),
    )
    plan = await call.client.post_workflow_plan(execution)
    call.output.one(plan, plan_lines(plan))
    if not plan.feasible:
        raise stop(ExitCode.FAILED)


def plan_lines(plan: pb.PostWorkflowPlanResponse) -> Iterator[str]:
    """All that people want to know of a plan."""
    yield from (f"warning: {warning}" for warning in plan.warnings)
    yield from table_lines(plan.steps, STEP_COLUMNS)
    if plan.models:
        yield ""
        yield from table_lines(plan.models, MODEL_COLUMNS)
    yield ""
    yield from fact_lines(
        [
            ("feasible", "yes" if plan.feasible else "no"),
            ("expected", _expected(plan)),
            ("loads", plan.load_count or ""),
            ("peak memory", ", ".join(f"{device} {size(peak)}" for device, peak in sorted(plan.peak_bytes.items()))),
        ]
    )
