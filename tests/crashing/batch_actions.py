"""What clients do with batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from coordinator.processing.v1 import processing_pb2 as pb

from tests.crashing.action import Action
from tests.crashing.batch_client import BatchClient, BatchLog
from tests.crashing.batch_evidence import check, check_removed
from tests.crashing.client import Client

if TYPE_CHECKING:
    from tests.crashing.evidence import Evidence

_WORKFLOWS: Final = ("line", "parallel", "each", "maybe", "above", "large")
_TITLES: Final = (
    (),
    (),
    ("delay=0.03",),
    ("delay=0.06",),
    ("flaky",),
    ("fails",),
    ("broken",),
    ("broken", "delay=0.03"),
)
_PAUSE, _RESUME, _CANCEL = pb.BATCH_ACTION_PAUSE, pb.BATCH_ACTION_RESUME, pb.BATCH_ACTION_CANCEL
_RETRY, _REPRIORITIZE = pb.BATCH_ACTION_RETRY_FAILED, pb.BATCH_ACTION_REPRIORITIZE
_PATIENCE: Final = 2
"""Verdicts of a canary that a client takes before it goes on all the same."""


def _canary_failed(event: pb.BatchEvent) -> bool:
    return event.kind == pb.BATCH_EVENT_KIND_CANARY_FAILED


def _is_paused(event: pb.BatchEvent) -> bool:
    return event.batch_state == pb.BATCH_STATE_PAUSED


class OneBatch(Action):
    """Creates a batch in one page or two, executes it, meddles, and follows it to its end."""

    def __init__(self, name: str, random: Random) -> None:
        super().__init__(name, random)
        self.workflow_ids = random.sample(_WORKFLOWS, 2)
        self.titles = [random.choice(_TITLES) for _ in range(random.randint(2, 4))]
        self.pages = random.choice((1, 2))
        self.limit = random.choice((None, None, 0, 1, 2))
        self.canary = 0
        self.verdicts = 0
        self.log = BatchLog()

    def starts(self) -> int:
        return 0

    @property
    def total(self) -> int:
        """Cells, as its client counts them."""
        return len(self.titles) * len(self.workflow_ids)

    async def act(self, client: Client) -> None:
        self.batch = BatchClient(client, self.log)
        items = [self._item(number) for number in range(len(self.titles))]
        cut = len(items) if self.pages == 1 else self.random.randint(0, len(items) - 1)
        await self.batch.create(self.creation(items[:cut]))
        if items[cut:]:
            await self.batch.add(items[cut:], f"{self.name}-items")
        if self.random.random() < 0.3:
            await self._command(_REPRIORITIZE, "first", priority=7)
        await self.batch.execute(f"{self.name}-execute")
        await self.meddle()
        await self.follow()
        await self.follow_up()

    def creation(self, items: Sequence[pb.BatchItem]) -> pb.PostBatchCreateRequest:
        """Its first call."""
        request = pb.PostBatchCreateRequest(
            batch_id=self.name
            if self.random.random() < 0.7
            else "",  # else the request_id alone keeps it from being two
            workflow_ids=self.workflow_ids,
            items=items,
            max_parallel=self.random.randint(1, 4),
            request_id=f"{self.name}-create",
            max_failures=self.limit,
        )
        if self.canary:
            request.canary.cell_count = self.canary
        return request

    def _item(self, number: int) -> pb.BatchItem:
        item = pb.BatchItem(item_id=f"i{number}")
        item.parameters.update({"text": f"{self.name}.{number}", "titles": [*self.titles[number]]})
        return item

    async def _command(self, action: pb.BatchAction.ValueType, name: str, priority: int = 0) -> bool:
        return await self.batch.control(action, f"{self.name}-{name}", priority)

    async def meddle(self) -> None:
        """What it does while the batch runs."""

    async def follow(self) -> None:
        """Watches it to its end; says how it goes on behind a canary that did not pass."""
        while self.undecided or await self.batch.until(_canary_failed):
            await self.decide()

    @property
    def undecided(self) -> bool:
        """True if a canary did not pass and nobody has said how it goes on."""
        return sum(map(_canary_failed, self.log.events)) > self.verdicts

    async def decide(self) -> None:
        """The canary did not pass: once more, or with the rest all the same, or not at all."""
        self.verdicts += 1
        name, how = f"verdict-{self.verdicts}", self.random.choice((_RESUME, _RETRY, _CANCEL))
        if how == _CANCEL:
            await self._command(_CANCEL, name)
        elif how == _RETRY and self.verdicts < _PATIENCE:
            if self.log.events[-1].batch_state != pb.BATCH_STATE_PAUSED:
                await self.batch.until(_is_paused)
            await self._command(_RETRY, name)
        else:
            await self._command(_RESUME, name)

    async def follow_up(self) -> None:
        """What it does after the end."""

    def check(self, evidence: Evidence) -> Iterator[str]:
        yield from check(self, evidence)


class BreakableBatch(OneBatch):
    """A batch that is paused and resumed, reprioritized, cancelled, retried, or nothing of it."""

    async def meddle(self) -> None:
        for turn in range(self.random.choice((0, 1, 2))):
            await self._until_some_have_ended()
            if not await self._command(_PAUSE, f"pause-{turn}"):
                return
            if self.random.random() < 0.6:
                await self.batch.until(_is_paused)
            if self.random.random() < 0.3:
                await self._command(_REPRIORITIZE, f"priority-{turn}", priority=self.random.randint(1, 10))
            go_on = _RETRY if self.random.random() < 0.3 else _RESUME
            if not await self._command(go_on, f"go-on-{turn}"):  # RETRY_FAILED is not legal in PAUSING
                await self._command(_RESUME, f"resume-{turn}")
        if self.random.random() < 0.3:
            await self._until_some_have_ended()
            await self._command(_CANCEL, "cancel")

    async def _until_some_have_ended(self) -> None:
        left = self.random.randint(0, 2)

        def enough(event: pb.BatchEvent) -> bool:
            nonlocal left
            left -= event.kind == pb.BATCH_EVENT_KIND_CELL_ENDED
            return left <= 0 or _canary_failed(event)

        if left and not self.undecided:
            await self.batch.until(enough)

    async def follow_up(self) -> None:
        for turn in range(self.random.choice((0, 1, 2))):
            if not await self._command(_RETRY, f"again-{turn}"):
                return
            await self.follow()


class TriedBatch(BreakableBatch):
    """A batch with a canary, which passes or does not."""

    def __init__(self, name: str, random: Random) -> None:
        super().__init__(name, random)
        self.canary = random.randint(1, self.total)
        self.limit = None


class RemovedBatch(OneBatch):
    """A batch that is removed after its end, or by force before it."""

    def __init__(self, name: str, random: Random) -> None:
        super().__init__(name, random)
        self.by_force = random.random() < 0.5
        self.titles += [(), ()]  # more than one slice

    async def follow(self) -> None:
        if not self.by_force:
            await super().follow()

    async def follow_up(self) -> None:
        await self.batch.delete(f"{self.name}-delete", force=self.by_force)
        await self.batch.gone()

    def check(self, evidence: Evidence) -> Iterator[str]:
        yield from check_removed(self.log.batch_id, evidence)
