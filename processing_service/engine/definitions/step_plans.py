"""What `decide` has to know of a step of a definition."""

from __future__ import annotations

from typing import Final

from coordinator.processing.v1.processing_pb2 import RetryPolicy, WorkflowStep

from processing_service.engine.records import RetryPlan, StepPlan

_MAX_PARALLEL: Final = 4
"""Calls of a foreach at the same time, if it does not say."""


def plan_step(step: WorkflowStep, needs: tuple[int, ...], *, idempotent: bool) -> StepPlan:
    """The plan of a step that was checked.

    Args:
        needs: steps that have to end first, by index.
        idempotent: whether its operation may be called again.
    """
    return StepPlan(
        step_id=step.step_id,
        needs=needs,
        conditional=bool(step.condition),
        foreach=step.HasField("foreach"),
        max_parallel=step.foreach.max_parallel or _MAX_PARALLEL,
        timeout_us=step.timeout.ToMicroseconds(),
        retry=_plan_retry(step.retry),
        optional=step.optional,
        idempotent=idempotent,
    )


def _plan_retry(retry: RetryPolicy) -> RetryPlan:
    usual = RetryPlan()
    return RetryPlan(
        max_attempts=retry.max_attempts or usual.max_attempts,
        initial_us=retry.initial_delay.ToMicroseconds() or usual.initial_us,
        max_us=retry.max_delay.ToMicroseconds() or usual.max_us,
        multiplier_milli=round(retry.multiplier * 1000) or usual.multiplier_milli,
    )
