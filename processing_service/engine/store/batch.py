"""What batches ask of a store. One suite, `tests/contract/test_batch_store.py`, runs on every implementation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from processing_service.engine.batches.journal import Entry
from processing_service.engine.batches.matrix import Matrix
from processing_service.engine.batches.records import BatchRecord, BatchState, Counts, Standing
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import RequestNote, SessionRow


class BatchStart(NamedTuple):
    """What is known of a batch before anything happens; never changes."""

    batch_id: str
    tenant: str
    request: bytes
    """Its creation, a serialised processing.v1.PostBatchCreateRequest without items."""
    definitions: tuple[bytes, ...]
    """SHA-256 of the definition of each of its workflows, 32 bytes."""
    model_pins: tuple[str, ...]
    """Version and digest of each of its models, `version@digest`."""
    labels: str
    """Labels as a JSON object; empty = none."""
    created_us: int


class BatchRow(NamedTuple):
    """A batch as it is stored."""

    number: int
    """The store's own number."""
    start: BatchStart
    items: int
    standing: Standing
    last_sequence: int
    begun: Mapping[int, int]
    """Cells that have a session, by its state."""

    @property
    def matrix(self) -> Matrix:
        """Its size."""
        return Matrix(self.items, max(1, len(self.start.model_pins)), len(self.start.definitions))

    @property
    def counts(self) -> Counts:
        """Its cells by state."""
        return self.counted(self.begun, self.standing.state)

    def counted(self, begun: Mapping[int, int], state: BatchState) -> Counts:
        """Its cells by state, as they were."""
        return Counts(self.items, self.matrix.total, begun, state.terminal)


class Item(NamedTuple):
    """An item of a batch."""

    number: int
    """From 0, in the order in which they came."""
    item_id: str
    data: bytes
    """A serialised processing.v1.BatchItem, large payloads as artifacts."""


class Cell(NamedTuple):
    """A cell as lists show it."""

    number: int
    item_id: str
    session: SessionRow | None
    """None before it begins."""


class Retry(NamedTuple):
    """A cell that ended without success."""

    number: int
    session_id: str
    ended_us: int


class BatchFilter(NamedTuple):
    """Which batches; what is empty matches all."""

    tenant: str = ""
    states: tuple[BatchState, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


class BatchStore(Protocol):
    """Batches, their items, cells and histories. What is awaited is durable."""

    async def create(
        self,
        start: BatchStart,
        standing: Standing,
        record: BatchRecord,
        definitions: Mapping[bytes, bytes],
        items: Sequence[Item],
        holds: Sequence[bytes],
        note: RequestNote | None = None,
    ) -> None:
        """Stores a batch with its first items.

        Args:
            definitions: serialised processing.v1.Workflow by digest.
            holds: digests of artifacts that the items need.

        Raises:
            CoordinatorError: BATCH_ALREADY_EXISTS, also while one of that name is being removed,
                BATCH_ITEM_ALREADY_EXISTS, REQUEST_ID_REUSED; nothing is stored.
        """

    async def add(
        self, batch_id: str, tenant: str, items: Sequence[Item], holds: Sequence[bytes], note: RequestNote | None = None
    ) -> None:
        """Adds items behind those that there are; their numbers are ignored.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL if it was started, BATCH_ITEM_ALREADY_EXISTS,
                REQUEST_ID_REUSED; nothing is stored.
        """

    async def record(
        self, number: int, standing: Standing, records: Sequence[BatchRecord], note: RequestNote | None = None
    ) -> None:
        """Stores where a batch stands, and what happened. The ends of cells are recorded with their sessions.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND if it was removed, REQUEST_ID_REUSED; nothing is stored.
        """

    async def read(self, batch_id: str, tenant: str) -> BatchRow:
        """The batch. Raises CoordinatorError: BATCH_NOT_FOUND."""

    async def page(self, which: BatchFilter, before: int, limit: int) -> Sequence[BatchRow]:
        """Batches with a number below `before` (0 = all), newest first."""

    async def unfinished(self) -> Sequence[BatchRow]:
        """All batches that have been started and have not ended."""

    async def definitions(self, row: BatchRow) -> Sequence[bytes]:
        """The definitions of its workflows, each a serialised processing.v1.Workflow."""

    async def items(self, row: BatchRow, first: int, count: int) -> Sequence[Item]:
        """So many items from that number on."""

    async def cells(self, row: BatchRow, first: int, limit: int, states: Sequence[SessionState] = ()) -> Sequence[Cell]:
        """Cells from that number on, by number; those that have not begun are PENDING, or CANCELLED once it is over."""

    async def unbegun(self, row: BatchRow, first: int, limit: int) -> Sequence[int]:
        """Cells from that number on that have no session."""

    async def failed_since(self, row: BatchRow, without: Collection[int] = ()) -> int:
        """Cells that ended without success, but for those that are to be run again, and some others."""

    async def begun(self, row: BatchRow, cells: Sequence[int]) -> Sequence[SessionRow]:
        """The sessions of those of the cells that have one."""

    async def to_retry(self, row: BatchRow, first: int, limit: int) -> Sequence[Retry]:
        """Cells from that number on that ended without success before `retry_before_us`."""

    async def records(self, row: BatchRow, after: int, limit: int) -> Sequence[Entry]:
        """History behind that sequence number, oldest first."""

    async def changed(self, batch_id: str) -> None:
        """Returns after the next record of that batch, or its removal; to be called before what is there is read."""

    async def remove_deleted(self) -> None:
        """Goes on with removals that a crash ended. Raises CoordinatorError: STORE_*."""

    async def delete(self, row: BatchRow, note: RequestNote | None = None) -> int:
        """Removes a batch with its sessions; how many these were. It is gone at once; a crash goes on at the start.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND; BATCH_STATE_ILLEGAL if it or a cell of it runs; REQUEST_ID_REUSED.
        """
