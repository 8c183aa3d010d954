"""Controls sessions: pauses, resumes, cancels, terminates, retries one, or all that a selector matches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.control_calls import patience_of
from instructors.enum_numbers import names, required
from instructors.repeats import Repeats
from instructors.reruns import NONE, RerunFinder
from instructors.selection import selected
from instructors.sessions import SessionReader
from processing_service.engine.base import Engine
from processing_service.engine.commands import LEGAL
from processing_service.engine.completion import complete
from processing_service.engine.events import Command
from processing_service.engine.ids import check_id
from processing_service.engine.managers.sessions import SessionManager
from processing_service.engine.records import Action, SessionState
from processing_service.engine.refusals import check_legal, check_no_cell
from processing_service.engine.store.base import RequestNote, SessionFilter, SessionRow, SessionStore
from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.errors import Code, CoordinatorError, invalid

_PAGE: Final = 200
"""Sessions that are read at a time."""
_AT_ONCE: Final = 20
"""Sessions that are told at a time."""
_SHOWN: Final = 100
"""Sessions that a reply names, at most."""
_METHOD: Final = "PostSessionControl"
_RETRY_FAILED: Final = "RETRY_FAILED of the batch (`batch retry-failed`, or PostBatchControl) runs those that failed"

_Act = Callable[[RequestNote | None], Awaitable[pb.PostSessionControlResponse]]
_Again = Callable[[str], Awaitable[pb.PostSessionControlResponse]]


class ControlInstructor:
    """Gives commands to sessions.

    Args:
        reruns: finds what a RETRY may not keep.
        now_us: microseconds since the Unix epoch.
    """

    def __init__(
        self,
        store: SessionStore,
        sessions: SessionManager,
        reader: SessionReader,
        engine: Engine,
        repeats: Repeats,
        reruns: RerunFinder,
        now_us: Callable[[], int],
    ) -> None:
        self._reruns = reruns
        self._store, self._sessions, self._reader = store, sessions, reader
        self._engine, self._repeats, self._now_us = engine, repeats, now_us

    async def control(self, request: pb.PostSessionControlRequest) -> pb.PostSessionControlResponse:
        """Replies when the command has left its record, or shortly before the deadline with applied = false.

        Raises:
            CoordinatorError: FIELD_*, SESSION_NOT_FOUND, SESSION_NOT_STORED, SESSION_STATE_ILLEGAL,
                REQUEST_ID_REUSED, SERVER_DRAINING.
        """
        call, command = current(), self._command(request)
        response = pb.PostSessionControlResponse()
        if request.HasField("selector"):
            work = self._control_many(request, command, call, response)
        else:
            check_id("session_id", request.session_id)
            work = self._control_one(request, command, call, response)
        try:
            async with asyncio.timeout(patience_of(call)):
                return await complete(work, _METHOD)
        except TimeoutError:  # what has been told by now stands in the response, and the rest goes on
            return response

    def _command(self, request: pb.PostSessionControlRequest) -> Command:
        if bool(request.session_id) == request.HasField("selector"):
            text = "give a session_id or a selector, and not both"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, "session_id", text)
        action, now_us = required(Action, request.control_action, "control_action"), self._now_us()
        budget_us = 0
        if request.HasField("timeout"):
            if action is not Action.RETRY:
                text = f"is the new budget of a RETRY; {action.name} has none"
                raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "timeout", text)
            budget_us = self._sessions.asked_budget_us(request.timeout)
        return Command(now_us, action, now_us, request.request_id, current().actor, request.comment, budget_us)

    async def _control_one(
        self,
        request: pb.PostSessionControlRequest,
        command: Command,
        call: CallContext,
        response: pb.PostSessionControlResponse,
    ) -> pb.PostSessionControlResponse:
        session_id, tenant = request.session_id, call.tenant
        response.session_ids.append(session_id)
        response.matched_count = 1
        reruns = NONE

        async def show() -> None:
            session, _ = await self._reader.snapshot(session_id, tenant)
            response.session.CopyFrom(session)
            if command.action is Action.RETRY:
                response.planned_steps.extend(_planned(session.steps, reruns.causes))

        async def act(note: RequestNote | None) -> pb.PostSessionControlResponse:
            nonlocal reruns
            row = await self._reader.row(session_id, tenant)
            _check_workflow(request, row)
            if command.action is Action.RETRY:
                check_no_cell(row, "retried", _RETRY_FAILED)
            if command.action is Action.RETRY and row.state in LEGAL[Action.RETRY]:
                reruns = await self._reruns.find(session_id, tenant, call)
            if request.validate_only or command.action is Action.RETRY:
                await show()
            else:  # a cancel does not wait until a long history is read
                response.session.CopyFrom(self._reader.brief(row))
            check_legal(session_id, row.state, command)
            if not request.validate_only:
                await self._engine.deliver(session_id, tenant, command._replace(rerun=reruns.changed), note)
                response.session.CopyFrom(await self._reader.read(session_id, tenant))
                response.applied = True
            return response

        async def again(_: str) -> pb.PostSessionControlResponse:
            await show()
            response.applied = True
            return response

        return await self._once(request, tenant, session_id, act, again)

    async def _control_many(
        self,
        request: pb.PostSessionControlRequest,
        command: Command,
        call: CallContext,
        response: pb.PostSessionControlResponse,
    ) -> pb.PostSessionControlResponse:
        which = selected(request.selector, call.tenant)
        _check_bounded(request.selector)
        which = which._replace(states=_legal(command.action, which.states))
        if command.action is Action.RETRY and which.batch_id:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, "selector.batch_id", f"for cells {_RETRY_FAILED}")

        async def act(note: RequestNote | None) -> pb.PostSessionControlResponse:
            await self._tell_all(which, command, response, really=not request.validate_only)
            response.applied = not request.validate_only
            if note is not None:
                await self._repeats.note(note._replace(subject=str(response.matched_count)))
            return response

        async def again(count: str) -> pb.PostSessionControlResponse:
            response.matched_count, response.applied = int(count), True
            return response

        return await self._once(request, call.tenant, "", act, again)

    async def _once(
        self, request: pb.PostSessionControlRequest, tenant: str, subject: str, act: _Act, again: _Again
    ) -> pb.PostSessionControlResponse:
        """A look that does nothing is no request to be remembered."""
        if request.validate_only:
            return await act(None)
        return await self._repeats.once(tenant, _METHOD, request, subject, act, again)

    async def _tell_all(
        self, which: SessionFilter, command: Command, response: pb.PostSessionControlResponse, *, really: bool
    ) -> None:
        """Newest first, a page at a time; those that reach another state meanwhile are left out."""
        before = 0
        while rows := await self._store.page(which, before, _PAGE):
            before = rows[-1].number
            whole = command.action is not Action.RETRY  # cells are retried by their batches
            ids = [row.start.session_id for row in rows if whole or not row.start.batch_id]
            if really:
                ids = await self._tell_some(ids, which.tenant, command)
            response.matched_count += len(ids)
            response.session_ids.extend(ids[: _SHOWN - len(response.session_ids)])

    async def _tell_some(self, session_ids: Sequence[str], tenant: str, command: Command) -> list[str]:
        """A few at a time: what comes of them is done in one turn of the loop, which others wait for."""
        told: list[str] = []
        for first in range(0, len(session_ids), _AT_ONCE):
            some = session_ids[first : first + _AT_ONCE]
            done = await asyncio.gather(*(self._tell(session_id, tenant, command) for session_id in some))
            told += [session_id for session_id, ok in zip(some, done, strict=True) if ok]
        return told

    async def _tell(self, session_id: str, tenant: str, command: Command) -> bool:
        if command.action is Action.RETRY:
            command = command._replace(rerun=(await self._reruns.find(session_id, tenant, current())).changed)
        try:
            await self._engine.deliver(session_id, tenant, command)
        except CoordinatorError as error:
            if error.code not in (Code.FAILED_PRECONDITION, Code.NOT_FOUND):
                raise
            return False
        return True


def _check_workflow(request: pb.PostSessionControlRequest, row: SessionRow) -> None:
    if request.workflow_id and request.workflow_id != row.start.workflow_id:
        text = f"session {request.session_id!r} runs {row.start.workflow_id!r}; leave workflow_id empty, or give that"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, "workflow_id", text)


def _check_bounded(selector: pb.SessionSelector) -> None:
    """A command to all sessions there are is more often a slip than a wish."""
    if selector == pb.SessionSelector():
        text = "it matches every session; name a workflow, batch, model, label or state"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "selector", text)


def _legal(action: Action, asked: Sequence[SessionState]) -> tuple[SessionState, ...]:
    """The states that a command may find among those that are asked for."""
    legal = tuple(state for state in sorted(LEGAL[action]) if not asked or state in asked)
    if not legal:
        text = f"{action.name} is possible in {names(sorted(LEGAL[action]))} only"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, "selector.states", text)
    return legal


def _planned(steps: Iterable[pb.StepStatus], causes: Mapping[str, str]) -> Iterable[pb.PlannedStep]:
    """What a new attempt takes over and what it runs again.

    Args:
        causes: why steps run again that ended well, by step_id.
    """
    for step in steps:
        kept = step.state in (pb.STEP_STATE_SUCCEEDED, pb.STEP_STATE_SKIPPED) and step.step_id not in causes
        state = pb.StepState.Name(step.state).removeprefix("STEP_STATE_")
        how = f"it is {state} in attempt {step.attempt}" if step.attempt else f"it is {state}"
        yield pb.PlannedStep(
            step_id=step.step_id,
            operation=step.operation,
            reuse_decision=pb.REUSE_DECISION_REUSE if kept else pb.REUSE_DECISION_RERUN,
            reason=causes.get(step.step_id, how),
        )
