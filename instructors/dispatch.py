"""Makes the calls of steps: the engine's StepRunner, over the instructors of the domains.

A step's request is built from its bindings (`inputs.py`) and sent once by the instructor of its domain. The response is
kept as it came: its bytes are what is stored, parsed once for the steps that follow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import (
    PostWorkflowExecuteRequest,
    PostWorkflowExecuteResponse,
    Session,
    SessionState,
)

from instructors.admission import Admission
from instructors.admission_settings import AdmissionSettings
from instructors.base import BaseInstructor
from instructors.durations import LOAD, NONE, Durations, Pace, budget_too_short, described
from instructors.formers import Load
from instructors.heartbeats import Heartbeats
from instructors.inputs import Inputs, SessionRun
from instructors.messages import check_size
from instructors.model import Pin
from instructors.model_versions import ModelVersions
from instructors.payloads import take_contents_out
from instructors.plans import PlannedStep, Plans
from instructors.registry import Instructors
from instructors.results import ResultCache
from instructors.reuse import Asked, Reuse
from instructors.turn_wait import TurnWait
from instructors.turns import PATIENT, Patience
from processing_service.engine.base import (
    UNKNOWN_TIMES,
    NotSent,
    Progress,
    Resolution,
    Result,
    SessionContext,
    StepCall,
    Times,
)
from processing_service.engine.ledger import INLINE_BYTES
from processing_service.engine.records import Output, Spent
from processing_service.engine.store.base import ArtifactStore, ReuseStore
from processing_service.wire.callcontext import CallContext, current, serving
from processing_service.wire.errors import Code, CoordinatorError, from_failure

log = logging.getLogger(__name__)

StartChild = Callable[[StepCall, PostWorkflowExecuteRequest], Awaitable[PostWorkflowExecuteResponse]]
"""Runs a session as a step of another, to its end."""
Trace = Callable[[str, str], str]
"""From a traceparent and a step key to the traceparent of the step's own span."""

