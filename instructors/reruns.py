"""What a RETRY runs again although it had ended well: what ran on a model that is another by now, and what follows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from instructors.formers import Former, Told
from instructors.inputs import SessionRun
from instructors.model import Pin
from instructors.plans import PlannedStep
from instructors.rerun_causes import model_change
from instructors.reuse import Reuse
from processing_service.engine.commands import rerun_of
from processing_service.engine.projection import kept
from processing_service.wire.callcontext import CallContext
from processing_service.wire.errors import CoordinatorError

log = logging.getLogger(__name__)


class Reruns(NamedTuple):
    """Steps that ended well and run again."""

    changed: tuple[int, ...] = ()
    """Those that ran on another model than they would now, by index."""
    causes: Mapping[str, str] = {}
    """Of these and of all that follow from them, and from what failed: why, by step_id."""


NONE: Final = Reruns()


class RerunFinder:
    """Compares what a session ran on with what it would run on now."""

    def __init__(self, reuse: Reuse) -> None:
        self._reuse = reuse

    async def find(self, session_id: str, tenant: str, context: CallContext) -> Reruns:
        """What a RETRY of that session runs again beside what failed.

        A model that is pinned stays what it was, and one that cannot be asked for is taken to have stayed.
        """
        try:
            told = await self._reuse.load(session_id, tenant)
        except CoordinatorError:  # the command itself says why
            return NONE
        changed = await self._changed(told, context)
        plan = told.context.definition.plan
        again = rerun_of(plan, told.state, changed)
        runs = {index for index, step in enumerate(told.state.steps) if index in again or not kept(step)}
        causes: dict[str, str] = {}
        for index in again:
            before = next((need for need in plan.steps[index].needs if need in runs), index)
            name = plan.steps[before].step_id
            causes[plan.steps[index].step_id] = changed.get(index) or f"step {name!r} before it runs again"
        return Reruns(tuple(changed), causes)

    async def _changed(self, told: Told, context: CallContext) -> dict[int, str]:
        run = SessionRun(self._reuse.plans.of(told.context.definition), told.context)
        former = Former(told, run, self._reuse.inputs)
        changed: dict[int, str] = {}
        for index, step in enumerate(run.planned.steps):
            cause = await self._cause(told, former, step, context) if kept(told.state.steps[index]) else ""
            if cause:
                changed[index] = cause
        self._reuse.inputs.forget(run)
        return changed

    async def _cause(self, told: Told, former: Former, step: PlannedStep, context: CallContext) -> str:
        if not step.pins:
            return ""
        pin = Pin.of_session(told.context)
        try:
            made = (await former.made(step.step_id)).all
            for one in {(each.model_id, each.model): each for each in made}.values():
                then = await former.computation(step.step_id, one)
                now = (await self._reuse.models.now(step, then.request, pin, context)).text
                if then.model and now and now != then.model:
                    return model_change(then, now)
        except CoordinatorError as error:  # as the steps behind it would find out, if they need it
            log.warning("%s of session %s is kept as it is: %s", step.step_id, former.session_id, error)
        return ""
