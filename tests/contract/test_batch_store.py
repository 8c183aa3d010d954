"""One suite for every store of batches."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from processing_service.engine.batches.records import BatchKind, BatchRecord, BatchState, Standing
from processing_service.engine.records import Kind, Record, SessionState
from processing_service.engine.state import State
from processing_service.engine.store.base import CellKey, RequestNote, SessionFilter, SessionStart
from processing_service.engine.store.batch import BatchFilter, BatchRow, BatchStart, Item
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings, batches
from processing_service.wire.errors import Code, CoordinatorError

DIGEST = b"d" * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(StoreSettings(tmp_path, artifact_grace=0.0))
    yield store
    await store.close()


async def create(store: SqliteStore, count: int = 3, batch_id: str = "b", **changes: object) -> BatchRow:
    """A batch of so many items."""
    holds, note, labels = changes.pop("holds", ()), changes.pop("note", None), changes.pop("labels", "")
    start = BatchStart(batch_id, "t", b"request", (DIGEST,), (), str(labels), 1000)._replace(**changes)
    record = BatchRecord(1000, BatchKind.BATCH_CREATED, BatchState.CREATED)
    await store.batches.create(start, Standing(), record, {DIGEST: b"workflow"}, items(count), holds, note)  # type: ignore[arg-type]
    return await store.batches.read(batch_id, start.tenant)


def items(count: int, first: int = 0) -> list[Item]:
    return [Item(number, f"i{number}", f"data {number}".encode()) for number in range(first, first + count)]


async def move(store: SqliteStore, row: BatchRow, state: BatchState, **changes: object) -> BatchRow:
    """The batch in another state."""
    record = BatchRecord(2000, BatchKind.BATCH_STATE_CHANGED, state)
    await store.batches.record(row.number, row.standing.moved(state, **changes), [record])
    return await store.batches.read(row.start.batch_id, row.start.tenant)


async def begin(store: SqliteStore, row: BatchRow, cell: int, holds: Sequence[bytes] = ()) -> int:
    """A cell that runs."""
    name = f"{row.start.batch_id}.{cell}"
    start = SessionStart(name, row.start.tenant, "wf", DIGEST, b"workflow", b"", 1000, 500)
    of_batch = {"batch_id": row.start.batch_id, "batch_number": row.number, "cell": cell, "item_id": f"i{cell}"}
    number, durable = store.sessions.open(start._replace(**of_batch), holds)  # type: ignore[arg-type]
    await durable
    return number


async def end(
    store: SqliteStore, row: BatchRow, cell: int, number: int, state: SessionState, first: int = 1, at: int = 3000
) -> None:
    """The end of a cell."""
    records = [Record(first, at, Kind.SESSION_ENDED, 1, state)]
    stands = State(f"{row.start.batch_id}.{cell}", [], 1500, 500, state, first, started_us=1, ended_us=at)
    await store.sessions.commit(number, stands, records, wait=True, cell=CellKey(row.number, cell))  # type: ignore[misc]


async def run(store: SqliteStore, row: BatchRow, cell: int, state: SessionState = SessionState.SUCCEEDED) -> None:
    """A cell from its start to its end."""
    await end(store, row, cell, await begin(store, row, cell), state)


async def again(store: SqliteStore, row: BatchRow) -> BatchRow:
    return await store.batches.read(row.start.batch_id, row.start.tenant)


async def numbers(store: SqliteStore, row: BatchRow, *states: SessionState, size: int = 2) -> list[int]:
    """Cells in those states, page by page."""
    found: list[int] = []
    first, row = 0, await again(store, row)
    while page := await store.batches.cells(row, first, size, states):
        found += [cell.number for cell in page]
        assert all(cell.item_id == f"i{cell.number}" for cell in page)
        first = page[-1].number + 1
    return found


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    """The batch, its items, its cells, its history."""
    store = SqliteStore(StoreSettings(tmp_path))
    row = await move(store, await create(store), BatchState.RUNNING)
    await run(store, row, 0)
    before = await again(store, row)
    await store.close()
    store = SqliteStore(StoreSettings(tmp_path))
    after = await again(store, row)

    assert after == before
    assert [row.number for row in await store.batches.unfinished()] == [row.number]
    assert await store.batches.items(after, 1, 9) == items(2, 1)
    assert await store.batches.definitions(after) == [b"workflow"]
    history = await store.batches.records(after, 0, 9)
    assert [entry.record.kind.name for entry in history] == ["BATCH_CREATED", "BATCH_STATE_CHANGED", "CELL_ENDED"]
    assert [entry.sequence for entry in await store.batches.records(after, 1, 1)] == [2]
    await store.close()


async def test_cells_are_listed_by_state_with_and_without_gaps(store: SqliteStore) -> None:
    """Those that have not begun are PENDING, and CANCELLED once the batch is over."""
    row = await move(store, await create(store, 10), BatchState.RUNNING)
    for cell, state in ((0, SessionState.SUCCEEDED), (1, SessionState.FAILED), (2, SessionState.CANCELLED)):
        await run(store, row, cell, state)
    assert await numbers(store, row) == list(range(10))
    assert await numbers(store, row, SessionState.PENDING) == list(range(3, 10))
    assert await numbers(store, row, SessionState.FAILED, SessionState.CANCELLED) == [1, 2]
    await run(store, row, 7, SessionState.FAILED)  # now there is a gap
    await begin(store, row, 9)
    assert await store.batches.unbegun(await again(store, row), 0, 99) == [3, 4, 5, 6, 8]
    assert await store.batches.unbegun(await again(store, row), 5, 2) == [5, 6]
    assert await numbers(store, row, SessionState.PENDING) == [3, 4, 5, 6, 8, 9]
    assert await numbers(store, row, SessionState.FAILED) == [1, 7]
    assert await numbers(store, row, SessionState.SUCCEEDED, SessionState.PENDING) == [0, 3, 4, 5, 6, 8, 9]
    counts = (await again(store, row)).counts
    assert (counts.pending, counts.running, counts.unsuccessful) == (6, 0, 3)

    row = await move(store, await again(store, row), BatchState.FAILED)
    assert await numbers(store, row, SessionState.CANCELLED) == [2, 3, 4, 5, 6, 8]
    assert (await again(store, row)).counts.cancelled == 6


async def test_cells_that_failed_are_found_once(store: SqliteStore) -> None:
    """Those that ended before the time of the retry are run again; the others count as failed."""
    row = await move(store, await create(store, 6), BatchState.RUNNING)
    for cell, at in enumerate((3000, 4000, 5000)):
        await end(store, row, cell, await begin(store, row, cell), SessionState.FAILED, at=at)
    await run(store, row, 3)
    row = await move(store, row, BatchState.RUNNING, retry_before_us=4001)

    assert [each.number for each in await store.batches.to_retry(row, 0, 9)] == [0, 1]
    assert [each.number for each in await store.batches.to_retry(row, 1, 9)] == [1]
    assert await store.batches.failed_since(row) == 1
    assert await store.batches.failed_since(row, [1, 2]) == 0
    assert [session.start.cell for session in await store.batches.begun(row, [5, 3, 0])] == [3, 0]


async def test_the_ends_of_cells_stand_in_the_history_of_their_batch_alone(store: SqliteStore) -> None:
    """Counts as they were after each of them, although many are one transaction."""
    row = await move(store, await create(store, 3), BatchState.RUNNING)
    other = await move(store, await create(store, 3, "c"), BatchState.RUNNING)
    opened = [(batch, cell, await begin(store, batch, cell)) for batch in (row, other) for cell in range(3)]
    await asyncio.gather(*(end(store, *cell, SessionState.SUCCEEDED) for cell in opened))

    for batch in (row, other):
        history = (await store.batches.records(batch, 2, 9))[-3:]
        assert sorted(entry.record.cell for entry in history) == [0, 1, 2]
        assert [entry.sequence for entry in history] == [3, 4, 5]
        assert [entry.begun[SessionState.SUCCEEDED] for entry in history] == [1, 2, 3]


async def test_items_are_added_all_or_none(store: SqliteStore) -> None:
    """One that is there is named with its place in the page; a batch that was started takes none."""
    row = await create(store, 2)
    for page, path in ((items(2, 1), "items[0].item_id"), ([*items(2, 2), *items(1, 3)], "items[2].item_id")):
        with pytest.raises(CoordinatorError) as caught:
            await store.batches.add("b", "t", page, ())
        assert caught.value.code is Code.ALREADY_EXISTS
        assert [violation.field_path for violation in caught.value.violations] == [path]
    assert (await again(store, row)).items == 2
    await store.batches.add("b", "t", items(2, 2), ())
    assert (await again(store, row)).items == 4
    await move(store, row, BatchState.RUNNING)
    with pytest.raises(CoordinatorError, match="is RUNNING: adding items is not possible"):
        await store.batches.add("b", "t", items(1, 9), ())
    with pytest.raises(CoordinatorError, match="there is no batch 'none'"):
        await store.batches.add("none", "t", items(1, 9), ())


async def test_batches_are_listed_by_state_and_label(store: SqliteStore) -> None:
    """Newest first, of one tenant."""
    rows = [await create(store, 1, f"b{number}", labels=f'{{"n": "{number % 2}"}}') for number in range(5)]
    await move(store, rows[3], BatchState.RUNNING)
    every = BatchFilter("t")

    async def listed(which: BatchFilter, before: int = 0, limit: int = 9) -> list[str]:
        return [row.start.batch_id for row in await store.batches.page(which, before, limit)]

    assert await listed(every, limit=2) == ["b4", "b3"]
    assert await listed(every, before=rows[3].number) == ["b2", "b1", "b0"]
    assert await listed(every._replace(labels=(("n", "1"),))) == ["b3", "b1"]
    assert await listed(every._replace(states=(BatchState.CREATED,), labels=(("n", "1"),))) == ["b1"]
    assert await listed(every._replace(tenant="u")) == []


async def test_tenants_do_not_see_each_other(store: SqliteStore) -> None:
    """The same batch_id in two tenants is two batches, with cells of their own."""
    mine, theirs = await create(store, 2), await create(store, 3, tenant="u")
    await run(store, mine, 0)
    await run(store, theirs, 0, SessionState.FAILED)

    assert (await again(store, mine)).begun == {SessionState.SUCCEEDED: 1}
    assert (await again(store, theirs)).begun == {SessionState.FAILED: 1}
    assert await store.batches.delete(mine) == 1
    assert (await again(store, theirs)).counts.total == 3
    assert [row.start.session_id for row in await store.sessions.page(SessionFilter(tenant="u"), 0, 9)] == ["b.0"]


async def test_a_request_is_noted_with_what_it_does(store: SqliteStore) -> None:
    """Other content is refused, and then nothing is done."""
    note = RequestNote("t", "PostBatchCreate", "r", b"1" * 32, "b", 1)
    await create(store, note=note)
    assert await store.requests.find("t", "PostBatchCreate", "r", b"1" * 32) == "b"
    with pytest.raises(CoordinatorError, match="was used with other content"):
        await create(store, 1, "c", note=note._replace(digest=b"2" * 32))
    with pytest.raises(CoordinatorError, match="there is no batch 'c'"):
        await store.batches.read("c", "t")
    row = await store.batches.read("b", "t")
    for method, work in (
        ("PostBatchItems", lambda note: store.batches.add("b", "t", items(1, 9), (), note)),
        ("PostBatchControl", lambda note: store.batches.record(row.number, row.standing, [], note)),
        ("DeleteProcessingBatch", lambda note: store.batches.delete(row, note)),
    ):
        await store.requests.note(note._replace(method=method))
        with pytest.raises(CoordinatorError, match="was used with other content"):
            await work(note._replace(method=method, digest=b"2" * 32))
    assert (await again(store, row)).items == 3


async def test_a_batch_is_removed_with_all_it_has(store: SqliteStore) -> None:
    """In slices; its name is free, and what others have stays."""
    row, other = await create(store, 1200), await create(store, 1, "c")
    await run(store, other, 0)
    row = await move(store, row, BatchState.RUNNING)
    await asyncio.gather(*(run(store, row, cell) for cell in range(1100)))
    with pytest.raises(CoordinatorError, match="is RUNNING; cancel it first"):
        await store.batches.delete(row)
    row = await move(store, row, BatchState.SUCCEEDED)

    assert await store.batches.delete(row) == 1100
    with pytest.raises(CoordinatorError, match="there is no batch 'b'"):
        await again(store, row)
    assert await store.sessions.count(SessionFilter(tenant="t")) == 1
    for work in (store.batches.delete(row), move(store, row, BatchState.RUNNING)):
        with pytest.raises(CoordinatorError) as caught:
            await work
        assert caught.value.code is Code.NOT_FOUND
    assert (await create(store)).counts.total == 3
    assert (await again(store, other)).begun == {SessionState.SUCCEEDED: 1}


async def test_a_batch_of_which_a_cell_runs_is_not_removed(store: SqliteStore) -> None:
    """Not in half, either."""
    row = await create(store)
    await run(store, row, 0)
    number = await begin(store, row, 1)
    with pytest.raises(CoordinatorError, match="1 cells of batch 'b' run"):
        await store.batches.delete(row)
    await end(store, row, 1, number, SessionState.SUCCEEDED)
    assert await store.batches.delete(row) == 2


async def test_a_removal_goes_on_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is gone at once; its name is free when its sessions are gone, too."""
    monkeypatch.setattr(batches, "_SLICE", 2)
    store = SqliteStore(StoreSettings(tmp_path))
    row = await create(store, 9)
    for cell in range(9):
        await run(store, row, cell)
    removing = asyncio.ensure_future(store.batches.delete(row))
    while (await store.sessions.count(SessionFilter(tenant="t")) or 0) > 6:
        pass
    removing.cancel()
    await asyncio.gather(removing, return_exceptions=True)
    await store.close()

    store = SqliteStore(StoreSettings(tmp_path))
    assert 0 < (await store.sessions.count(SessionFilter(tenant="t")) or 0) < 9
    with pytest.raises(CoordinatorError, match="there is no batch 'b'"):
        await again(store, row)
    with pytest.raises(CoordinatorError, match="a batch 'b' is being removed"):
        await create(store)
    assert list(await store.batches.unfinished()) == []
    await store.batches.remove_deleted()
    assert await store.sessions.count(SessionFilter(tenant="t")) == 0
    assert (await create(store)).begun == {}
    await store.close()


