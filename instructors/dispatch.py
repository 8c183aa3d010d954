"""Makes the calls of steps: the engine's StepRunner, over the instructors of the domains.

A step's request is built from its bindings (`inputs.py`) and sent once by the instructor of its domain. The response is
kept as it came: its bytes are what is stored, parsed once for the steps that follow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import (
    PostWorkflowExecuteRequest,
    PostWorkflowExecuteResponse,
    Session,
    SessionState,
)

from instructors.heartbeats import Heartbeats
from instructors.inputs import Inputs, SessionRun
from instructors.messages import check_size
from instructors.model import Pin
from instructors.payloads import take_contents_out
from instructors.plans import PlannedStep, Plans
from instructors.registry import Instructors
from instructors.results import ResultCache
from processing_service.engine.base import Progress, Resolution, Result, SessionContext, StepCall, Times
from processing_service.engine.ledger import INLINE_BYTES
from processing_service.engine.records import Output, Spent
from processing_service.engine.store.base import ArtifactStore
from processing_service.wire.callcontext import CallContext, current, serving
from processing_service.wire.errors import Code, CoordinatorError, from_failure

log = logging.getLogger(__name__)

StartChild = Callable[[StepCall, PostWorkflowExecuteRequest], Awaitable[PostWorkflowExecuteResponse]]
"""Runs a session as a step of another, to its end."""
Trace = Callable[[str, str], str]
"""From a traceparent and a step key to the traceparent of the step's own span."""

_CLOSING_S: Final = 10.0
"""Time that the end of an inference session may take, in seconds."""


