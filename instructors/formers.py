"""Sessions that have ended, as others take their outputs: what each of their calls computed, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest

from instructors.computations import Computation, computation
from instructors.inputs import Inputs, SessionRun
from instructors.model import Pin
from instructors.model_versions import model_of, model_then
from instructors.sessions import SessionReader
from processing_service.engine.base import SessionContext, StepCall
from processing_service.engine.ids import check_id
from processing_service.engine.records import Kind, Output, Record, StepState, step_key
from processing_service.engine.recovery import Revive, restored_aside
from processing_service.engine.state import State, Step
from processing_service.engine.store.base import SessionStore
from processing_service.wire.errors import Code, CoordinatorError, invalid

_AT_ONCE: Final = 50
"""Requests that are made anew in one turn of the loop."""


class Told(NamedTuple):
    """A session as its history tells it."""

    context: SessionContext
    state: State
    records: Sequence[Record]


Load = Callable[[str, str], Awaitable[Told]]
"""A session by session_id and tenant. Raises CoordinatorError: SESSION_NOT_FOUND, WORKFLOW_INVALID."""


def loader(store: SessionStore, revive: Revive) -> Load:
    """Reads sessions as they are stored.

    Args:
        revive: gives context and plan of one.
    """

    async def load(session_id: str, tenant: str) -> Told:
        row, records = await store.load(session_id, tenant)
        context, plan = revive(row)
        return Told(context, await restored_aside(row, plan, records), records)

    return load


class Made(NamedTuple):
    """A result, and what it is the result of; the request itself may be large, so it is made once more when wanted."""

    item: int
    identity: bytes
    model_id: str
    """The model that it names; empty if none."""
    model: str | None
    """Its version, as of a `Computation`."""
    output: Output
    step_key: str
    """The call that made it."""


class Results(NamedTuple):
    """What the calls of one step made."""

    all: Sequence[Made] = ()
    by_identity: Mapping[bytes, Made] = MappingProxyType({})


_NOTHING: Final = Results()


class Former:
    """A session that has ended.

    Args:
        told: its history.
        run: a place for what is read of it.
    """

    def __init__(self, told: Told, run: SessionRun, inputs: Inputs) -> None:
        self._context, self._steps = told.context, told.state.steps
        self._run, self._inputs = run, inputs
        self._indices = {step.step_id: index for index, step in enumerate(run.planned.steps)}
        self._keys = _keys(told)
        self._made: dict[str, Results] = {}
        self.session_id = told.context.session_id

    def forget(self) -> None:
        """Lets go of the results that were parsed."""
        self._inputs.forget(self._run)

    async def made(self, step_id: str) -> Results:
        """What the calls of a step made; nothing if there is no such step, or if it starts a session of its own.

        Raises:
            CoordinatorError: ARTIFACT_NOT_FOUND if a result that was read is gone.
        """
        known = self._made.get(step_id)
        if known is None:
            index = self._indices.get(step_id, -1)
            known = self._made[step_id] = await self._read(index) if index >= 0 else _NOTHING
        return known

    async def _read(self, index: int) -> Results:
        if self._run.planned.steps[index].is_child:
            return _NOTHING
        made: list[Made] = []
        for number, (item, output) in enumerate(_outputs(self._steps[index]), 1):
            made.append(await self._call(index, item, output))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return Results(made, {one.identity: one for one in made if one.identity})

    def operation(self, step_id: str) -> str:
        """The operation of a step; empty if there is no such step."""
        index = self._indices.get(step_id, -1)
        return self._run.planned.steps[index].operation.name if index >= 0 else ""

    def state(self, step_id: str) -> StepState:
        """How a step ended; WAITING if it did not come to it."""
        return self._steps[self._indices[step_id]].state

    async def computation(self, step_id: str, made: Made) -> Computation:
        """What a result is the result of. Raises as `made`."""
        request = await self._request(self._indices[step_id], made.item, made.step_key)
        return Computation(request, made.model, made.identity)

    async def _request(self, index: int, item: int, key: str) -> Any:
        call = StepCall(self._context, index, item, 0, key, 0, self._steps)
        return await self._inputs.bound(self._run, self._run.planned.steps[index], call)

    async def _call(self, index: int, item: int, output: Output) -> Made:
        step, run = self._run.planned.steps[index], self._run
        key = self._keys[index, item]
        request = await self._request(index, item, key)
        reply = await self._inputs.read(run, (index, item), output) if step.pins else None
        model = model_then(step, request, reply, Pin.of_session(self._context))
        identity = (await computation(step, request, model)).identity
        return Made(item, identity, model_of(request), model, output, key)


def _outputs(step: Step) -> Sequence[tuple[int, Output]]:
    """Item and result of what succeeded; also the items of a foreach that failed."""
    if step.items is not None:
        return step.items.outputs
    return [(-1, step.output)] if step.state is StepState.SUCCEEDED and step.output is not None else ()


def _keys(told: Told) -> dict[tuple[int, int], str]:
    """By step and item, the call that made its result."""
    steps, session_id = told.context.definition.steps, told.context.session_id
    return {
        (record.step, record.item): record.reused_from
        or step_key(session_id, steps[record.step].step_id, record.item, record.attempt)
        for record in told.records
        if record.kind in (Kind.STEP_SUCCEEDED, Kind.STEP_REUSED) and record.output is not None
    }


async def check_former(reader: SessionReader, request: PostWorkflowExecuteRequest, tenant: str) -> None:
    """Raises CoordinatorError if from_session_id names no session whose outputs may be taken.

    SESSION_NOT_FOUND, SESSION_NOT_STORED, SESSION_STATE_ILLEGAL if it has not ended, FIELD_CONFLICT if it ran another
    workflow, FIELD_INVALID.
    """
    session_id = check_id("from_session_id", request.from_session_id)
    row = await reader.row(session_id, tenant)
    if row.start.workflow_id != request.workflow_id:
        text = f"session {session_id!r} ran workflow {row.start.workflow_id!r}; name one of {request.workflow_id!r}"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, "from_session_id", text)
    if not row.state.terminal:
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL,
            f"from_session_id: session {session_id!r} is {row.state.name}; wait for its end "
            "(`session watch`, or WatchProcessingSession), or cancel it",
            metadata={"session_id": session_id, "state": row.state.name, "legal_actions": "CANCEL, TERMINATE"},
        )
