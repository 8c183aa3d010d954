"""The gate that steps with a model pass before their call goes out; there is one gate an Inference domain.

Steps without a model do not come here. Which operations name a model is read from their service, so that a second
Inference process, under whatever name, has a gate of its own that knows what that process has in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from coordinator.processing.v1.processing_pb2 import AdmissionClass

from instructors.admission_settings import AdmissionSettings
from instructors.base import BaseInstructor
from instructors.gate import Entry, Gate
from instructors.model_facts import ModelFacts
from instructors.registry import Instructors
from instructors.turn_wait import TurnWait
from instructors.turns import Patience
from processing_service.engine.base import SessionContext, StepCall, Wait
from processing_service.engine.model_queue import rank_of
from processing_service.engine.priorities import DEFAULT_PRIORITY
from processing_service.wire.callcontext import CallContext

_OWN: Final = "inference"
"""The domain that runs the models of the Model domain; others may have models of their own."""
_MOST_BATCHES: Final = 10_000
"""Batches whose changed priority is remembered."""


class Admission:
    """Lets calls pass that need a model.

    Args:
        instructors: the callers of the domains.
        now_us: the engine's clock, in microseconds since the Unix epoch.
    """

    def __init__(self, instructors: Instructors, settings: AdmissionSettings, now_us: Callable[[], int]) -> None:
        self._settings, self._now_us = settings, now_us
        self._facts = ModelFacts(instructors)
        self._gates: dict[str, Gate] = {}
        self._priorities: OrderedDict[str, int] = OrderedDict()
        """Of batches whose priority was changed."""

    async def send(
        self,
        instructor: BaseInstructor,
        operation: Any,
        request: Any,
        call: StepCall,
        context: CallContext,
        patience: Patience,
        tell: Callable[[Wait], None],
    ) -> tuple[bytes, bool]:
        """Makes one call, once, when it is its turn; the response as it came, and whether it waited before it left.

        Args:
            patience: how long it may wait, at the gate and for its turn together.
            tell: told what it waits for.

        Raises:
            CoordinatorError: as `BaseInstructor.send`.
            NotSent: its session pauses.
        """
        gate = self._gates.get(instructor.domain.name) or self._open(instructor)
        assert context.deadline is not None
        begun, entry = monotonic(), self._entry(call, request, patience.waited)
        ticket = await gate.enter(entry, context.deadline, patience.max_queued, tell)
        patience = patience._replace(max_queued=max(0.0, patience.max_queued - (monotonic() - begun)))
        waits = instructor.turns.full
        if waits:
            tell(TurnWait(instructor, call.key, self._now_us()))
        error: BaseException | None = None
        try:
            data = await instructor.send_watched(operation, request, context.deadline, context, patience)
        except BaseException as caught:
            error = caught
            raise
        else:
            return data, waits or (ticket is not None and ticket.future is not None)
        finally:
            if ticket is not None:
                gate.leave(ticket, error)

    def reprioritize(self, tenant: str, batch_id: str, priority: int) -> int:
        """Gives a batch another priority, 1 to 10: what waits of it, and what comes; how many calls wait."""
        flow = _flow(tenant, batch_id)
        self._priorities[flow] = priority
        self._priorities.move_to_end(flow)
        if len(self._priorities) > _MOST_BATCHES:
            self._priorities.popitem(last=False)
        return sum(gate.reprioritize(flow, priority) for gate in self._gates.values())

    def close(self) -> None:
        """Asks no domain any more."""
        self._facts.close()
        for gate in self._gates.values():
            gate.close()

    def _open(self, instructor: BaseInstructor) -> Gate:
        name = instructor.domain.name
        facts = self._facts if name == _OWN else None
        gate = self._gates[name] = Gate(instructor, facts, self._settings, self._now_us)
        return gate

    def _entry(self, call: StepCall, request: Any, waited: float) -> Entry:
        session = call.session
        flow = _flow(session.tenant, session.batch_id)
        asked = session.request.priority or DEFAULT_PRIORITY
        priority = self._priorities.get(flow, asked) if session.batch_id else asked
        rank = rank_of(priority, _class_of(session))
        return Entry(request.model_id, request.model_version, rank, flow, round(waited * 1e6))


def _flow(tenant: str, batch_id: str) -> str:
    return f"{tenant}/{batch_id}"


def _class_of(session: SessionContext) -> int:
    """As the contract says: INTERACTIVE in the foreground, BATCH in batches, else BACKGROUND."""
    if session.request.admission_class:
        return session.request.admission_class
    if session.batch_id:
        return AdmissionClass.ADMISSION_CLASS_BATCH
    background = session.request.background
    return AdmissionClass.ADMISSION_CLASS_BACKGROUND if background else AdmissionClass.ADMISSION_CLASS_INTERACTIVE
