"""A call that waits for its model, and what it says of that."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from coordinator.processing.v1.processing_pb2 import WaitReason

from processing_service.engine.base import NotSent
from processing_service.engine.model_queue import Waiter
from processing_service.engine.planner import Planner

_SHOWN: Final = 3
"""Names of models in a message, at most."""


class Ticket(Waiter):
    """A place in the queue of a model, and then a share of the calls that may be out.

    Args:
        model: `model_id@model_version`.
        since_us: since when it waits, in microseconds since the Unix epoch.
        waited_us: how long it had waited before, in microseconds.
    """

    __slots__ = ("domain", "future", "is_free", "is_over", "planner", "since_us")

    def __init__(
        self, planner: Planner, domain: str, model: str, rank: int, flow: str, since_us: int, waited_us: int
    ) -> None:
        super().__init__(model, rank, flow, since_us - waited_us)
        self.planner, self.domain, self.since_us = planner, domain, since_us
        self.future: asyncio.Future[None] | None = None
        """Resolved when it goes; None if it did not have to wait."""
        self.is_free = False
        """True if it went past the planner, because nothing is known of the memory."""
        self.is_over = False
        """True once its call has ended."""

    def go(self) -> None:
        """Its call may leave."""
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    def recall(self) -> None:
        """Takes the call back, if it has not left: its `run` raises NotSent."""
        if self.waiting and self.future is not None and not self.future.done():
            self.planner.remove(self)
            self.future.set_exception(NotSent())

    def reason(self) -> int:
        """WaitReason of the contract; 0 once it does not wait any more."""
        if self.waiting:
            return self.planner.why(self)
        loading = not self.is_over and not self.is_free and self.planner.loading(self.model)
        return WaitReason.WAIT_REASON_MODEL_LOAD if loading else 0

    def position(self) -> int:
        """Its place in the queue of its model, from 1; 0 if it has left."""
        return self.planner.position(self) if self.waiting else 0

    def text(self) -> str:
        """For people; empty once it does not wait any more."""
        reason, name = self.reason(), self.model.partition("@")[0]
        if reason == WaitReason.WAIT_REASON_LEASE:
            others = _shown([key for key in self.planner.busy() if key != self.model])
            return f"waits for its model {name!r}: calls hold the memory with {others or 'others'}{self.evidence()}"
        if reason == WaitReason.WAIT_REASON_MODEL_LOAD:
            return f"waits for its model {name!r} to be loaded"
        if reason:
            return f"waits for its model {name!r}: {self.planner.out} calls are out to the {self.domain} domain"
        return ""

    def evidence(self) -> str:
        """When its model ran out of memory, and beside which others; empty if it never did."""
        foes = self.planner.foes(self.model)
        if not foes:
            return ""
        at = datetime.fromtimestamp(max(foes.values()) / 1e6, UTC).isoformat(timespec="seconds")
        return f", beside which it ran out of memory ({_shown(sorted(foes))}, last at {at})"


def _shown(keys: list[str]) -> str:
    names = [repr(key.partition("@")[0]) for key in keys]
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
