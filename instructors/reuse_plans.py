"""Says of each step, before anything runs, whether a stored result serves, and if not, why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from coordinator.processing.v1.processing_pb2 import PlannedStep, ReuseDecision

from instructors.dispatch import Dispatch
from instructors.inputs import SessionRun
from instructors.rerun_causes import Cause
from instructors.reuse import Asked, Reuse
from processing_service.engine.base import SessionContext, StepCall
from processing_service.engine.records import Output, StepState, step_key
from processing_service.engine.state import Items, Step
from processing_service.wire.callcontext import CallContext
from processing_service.wire.errors import CoordinatorError

REUSE: Final = ReuseDecision.REUSE_DECISION_REUSE
RERUN: Final = ReuseDecision.REUSE_DECISION_RERUN
_AT_ONCE: Final = 50
"""Calls that are looked up in one turn of the loop."""


class Decision(NamedTuple):
    """What a run would do with a step."""

    step_id: str
    operation: str
    reuse: ReuseDecision.ValueType
    reason: str

    @property
    def message(self) -> PlannedStep:
        """As the contract shows it."""
        return PlannedStep(
            step_id=self.step_id, operation=self.operation, reuse_decision=self.reuse, reason=self.reason
        )


class ReusePlanner:
    """Goes through a session as its run would, up to the calls that it would make.

    Args:
        dispatch: evaluates conditions and items.
        reuse: finds results.
    """

    def __init__(self, dispatch: Dispatch, reuse: Reuse) -> None:
        self._dispatch, self._reuse = dispatch, reuse

    async def decide(self, session: SessionContext, context: CallContext) -> list[Decision]:
        """REUSE or RERUN and why, of every step, in the order of the definition.

        A step whose result is reused is known by its result, so the steps behind it can be told, too; those behind one
        that makes a call run again. What is skipped makes no call, and is REUSE.

        Args:
            session: one that is about to begin, its model pinned.
            context: on whose behalf models are looked up.
        """
        own = replace(session, cache={})
        run = self._dispatch.run_of(own)
        begun = self._dispatch.run_of(session)
        run.pin, run.seed = begun.pin, begun.seed
        try:
            return await _Walk(self._dispatch, self._reuse, run, own, context).decisions()
        finally:
            self._dispatch.forget(own)

    def forget(self, session: SessionContext) -> None:
        """Lets go of what was read for a session that will not begin."""
        run = self._dispatch.forget(session)
        if run is not None and run.seed is not None:
            run.seed.forget()


class _Walk:
    """One way through a session."""

    def __init__(
        self, dispatch: Dispatch, reuse: Reuse, run: SessionRun, session: SessionContext, context: CallContext
    ) -> None:
        self._dispatch, self._reuse, self._run, self._session = dispatch, reuse, run, session
        self._context = context
        self._plan = session.definition.plan
        self._steps = [Step() for _ in self._plan.steps]
        self._decided: dict[int, Decision] = {}

    async def decisions(self) -> list[Decision]:
        waiting = list(range(len(self._steps)))
        while waiting:
            ready = [index for index in waiting if all(need in self._decided for need in self._plan.steps[index].needs)]
            for index in ready:
                planned = self._run.planned.steps[index]
                decision, reason = await self._step(index)
                self._decided[index] = Decision(planned.step_id, planned.operation.name, decision, reason)
            waiting = [index for index in waiting if index not in self._decided]
        return [self._decided[index] for index in range(len(self._steps))]

    async def _step(self, index: int) -> tuple[ReuseDecision.ValueType, str]:
        step = self._run.planned.steps[index]
        before = next((need for need in self._plan.steps[index].needs if self._decided[need].reuse == RERUN), None)
        if before is not None:
            text = "runs again" if self._run.seed is not None else "runs, so that its inputs are not known yet"
            return RERUN, f"step {self._plan.steps[before].step_id!r} before it {text}"
        try:
            if self._plan.steps[index].resolves:
                skipped, total = await self._dispatch.resolve(self._call(index, -1))
                if skipped:
                    self._steps[index] = Step(StepState.SKIPPED)
                    return REUSE, "its condition is false: it is skipped"
            else:
                total = -1
            items = range(total) if self._plan.steps[index].foreach else (-1,)
            asked = [await self._ask(index, item, number) for number, item in enumerate(items)]
        except CoordinatorError as error:
            return RERUN, f"its inputs cannot be told: {error.message}"
        if all(one.taken is not None for one in asked):
            self._steps[index] = _taken(asked, self._plan.steps[index].foreach)
            return REUSE, _sources(asked)
        former = await self._reuse.former(self._run, self._session.tenant)
        return RERUN, await Cause(self._run, step, former).of(asked)

    async def _ask(self, index: int, item: int, number: int) -> Asked:
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        call, step = self._call(index, item), self._run.planned.steps[index]
        return await self._reuse.look_up(self._run, step, call, self._context)

    def _call(self, index: int, item: int) -> StepCall:
        key = step_key(self._session.session_id, self._plan.steps[index].step_id, item, 1)
        return StepCall(self._session, index, item, 1, key, 0, self._steps)


def _taken(asked: Sequence[Asked], foreach: bool) -> Step:
    """The step as it would stand."""
    results = [one.taken for one in asked if one.taken is not None]
    if not foreach:
        return Step(StepState.SUCCEEDED, output=results[0].output, reused_from=results[0].reused_from)
    outputs: list[tuple[int, Output]] = [(item, result.output) for item, result in enumerate(results)]
    total = len(results)
    return Step(StepState.SUCCEEDED, items=Items(total, 1, total, outputs=tuple(outputs), reused=total))


def _sources(asked: Sequence[Asked]) -> str:
    keys = [one.taken.reused_from for one in asked if one.taken is not None]
    if not keys:
        return "it has no items"
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"operation, inputs and model are those of {keys[0]}{more}"