class Dispatch:
    """Carries out the steps of sessions.

    Args:
        instructors: the callers of the domains.
        artifacts: where large results are kept.
        start_child: runs a session that is a step of another.
        now_us: the engine's clock, in microseconds since the Unix epoch.
        trace: gives each step its span; by default all steps carry their session's trace context.
        cache: of parsed results.
    """

    def __init__(
        self,
        instructors: Instructors,
        artifacts: ArtifactStore,
        start_child: StartChild,
        now_us: Callable[[], int],
        trace: Trace | None = None,
        cache: ResultCache | None = None,
    ) -> None:
        self._instructors, self._artifacts = instructors, artifacts
        self._start_child, self._now_us = start_child, now_us
        self._trace = trace
        self._cache = cache or ResultCache()
        self._inputs = Inputs(artifacts, self._cache)
        self._plans = Plans(instructors.domains)
        self._heartbeats = Heartbeats(lambda domain, key: key in instructors[domain].queued)

    async def opened(self, session: SessionContext) -> None:
        """Pins the model of a session that is about to begin. Raises CoordinatorError: MODEL_NOT_FOUND."""
        run = self._run(session)
        if run.lock is not None and run.pin is None:
            context = CallContext(tenant=session.tenant, traceparent=session.traceparent, deadline=current().deadline)
            run.pin = await self._instructors.model.resolve(session.request.model_id, context)
            session.model_pin = run.pin.text

    def closed(self, session: SessionContext) -> Coroutine[None, None, None] | None:
        """Forgets a session that has ended; what is left to be done in the domains, if anything is."""
        run, record = session.cache.pop(Dispatch, None), ""
        if isinstance(run, SessionRun):
            self._cache.drop_all(run.results)
            record = run.pin.inference_session_id if run.pin is not None else ""
        return self._close(session, record) if session.request.model_id else None

    async def resolve(self, call: StepCall) -> Resolution:
        """Evaluates condition and items. Raises CoordinatorError: EXPRESSION_FAILED, ARTIFACT_NOT_FOUND."""
        run = self._run(call.session)
        step = run.planned.steps[call.step]
        scope = await self._inputs.scope(run, call, step.needs)
        await self._inputs.open(scope, step.compiled.wanted_first(scope))
        if not step.compiled.condition(scope):
            return Resolution(skipped=True)
        return Resolution(items_total=len(self._inputs.items(run, step, call, scope)) if step.compiled.each else 0)

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        """Makes the call once, and reports at least each half second that it is out.

        Raises:
            CoordinatorError: what the domain answered; EXPRESSION_FAILED, FIELD_INVALID, STEP_QUEUED_TOO_LONG,
                DEADLINE_EXCEEDED, PAYLOAD_TOO_LARGE, STORE_*.
        """
        run = call.session.cache.get(Dispatch) or self._run(call.session)
        assert isinstance(run, SessionRun)
        step = run.planned.steps[call.step]
        self._heartbeats.begin(report, call.key, step.operation.domain)
        try:
            return await self._call(run, step, call, report)
        finally:
            self._heartbeats.end(report)

    async def _call(
        self, run: SessionRun, step: PlannedStep, call: StepCall, report: Callable[[Progress], None]
    ) -> Result:
        session = call.session
        if run.results.large:
            self._inputs.release(run, call)
        deadline = monotonic() + (call.deadline_us - self._now_us()) / 1e6
        context = self._context(call, step, deadline)
        if run.lock is not None:
            await self._pin(run, session, context)
        request = self._inputs.simple_request(run, step, call) or await self._inputs.request(run, step, call)
        message: Any = None
        if step.is_child:
            data = await self._child(call, request, context)
        else:
            instructor = self._instructors[step.operation.domain]
            if instructor.turns.full:
                report(Progress(0.0, f"waits for its turn: {instructor.turns.out} calls are out"))
            try:
                data = await instructor.send_watched(step.operation, request, deadline, context, step.max_queued)
            except CoordinatorError as error:
                if error.code is Code.DEADLINE_EXCEEDED:
                    await self._wait_out(call)
                raise
            message = instructor.parse(step.operation, data)
            self._cache.put(run.results, (call.step, call.item), message, len(data))
        output = Output(step.operation.response_name, data, b"", len(data))
        if len(data) > INLINE_BYTES:
            output = output._replace(spent=_spent(message))
        return Result(output, _times(message)) if step.says_times else Result(output)

    async def conclude(self, call: StepCall) -> bytes:
        """Evaluates the outputs: a serialised processing.v1.Session.

        Raises:
            CoordinatorError: EXPRESSION_FAILED, PAYLOAD_TOO_LARGE, STORE_*.
        """
        run = self._run(call.session)
        outputs = run.planned.definition.outputs
        scope = await self._inputs.scope(run, call, run.planned.output_needs)
        await self._inputs.open(scope, outputs.wanted(scope))
        session = Session()
        values, payloads = outputs.conclude(scope)
        if values:
            session.outputs.update(values)
            check_size(session.outputs, "the outputs of the workflow")
        for name, datum in payloads.items():
            session.payloads[name].CopyFrom(datum)
        if payloads:
            await take_contents_out(session.payloads, self._artifacts)
        return session.SerializeToString()

    def _run(self, session: SessionContext) -> SessionRun:
        run = session.cache.get(Dispatch)
        if run is None:
            run = session.cache[Dispatch] = SessionRun(self._plans.of(session.definition), session)
        return run  # type: ignore[return-value]  # nobody else has this key

    def _context(self, call: StepCall, step: PlannedStep, deadline: float) -> CallContext:
        session, key = call.session, call.key
        traceparent = session.traceparent if self._trace is None else self._trace(session.traceparent, key)
        return CallContext(
            session.session_id, step.step_id, call.attempt, key, "", session.tenant, traceparent, deadline
        )

    async def _child(self, call: StepCall, request: PostWorkflowExecuteRequest, context: CallContext) -> bytes:
        """Runs a session of its own, in the trace of its step. Raises CoordinatorError: STEP_FAILED with its cause."""
        with serving(current()._replace(traceparent=context.traceparent)):
            response = await self._start_child(call, request)
        session = response.session
        if session.state == SessionState.SESSION_STATE_SUCCEEDED:
            return response.SerializeToString()
        state = SessionState.Name(session.state).removeprefix("SESSION_STATE_")
        error = CoordinatorError(
            Code(session.failure.status_code or Code.ABORTED),
            ErrorReason.ERROR_REASON_STEP_FAILED,
            f"session {session.session_id!r} of workflow {request.workflow_id!r} ended {state}",
            metadata={"session_id": session.session_id, "state": state},
        )
        raise error from (from_failure(session.failure) if session.HasField("failure") else None)

    async def _wait_out(self, call: StepCall) -> None:
        """The far end gives up a margin before the deadline; whether it has passed is what the engine looks at."""
        left = (call.deadline_us - self._now_us()) / 1e6
        if 0 < left <= self._instructors.settings.max_margin:
            await asyncio.sleep(left + 0.001)

    async def _pin(self, run: SessionRun, session: SessionContext, context: CallContext) -> None:
        """Resolves the session's model, once, and tells the Inference domain who uses it."""
        assert run.lock is not None
        if run.pin is not None and run.pin.inference_session_id:
            return
        async with run.lock:
            pin = run.pin or Pin.of(session.request.model_id, session.model_pin)
            if not pin.inference_session_id:
                workflow_id = session.definition.workflow.workflow_id
                run.pin = await self._instructors.inference.open_session(pin, workflow_id, context)

    async def _close(self, session: SessionContext, record: str) -> None:
        context = CallContext(tenant=session.tenant, traceparent=session.traceparent, deadline=monotonic() + _CLOSING_S)
        try:
            await self._instructors.inference.close_session(session.session_id, record, context)
        except CoordinatorError as error:
            log.warning("the inference session of %s was not closed: %s", session.session_id, error)


def _times(message: Any) -> Times:
    """Where the domain says that its time went."""
    return Times(*(_seconds(message, name) for name in Times._fields))


def _spent(message: Any) -> Spent | None:
    """The same for the history, from which the message itself will not be read; None if the domain said nothing."""
    spent = Spent(*(round(seconds * 1e6) for seconds in _times(message)))
    return spent if any(spent) else None


def _seconds(message: Any, name: str) -> float:
    spent = getattr(message, name, None)
    return spent.seconds + spent.nanos / 1e9 if spent is not None else 0.0
