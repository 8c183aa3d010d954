"""Tells telemetry what sessions and their calls came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processing_service.engine.base import UNKNOWN_TIMES, StepCall, Times
from processing_service.engine.records import Fault, StepState
from processing_service.wire.errors import reason_name_of
from processing_service.wire.telemetry.hooks import SessionEnded, SessionStarted, StepEnded, StepReused, Telemetry

if TYPE_CHECKING:
    from processing_service.engine.live import Live


class Observer:
    """Makes records for sinks, where a sink wants them."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._steps = telemetry.wants(StepEnded)

    def session_started(self, live: Live) -> None:
        """A session is durable."""
        self._telemetry.emit(SessionStarted(live.state.session_id, live.context.workflow_id))

    def session_ended(self, live: Live) -> None:
        """The end of a session is durable."""
        state, context = live.state, live.context
        self._telemetry.emit(
            SessionEnded(
                state.session_id,
                context.workflow_id,
                state.state.name,
                (state.ended_us - state.created_us) / 1e6,
                state.attempt,
                _reason(state.fault.cause or state.fault) if state.fault else "",
                context.traceparent,
                context.parent_traceparent,
            )
        )

    def step_reused(self, call: StepCall) -> None:
        """A call was not made: its result was there."""
        self._telemetry.emit(StepReused(call.session.operation(call.step)))

    def step_ended(
        self,
        call: StepCall,
        state: StepState,
        seconds: float,
        times: Times = UNKNOWN_TIMES,
        fault: Fault | None = None,
    ) -> None:
        """A call has come back."""
        if not self._steps:
            return
        context = call.session
        parent = context.traceparent
        own = self._telemetry.child(parent, call.key) if parent else ""
        reason = _reason(fault) if fault else ""
        operation = context.operation(call.step)
        queued, loading, computing = times
        network = 0.0 if times is UNKNOWN_TIMES else max(0.0, seconds - queued - loading - computing)
        self._telemetry.emit(
            StepEnded(
                context.session_id,
                call.key,
                operation,
                state.name,
                call.attempt,
                seconds,
                reason,
                own,
                parent,
                queued,
                loading,
                computing,
                network,
            )
        )


def _reason(fault: Fault) -> str:
    return reason_name_of(fault.reason)  # type: ignore[arg-type]  # the numbers of faults are the contract's