async def test_what_items_and_cells_need_is_kept_and_has_a_grace(store: SqliteStore, tmp_path: Path) -> None:
    """As long as the batch, whether its cells have begun or not; the removal begins the grace."""
    for_item, for_cell = [hashlib.sha256(data).digest() for data in (b"item", b"cell")]
    for data in (b"item", b"cell"):
        await store.artifacts.put(data)
    row = await create(store, holds=[for_item])
    await end(store, row, 0, await begin(store, row, 0, [for_cell]), SessionState.SUCCEEDED)
    assert await store.sweep() == 0
    for path in (tmp_path / "artifacts").rglob("*"):
        os.utime(path, (1, 1))  # both are old
    await store.batches.delete(row)
    await store.close()

    kept = SqliteStore(StoreSettings(tmp_path, artifact_grace=60.0))
    assert await kept.sweep() == 0
    await kept.close()
    swept = SqliteStore(StoreSettings(tmp_path, artifact_grace=0.0))
    assert await swept.sweep() == 2
    await swept.close()


async def test_who_waits_for_a_batch_is_woken(store: SqliteStore) -> None:
    """By a record, by the end of a cell, by its removal."""
    row = await create(store)

    async def woken(work: object) -> None:
        waiting = asyncio.ensure_future(store.batches.changed("b"))
        await asyncio.sleep(0)
        await work  # type: ignore[misc]
        await waiting

    await woken(move(store, row, BatchState.RUNNING))
    await woken(run(store, row, 0))
    row = await move(store, row, BatchState.CANCELLED)
    await woken(store.batches.delete(row))
