"""The gate of one Inference domain: calls pass in the order of the planner, which knows what the domain has in memory.

What is not known never holds a call up: while the domain does not say what it has in memory, calls pass as they come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason

from instructors.admission_settings import AdmissionSettings
from instructors.base import BaseInstructor
from instructors.model_facts import NOTHING, ModelFacts
from instructors.ticket import Ticket
from processing_service.engine.base import NotSent
from processing_service.engine.planner import Planner
from processing_service.wire.callcontext import NO_CALL
from processing_service.wire.errors import Code, CoordinatorError

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
"""How often the memory is looked at while somebody waits, in seconds."""
_STALE_S: Final = 5.0
"""After that it is looked at when a call comes, in seconds; after `_LOOK_S` if the last look failed."""
_PATIENCE_S: Final = 2.0
"""How long a look may take, in seconds; then nothing is known."""
_WORKERS: Final = 2
"""Runs at the same time of a domain that does not say how many it makes."""
_RAN: Final = frozenset({ErrorReason.ERROR_REASON_MODEL_RUN_FAILED, ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE})
"""Answers that show that the model was in memory."""


class Entry(NamedTuple):
    """What a call is to the planner."""

    model_id: str
    model_version: str
    """Empty = the newest."""
    rank: int
    flow: str
    waited_us: int
    """How long it had waited before its session was paused, in microseconds."""


class Gate:
    """Lets calls to one Inference domain pass.

    Args:
        instructor: calls the domain.
        facts: what the Model domain says of models; None for a domain that may have others under the same names.
        now_us: microseconds since the Unix epoch.
    """

    def __init__(
        self,
        instructor: BaseInstructor,
        facts: ModelFacts | None,
        settings: AdmissionSettings,
        now_us: Callable[[], int],
    ) -> None:
        self._instructor, self._facts, self._settings, self._now_us = instructor, facts, settings, now_us
        self._domain = instructor.domain.name
        self._planners: dict[str, Planner] = {}
        """By device."""
        self._unversioned: dict[str, str] = {}
        """Keys by model_id of models whose newest version is not known."""
        self._waiting: dict[Ticket, None] = {}
        self._workers = 0
        self._known = False
        self._looked = 0.0
        self._look: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def enter(
        self, entry: Entry, deadline: float, max_queued: float, tell: Callable[[Ticket], None]
    ) -> Ticket | None:
        """Returns when the call may leave; give the ticket back with `leave`. None if nothing has to be given back.

        Args:
            deadline: in seconds of `time.monotonic()`.
            max_queued: seconds that it may wait.
            tell: told if it waits.

        Raises:
            CoordinatorError: STEP_QUEUED_TOO_LONG, DEADLINE_EXCEEDED.
            NotSent: it was recalled.
        """
        if not self._looked:
            await asyncio.shield(self._look_soon())
        elif monotonic() - self._looked > (_STALE_S if self._known else _LOOK_S):
            self._look_soon()
        if not self._known:
            return None
        fact = await self._facts.find((entry.model_id, entry.model_version)) if self._facts is not None else NOTHING
        planner = self._planners.get(fact.device or next(iter(self._planners), ""))
        if planner is None or fact.size_bytes > planner.budget_bytes:  # it is refused there at once
            return None
        key = f"{entry.model_id}@{fact.model_version or entry.model_version}"
        if not (fact.model_version or entry.model_version):
            self._unversioned[entry.model_id] = key
        ticket = Ticket(planner, self._domain, key, entry.rank, entry.flow, self._now_us(), entry.waited_us)
        planner.add(ticket, fact.size_bytes)
        self._pump(planner)
        if ticket.waiting:
            await self._wait(ticket, deadline, max_queued, tell)
        await self._part(ticket)
        if planner.loading(key):
            tell(ticket)
            self._watch_memory()
        return ticket

    def leave(self, ticket: Ticket, error: BaseException | None = None) -> None:
        """The call has ended."""
        ticket.is_over = True
        if ticket.is_free:
            return
        planner, model = ticket.planner, ticket.model
        reason = error.reason if isinstance(error, CoordinatorError) else None
        loading, loaded = planner.loading(model), error is None or reason in _RAN
        if reason == ErrorReason.ERROR_REASON_MODEL_OUT_OF_MEMORY:
            beside = planner.part(model, self._now_us())
            log.warning("%s ran out of memory beside %s; they are kept apart from now on", model, beside or "nothing")
        planner.release(ticket, self._now_us(), loaded=loaded)
        if (loading and loaded) or (isinstance(error, CoordinatorError) and error.code is Code.UNAVAILABLE):
            self._look_soon()
        self._pump(planner)

    def reprioritize(self, flow: str, priority: int) -> int:
        """Gives what waits of a flow another priority; how many calls that are."""
        moved = sum(planner.reprioritize(flow, priority) for planner in self._planners.values())
        for planner in self._planners.values():
            self._pump(planner)
        return moved

    def close(self) -> None:
        """Looks no more."""
        for task in (self._look, self._watch):
            if task is not None:
                task.cancel()

    async def _wait(self, ticket: Ticket, deadline: float, max_queued: float, tell: Callable[[Ticket], None]) -> None:
        ticket.future = future = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = None
        tell(ticket)
        self._watch_memory()
        left = deadline - monotonic()
        try:
            await asyncio.wait([future], timeout=max(0.0, min(left, max_queued)))
        except asyncio.CancelledError:
            self._give_up(ticket)
            raise
        finally:
            del self._waiting[ticket]
        if not future.done():
            evidence = ticket.evidence()
            self._give_up(ticket)
            raise self._late(ticket, evidence) if left <= max_queued else self._queued(ticket, max_queued, evidence)
        if future.exception() is not None:
            self._pump(ticket.planner)
            raise NotSent
        tell(ticket)

    def _give_up(self, ticket: Ticket) -> None:
        """A call that waits is over, or one that was let go in this moment."""
        assert ticket.future is not None
        if ticket.waiting:
            ticket.planner.remove(ticket)
        elif ticket.future.done() and ticket.future.exception() is None:
            self.leave(ticket, NotSent())
        ticket.future.cancel()
        self._pump(ticket.planner)

    def _pump(self, planner: Planner) -> None:
        """Lets those go that may."""
        now_us = self._now_us()
        while (going := planner.next(now_us)) is not None:
            assert isinstance(going, Ticket)
            going.go()

    async def _part(self, ticket: Ticket) -> None:
        """Unloads models beside which this one ran out of memory; what cannot be unloaded stays."""
        for key in ticket.parted:
            model_id, _, model_version = key.partition("@")
            operation = self._instructor.operation("post_inference_unload")
            request = operation.request_class(model_id=model_id, model_version=model_version)
            try:
                await self._instructor.send(operation, request, monotonic() + _PATIENCE_S, NO_CALL)
            except CoordinatorError as error:
                log.warning("%s was not unloaded to make room for %s: %s", key, ticket.model, error)
            except BaseException:
                self.leave(ticket, NotSent())
                raise

    def _look_soon(self) -> asyncio.Task[None]:
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._look_now())
        return self._look

    def _watch_memory(self) -> None:
        """Looks at the memory as long as somebody waits for something."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.ensure_future(self._looking())

    async def _looking(self) -> None:
        while self._waiting or any(planner.is_loading for planner in self._planners.values()):
            await asyncio.sleep(_LOOK_S)
            await asyncio.shield(self._look_soon())

    async def _look_now(self) -> None:
        """Asks what is in memory; whoever waits goes if that cannot be told."""
        if self._looked and self._instructor.turns.full:  # it would wait behind the calls
            return
        since = {device: planner.uses for device, planner in self._planners.items()}
        try:
            reply = await self._ask("get_inference_cache")
            self._workers = self._workers or await self._ask_workers()
        except CoordinatorError as error:
            if self._known:
                log.warning("what the %s domain has in memory is not known: %s", self._domain, error)
            self._known = False
            self._let_all_go()
        else:
            self._known = True
            self._settle(reply, since)
        self._looked = monotonic()

    async def _ask_workers(self) -> int:
        with suppress(CoordinatorError):
            capabilities = await self._ask("get_inference_capabilities")
            return capabilities.max_parallel or _WORKERS
        return _WORKERS

    async def _ask(self, rpc: str) -> Any:
        operation = self._instructor.operation(rpc)
        deadline = monotonic() + _PATIENCE_S
        data = await self._instructor.send(operation, operation.request_class(), deadline, NO_CALL)
        return self._instructor.parse(operation, data)

    def _settle(self, reply: Any, since: dict[str, int]) -> None:
        for budget in reply.devices:
            planner = self._planners.get(budget.device)
            if planner is None:
                planner = self._planners[budget.device] = Planner(
                    budget.budget_bytes, self._window(), round(self._settings.max_wait * 1e6)
                )
            planner.budget_bytes = budget.budget_bytes
            models = [(self._key(model), model.size_bytes) for model in reply.models if model.device == budget.device]
            planner.settle(models, since.get(budget.device, 0))
            self._pump(planner)

    def _key(self, model: Any) -> str:
        return self._unversioned.get(model.model_id) or f"{model.model_id}@{model.model_version}"

    def _window(self) -> int:
        """Calls that are out, at most; one less than may be, so that there is a turn for a look."""
        return max(1, min(self._workers * self._settings.calls_per_worker, self._instructor.turns.limit - 1))

    def _let_all_go(self) -> None:
        for ticket in tuple(self._waiting):
            if ticket.waiting:
                ticket.planner.remove(ticket)
                ticket.is_free = True
                ticket.go()

    def _queued(self, ticket: Ticket, max_queued: float, evidence: str) -> CoordinatorError:
        name = ticket.model.partition("@")[0]
        return CoordinatorError(
            Code.DEADLINE_EXCEEDED,
            ErrorReason.ERROR_REASON_STEP_QUEUED_TOO_LONG,
            f"waited {max_queued:g} s for its model {name!r} in the {self._domain} domain{evidence}; raise max_queued, "
            "the priority of the session, or the memory budget of the domain",
            metadata={"max_queued_seconds": f"{max_queued:g}", "in_flight_limit": str(ticket.planner.window)}
            | _facts(ticket),
        )

    def _late(self, ticket: Ticket, evidence: str) -> CoordinatorError:
        name = ticket.model.partition("@")[0]
        text = (
            f"no time was left for a call while it waited for its model {name!r} in the {self._domain} domain{evidence}"
        )
        code, reason = Code.DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
        return CoordinatorError(code, reason, f"{text}; give the session a longer timeout", metadata=_facts(ticket))


def _facts(ticket: Ticket) -> dict[str, str]:
    beside = ",".join(sorted(key.partition("@")[0] for key in ticket.planner.foes(ticket.model)))
    return {"model_id": ticket.model.partition("@")[0]} | ({"out_of_memory_beside": beside} if beside else {})
