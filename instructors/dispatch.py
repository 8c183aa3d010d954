"""Makes the calls of steps: the engine's StepRunner, over the instructors of the domains.

A step's request is built from its bindings, sent once by the instructor of its domain, and the response is kept as it
came: its bytes are what is stored, parsed once for the steps that follow.
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
from instructors.messages import check_size
from instructors.model import Pin
from instructors.payloads import put_contents_in, take_contents_out
from instructors.plans import Planned, PlannedStep, Plans
from instructors.registry import Instructors
from instructors.results import Key, ResultCache, Results
from processing_service.engine.base import Progress, Resolution, Result, SessionContext, StepCall, Times
from processing_service.engine.definitions.bindings import Scope
from processing_service.engine.ledger import INLINE_BYTES
from processing_service.engine.records import Output, Spent, StepState
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
_ITEMS: Final = -2
"""In place of an item: the items themselves."""


class _Run:
    """What a live session has here."""

    __slots__ = ("has_references", "lock", "parameters", "pin", "planned", "results")

    def __init__(self, planned: Planned, session: SessionContext) -> None:
        request = session.request
        self.planned = planned
        self.parameters = session.parameters
        self.results = Results()
        self.has_references = planned.has_references or any(
            datum.HasField("artifact") for datum in request.payloads.values()
        )
        self.pin: Pin | None = None
        self.lock = asyncio.Lock() if request.model_id else None
        """Held while its model is pinned; None if it has none."""


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
        if isinstance(run, _Run):
            self._cache.drop_all(run.results)
            record = run.pin.inference_session_id if run.pin is not None else ""
        return self._close(session, record) if session.request.model_id else None

    async def resolve(self, call: StepCall) -> Resolution:
        """Evaluates condition and items. Raises CoordinatorError: EXPRESSION_FAILED, ARTIFACT_NOT_FOUND."""
        run = self._run(call.session)
        step = run.planned.steps[call.step]
        scope = await self._scope(run, call, step.needs)
        await self._open(scope, step.compiled.wanted_first(scope))
        if not step.compiled.condition(scope):
            return Resolution(skipped=True)
        return Resolution(items_total=len(self._items(run, step, call, scope)) if step.compiled.each else 0)

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        """Makes the call once, and reports at least each half second that it is out.

        Raises:
            CoordinatorError: what the domain answered; EXPRESSION_FAILED, FIELD_INVALID, STEP_QUEUED_TOO_LONG,
                DEADLINE_EXCEEDED, PAYLOAD_TOO_LARGE, STORE_*.
        """
        run = call.session.cache.get(Dispatch) or self._run(call.session)
        assert isinstance(run, _Run)
        step = run.planned.steps[call.step]
        self._heartbeats.begin(report, call.key, step.operation.domain)
        try:
            return await self._call(run, step, call, report)
        finally:
            self._heartbeats.end(report)

    async def _call(self, run: _Run, step: PlannedStep, call: StepCall, report: Callable[[Progress], None]) -> Result:
        session = call.session
        if run.results.large:
            self._release(run, call)
        deadline = monotonic() + (call.deadline_us - self._now_us()) / 1e6
        context = self._context(call, step, deadline)
        if run.lock is not None:
            await self._pin(run, session, context)
        request = self._simple_request(run, step, call) or await self._request(run, step, call)
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
        scope = await self._scope(run, call, run.planned.output_needs)
        await self._open(scope, outputs.wanted(scope))
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

    def _run(self, session: SessionContext) -> _Run:
        run = session.cache.get(Dispatch)
        if run is None:
            run = session.cache[Dispatch] = _Run(self._plans.of(session.definition), session)
        return run  # type: ignore[return-value]  # nobody else has this key

    def _context(self, call: StepCall, step: PlannedStep, deadline: float) -> CallContext:
        session, key = call.session, call.key
        traceparent = session.traceparent if self._trace is None else self._trace(session.traceparent, key)
        return CallContext(
            session.session_id, step.step_id, call.attempt, key, "", session.tenant, traceparent, deadline
        )

    def _simple_request(self, run: _Run, step: PlannedStep, call: StepCall) -> Any:
        """The request, if everything that it needs is at hand and nothing has to be put into it; else None."""
        if not step.is_simple or call.item >= 0 or run.pin is not None or (step.takes_data and run.has_references):
            return None
        values: dict[str, Any] = {}
        for index in step.needs:
            value = run.results.values.get((index, -1))
            if value is None:
                return None
            values[run.planned.steps[index].step_id] = value
        return step.compiled.build(Scope(run.parameters, values))

    async def _request(self, run: _Run, step: PlannedStep, call: StepCall) -> Any:
        """The request with everything in it."""
        items: list[Any] | None = self._cache.get(run.results, (call.step, _ITEMS)) if call.item >= 0 else None
        scope = await self._scope(run, call, step.needs if items is None else step.request_needs)
        if call.item >= 0:
            if items is None:
                await self._open(scope, step.compiled.wanted_first(scope))
                items = self._items(run, step, call, scope)
            scope.item, scope.item_index = items[call.item], call.item
        await self._open(scope, step.compiled.wanted(scope))
        request: Any = step.compiled.build(scope)
        if step.takes_data and run.has_references:
            await put_contents_in(request, self._artifacts)
        if run.pin is not None and step.pins and request.model_id == run.pin.model_id:
            _fill(request, step.pins, run.pin)
        return request

    async def _scope(self, run: _Run, call: StepCall, needs: tuple[int, ...]) -> Scope:
        """What bindings read; steps that were skipped or failed are left out."""
        values: dict[str, Any] = {}
        for index in needs:
            step = call.steps[index]
            if step.state is not StepState.SUCCEEDED:
                continue
            if step.items is None:
                value = self._cache.get(run.results, (index, -1))
                values[run.planned.steps[index].step_id] = value or await self._read(run, (index, -1), step.output)
            else:
                outputs = sorted(step.items.outputs)
                values[run.planned.steps[index].step_id] = [
                    self._cache.get(run.results, (index, item)) or await self._read(run, (index, item), output)
                    for item, output in outputs
                ]
        return Scope(run.parameters, values)

    async def _read(self, run: _Run, key: Key, output: Output | None) -> Any:
        """A result from its stored bytes."""
        assert output is not None
        data = await self._artifacts.get(output.digest.hex()) if output.digest else output.data
        message = run.planned.steps[key[0]].operation.response_class.FromString(data)
        self._cache.put(run.results, key, message, len(data))
        return message

    def _items(self, run: _Run, step: PlannedStep, call: StepCall, scope: Scope) -> list[Any]:
        """The items of a foreach, evaluated once as long as they are kept."""
        key = (call.step, _ITEMS)
        items: list[Any] | None = self._cache.get(run.results, key)
        if items is None:
            items = step.compiled.items(scope)
            size = sum(run.results.large.get((index, -1), 0) for index in step.needs)
            self._cache.put(run.results, key, items, size)
        return items

    async def _open(self, scope: Scope, wanted: Any) -> None:
        """Reads the content that bindings want as bytes."""
        for artifact in wanted:
            scope.contents[artifact.digest] = await self._artifacts.get(artifact.digest)

    def _release(self, run: _Run, call: StepCall) -> None:
        """Forgets large results that nobody needs any more."""
        steps, followers = call.steps, run.planned.definition.plan.followers
        for key in tuple(run.results.large):
            index = key[0]
            needed = not steps[index].ended if key[1] == _ITEMS else index in run.planned.output_needs
            if not needed and all(steps[follower].ended for follower in followers[index]):
                self._cache.drop(run.results, key)

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

    async def _pin(self, run: _Run, session: SessionContext, context: CallContext) -> None:
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


def _fill(request: Any, names: tuple[str, ...], pin: Pin) -> None:
    """Fills fields that are not set."""
    if request.model_version in ("", pin.model_version):
        for name in names:
            setattr(request, name, getattr(request, name) or getattr(pin, name))
