"""Results that need no call: a step that computes what was computed before takes what came of that.

Two ways lead there. A step that its definition marks pure, with reuse enabled, finds any result of its computation that
the store has. A session that was started from a former one finds the results of that one, pure or not, as a RETRY keeps
them; but only as long as no step before it has run again, so that what the plan said first is what is done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from instructors.computations import Computation, computation
from instructors.formers import Former, Load, Made
from instructors.inputs import Inputs, SessionRun
from instructors.model import Pin
from instructors.model_versions import ModelVersions
from instructors.plans import PlannedStep, Plans
from processing_service.engine.base import Result, StepCall
from processing_service.engine.records import Plan, StepState
from processing_service.engine.state import Step
from processing_service.engine.store.base import Reusable, ReuseStore
from processing_service.wire.callcontext import CallContext
from processing_service.wire.errors import CoordinatorError

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """A call before it is made."""

    computation: Computation
    pin: Pin | None
    """The model that its request is to be bound to, if that is not the session's own."""
    taken: Result | None
    """The result that makes the call needless."""


class Reuse:
    """Finds results.

    Args:
        models: tells which version of a model a request runs on.
        store: results of all sessions.
        load: reads the session that another is started from.
    """

    def __init__(self, inputs: Inputs, plans: Plans, models: ModelVersions, store: ReuseStore, load: Load) -> None:
        self.inputs, self.plans, self.models, self.load = inputs, plans, models, load
        self._store = store

    async def look_up(self, run: SessionRun, step: PlannedStep, call: StepCall, context: CallContext) -> Asked:
        """What a call computes, and the result that it may take. Raises as `Inputs.bound`."""
        request = await self.inputs.bound(run, step, call)
        if step.is_child or not self._may_be_told(run, step, call):
            return Asked(Computation(request, None, b""), None, None)
        own = run.pin or Pin.of_session(call.session)
        model, pin = await self.models.now(step, request, own, context)
        computed = await computation(step, request, model)
        taken = await self._take(run, step, call, computed.identity) if computed.identity else None
        return Asked(computed, None if pin is own else pin, taken)

    async def former(self, run: SessionRun, tenant: str) -> Former | None:
        """The session that this one was started from; None if there is none, or if it is gone by now."""
        seed = run.seed
        if seed is None or seed.is_read:
            return seed.former if seed is not None else None
        async with seed.lock:
            if not seed.is_read:
                try:
                    told = await self.load(seed.session_id, tenant)
                    planned = self.plans.of(told.context.definition)
                    seed.former = Former(told, SessionRun(planned, told.context), self.inputs)
                except CoordinatorError as error:
                    log.warning("nothing is taken of session %s: %s", seed.session_id, error)
                seed.is_read = True
        return seed.former

    async def _take(self, run: SessionRun, step: PlannedStep, call: StepCall, identity: bytes) -> Result | None:
        try:
            found = await self._find(run, step, call, identity)
            if found is None:
                return None
            await self.inputs.read(run, (call.step, call.item), found.output)  # it is there, and it can be read
        except (CoordinatorError, DecodeError) as error:
            log.warning("%s takes no stored result: %s", call.key, error)
            return None
        return Result(found.output, identity=identity if step.is_reusable else b"", reused_from=found.step_key)

    def _may_be_told(self, run: SessionRun, step: PlannedStep, call: StepCall) -> bool:
        """False if nobody asks what it computes."""
        return step.is_reusable or not runs_before(run.planned.definition.plan, call.steps, call.step)

    async def _find(
        self, run: SessionRun, step: PlannedStep, call: StepCall, identity: bytes
    ) -> Made | Reusable | None:
        tenant = call.session.tenant
        if run.seed is not None:
            if runs_before(run.planned.definition.plan, call.steps, call.step):
                return None
            former = await self.former(run, tenant)
            if former is not None and (made := (await former.made(step.step_id)).by_identity.get(identity)):
                return made
        return await self._store.find(tenant, identity) if step.is_reusable else None


def runs_before(plan: Plan, steps: Sequence[Step], index: int) -> bool:
    """True if a step that this one depends on, however far before it, made a call of its own in this session."""
    seen: set[int] = set()
    waiting = list(plan.steps[index].needs)
    while waiting:
        need = waiting.pop()
        if need not in seen:
            seen.add(need)
            if _made_a_call(steps[need]):
                return True
            waiting += plan.steps[need].needs
    return False


def _made_a_call(step: Step) -> bool:
    if step.items is not None:
        return step.state is not StepState.SUCCEEDED or step.items.reused < step.items.total
    return step.state is not StepState.SKIPPED and not step.reused_from