_FOREVER: Final = float("inf")
_TOO_SHORT: Final = ErrorReason.ERROR_REASON_BUDGET_TOO_SHORT
_TIMER_SLACK_S: Final = 0.2
"""How late the engine's timer may be, in seconds, and a bit."""
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
        admission: lets calls pass that need a model.
        durations: what calls took lately.
        stored: results that steps may take; without it, and `load`, each step makes its call.
        load: reads the session that another is started from.
    """

    def __init__(
        self,
        instructors: Instructors,
        artifacts: ArtifactStore,
        start_child: StartChild,
        now_us: Callable[[], int],
        trace: Trace | None = None,
        cache: ResultCache | None = None,
        admission: Admission | None = None,
        durations: Durations | None = None,
        stored: ReuseStore | None = None,
        load: Load | None = None,
    ) -> None:
        self._instructors, self._artifacts = instructors, artifacts
        self._start_child, self._now_us = start_child, now_us
        self._trace = trace
        self._cache, self._durations = cache or ResultCache(), durations or Durations()
        self._inputs = Inputs(artifacts, self._cache)
        self._plans = Plans(instructors.domains)
        self.reuse = (
            Reuse(self._inputs, self._plans, ModelVersions(instructors), stored, load) if stored and load else None
        )
        """Finds results that need no call."""
        self._admission = admission or Admission(instructors, AdmissionSettings(), now_us)
        self._heartbeats = Heartbeats()

    async def opened(self, session: SessionContext) -> None:
        """Pins the model of a session that is about to begin. Raises CoordinatorError: MODEL_NOT_FOUND."""
        run = self.run_of(session)
        if run.lock is not None and run.pin is None:
            context = CallContext(tenant=session.tenant, traceparent=session.traceparent, deadline=current().deadline)
            run.pin = await self._instructors.model.resolve(session.request.model_id, context)
            session.model_pin = run.pin.text

    def closed(self, session: SessionContext) -> Coroutine[None, None, None] | None:
        """Forgets a session that has ended; what is left to be done in the domains, if anything is."""
        run = self.forget(session)
        record = run.pin.inference_session_id if run is not None and run.pin is not None else ""
        if run is not None and run.seed is not None:
            run.seed.forget()
        return self._close(session, record) if session.request.model_id else None

    def forget(self, session: SessionContext) -> SessionRun | None:
        """Lets go of the results that are kept of a session; what was known of it, if anything."""
        run = session.cache.pop(Dispatch, None)
        if not isinstance(run, SessionRun):
            return None
        self._cache.drop_all(run.results)
        return run

    async def resolve(self, call: StepCall) -> Resolution:
        """Evaluates condition and items. Raises CoordinatorError: EXPRESSION_FAILED, ARTIFACT_NOT_FOUND."""
        run = self.run_of(call.session)
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
                BUDGET_TOO_SHORT, DEADLINE_EXCEEDED, PAYLOAD_TOO_LARGE, STORE_*.
        """
        run = call.session.cache.get(Dispatch) or self.run_of(call.session)
        assert isinstance(run, SessionRun)
        step = run.planned.steps[call.step]
        self._heartbeats.begin(report)
        try:
            if (step.is_reusable or run.seed is not None) and self.reuse is not None:
                return await self._take_or_call(self.reuse, run, step, call, report)
            return await self._call(run, step, call, report)
        finally:
            self._heartbeats.end(report)

    async def _take_or_call(
        self, reuse: Reuse, run: SessionRun, step: PlannedStep, call: StepCall, report: Callable[[Progress], None]
    ) -> Result:
        """Makes the call only if its result is not there yet."""
        deadline = monotonic() + (call.deadline_us - self._now_us()) / 1e6
        asked = await reuse.look_up(run, step, call, self._context(call, step, deadline))
        if asked.taken is not None:
            return asked.taken
        result = await self._call(run, step, call, report, asked)
        return result._replace(identity=asked.computation.identity) if step.is_reusable else result

    async def _call(
        self,
        run: SessionRun,
        step: PlannedStep,
        call: StepCall,
        report: Callable[[Progress], None],
        asked: Asked | None = None,
    ) -> Result:
        session = call.session
        if run.results.large:
            self._inputs.release(run, call)
        deadline = monotonic() + (call.deadline_us - self._now_us()) / 1e6
        context = self._context(call, step, deadline)
        if run.lock is not None:
            await self._pin(run, session, context)
        if asked is None:
            request = self._inputs.simple_request(run, step, call) or await self._inputs.request(run, step, call)
        else:
            request = await self._inputs.complete(run, step, asked.computation.request, asked.pin or run.pin)
        subject = getattr(request, step.subject) if step.subject else ""
        pace, began = self._durations.of(step.kind, subject), monotonic()
        message, times, waited = None, UNKNOWN_TIMES, False
        if step.is_child:
            data = await self._child(call, request, context)
        else:
            if pace.least > deadline - began:
                _check_time(step, subject, pace, deadline - began)
            data, waited = await self._send(step, call, request, context, report, subject)
            message = self._instructors[step.operation.domain].parse(step.operation, data)
            self._cache.put(run.results, (call.step, call.item), message, len(data))
            if step.says_times:
                times = _times(message)
        if times.loading:
            self._durations.begin(LOAD, subject).note(times.loading, monotonic())
        if not waited:
            pace = pace if pace is not NONE else self._durations.begin(step.kind, subject)
            ended = monotonic()
            pace.note(max(0.0, ended - began - times.queued - times.loading), ended)
        output = Output(step.operation.response_name, data, b"", len(data))
        if len(data) > INLINE_BYTES:
            output = output._replace(spent=_spent(message))
        return Result(output, times)

    async def _send(
        self,
        step: PlannedStep,
        call: StepCall,
        request: Any,
        context: CallContext,
        report: Callable[[Progress], None],
        subject: str,
    ) -> tuple[bytes, bool]:
        """The response, and whether the call waited before it left."""
        instructor, operation = self._instructors[step.operation.domain], step.operation
        assert context.deadline is not None
        try:
            if step.needs_model or instructor.turns.full:
                return await self._wait_and_send(instructor, step, call, request, context, report, subject)
            return await instructor.send_watched(operation, request, context.deadline, context, PATIENT), False
        except CoordinatorError as error:
            if error.code is Code.DEADLINE_EXCEEDED and error.reason != _TOO_SHORT:
                await self._wait_out(call)
            raise

    async def _wait_and_send(
        self,
        instructor: BaseInstructor,
        step: PlannedStep,
        call: StepCall,
        request: Any,
        context: CallContext,
        report: Callable[[Progress], None],
        subject: str,
    ) -> tuple[bytes, bool]:
        """As `_send`, once its model and its turn are there. Raises NotSent if its session pauses before."""
        key, begun, operation = (Patience, call.step, call.item), monotonic(), step.operation
        waited = call.session.cache.pop(key, 0.0)
        assert isinstance(waited, float)
        assert context.deadline is not None
        patience = self._patience(step, call.session, subject, waited)
        tell = partial(self._heartbeats.tell, report)
        try:
            if step.needs_model:
                return await self._admission.send(instructor, operation, request, call, context, patience, tell)
            tell(TurnWait(instructor, call.key, self._now_us()))
            return await instructor.send_watched(operation, request, context.deadline, context, patience), True
        except NotSent:
            call.session.cache[key] = waited + monotonic() - begun
            raise

    def _patience(self, step: PlannedStep, session: SessionContext, subject: str, waited: float) -> Patience:
        """How long a call waits before it leaves; a step with a timeout of its own is tried again after that."""
        needed = 0.0 if step.timeout < _FOREVER else self._durations.of(step.kind, subject).needed(0.0)
        what, left = described(step.kind, subject), max(0.0, step.max_queued - waited)
        return Patience(left, needed, what, lambda: session.halted_us(self._now_us()) / 1e6, waited)

    async def heard_cancel(self, call: StepCall) -> bool:
        """Whether the domain of a call has heard that it was cancelled; False if it cannot be reached."""
        step = self.run_of(call.session).planned.steps[call.step]
        return step.is_child or await self._instructors[step.operation.domain].heard_cancel()

    async def conclude(self, call: StepCall) -> bytes:
        """Evaluates the outputs: a serialised processing.v1.Session.

        Raises:
            CoordinatorError: EXPRESSION_FAILED, PAYLOAD_TOO_LARGE, STORE_*.
        """
        run = self.run_of(call.session)
        outputs = run.planned.definition.outputs
        needs = run.planned.output_needs
        scope = self._inputs.scope_at_hand(run, call, needs) or await self._inputs.scope(run, call, needs)
        if wanted := outputs.wanted(scope):
            await self._inputs.open(scope, wanted)
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

    def run_of(self, session: SessionContext) -> SessionRun:
        """What is known of a session while it is live. Raises CoordinatorError: OPERATION_NOT_FOUND."""
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
        """The far end gives up a margin before the deadline; whose time is over, and how, is for the engine to say.

        Its timer ends the call; only while the session is paused nobody does.
        """
        left = (call.deadline_us - self._now_us()) / 1e6
        if left <= self._instructors.settings.max_margin:
            await asyncio.sleep(max(0.0, left) + _TIMER_SLACK_S)

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


def _check_time(step: PlannedStep, subject: str, pace: Pace, left: float) -> None:
    """Raises CoordinatorError BUDGET_TOO_SHORT for a call that cannot be done in what is left, in seconds.

    What its own timeout is too short for is ended by that.
    """
    if 0 < (needed := pace.needed(left)) <= step.timeout:
        raise budget_too_short(described(step.kind, subject), needed, left)


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
