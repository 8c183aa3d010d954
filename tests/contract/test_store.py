"""One suite for every store."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Workflow

from processing_service.engine.records import Kind, Output, Record, SessionState, Spent
from processing_service.engine.state import State
from processing_service.engine.store.base import NEVER, Published, RequestNote, Reusable, SessionFilter, SessionStart
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.engine.store.sqlite.faults import FILE_NAME
from processing_service.wire.errors import Code, CoordinatorError, Fenced
from processing_service.wire.telemetry.hooks import CommitEnded


def start(session_id: str = "s-1", **changes: object) -> SessionStart:
    return SessionStart(session_id, "t", "wf", b"d" * 32, b"definition", b"request", 1000, 500)._replace(**changes)


def turn(
    session_id: str, *kinds: Kind, first: int = 1, state: SessionState = SessionState.RUNNING
) -> tuple[State, list[Record]]:
    records = [Record(first + i, 2000 + i, kind, 1, state) for i, kind in enumerate(kinds)]
    return State(session_id, [], 1500, 500, state, records[-1].sequence), records


@contextmanager
def files_of_at_most(limit: int) -> Iterator[None]:
    """No file may grow past that many bytes within: a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heard)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(StoreSettings(tmp_path))
    yield store
    await store.close()


async def reopened(store: SqliteStore, tmp_path: Path) -> SqliteStore:
    await store.close()
    return SqliteStore(StoreSettings(tmp_path))


async def begin(store: SqliteStore, session_id: str = "s-1", **changes: object) -> int:
    number, durable = store.sessions.open(start(session_id, **changes))
    await durable
    return number


async def end(store: SqliteStore, number: int, session_id: str = "s-1", first: int = 1) -> None:
    ended = turn(session_id, Kind.SESSION_ENDED, first=first, state=SessionState.SUCCEEDED)
    await store.sessions.commit(number, *ended, wait=True)  # type: ignore[misc]


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    """A session, its history and its result."""
    store = SqliteStore(StoreSettings(tmp_path))
    number = await begin(store)
    state, records = turn("s-1", Kind.SESSION_STARTED, Kind.SESSION_ENDED, state=SessionState.SUCCEEDED)
    durable = store.sessions.commit(number, state, records, result=b"out", wait=True)
    assert durable is not None
    await durable

    store = await reopened(store, tmp_path)
    row, stored = await store.sessions.load("s-1", "t")
    assert (row.state, row.result, row.start.definition) == (SessionState.SUCCEEDED, b"out", b"definition")
    assert stored == records
    await store.close()


async def test_many_that_begin_and_end_at_once_are_all_stored(store: SqliteStore) -> None:
    """More than one transaction begins, none of them waited for before its session goes on."""
    ends = []
    for number in range(50):
        session_id = f"s-{number}"
        row, _ = store.sessions.open(start(session_id))
        state, records = turn(session_id, Kind.SESSION_STARTED, Kind.SESSION_ENDED, state=SessionState.SUCCEEDED)
        ends.append(store.sessions.commit(row, state, records, result=b"out", wait=True))
    await asyncio.gather(*ends)  # type: ignore[arg-type]

    rows = await store.sessions.page(SessionFilter(tenant="t"), 0, 100)
    assert {(row.state, row.last_sequence, row.result) for row in rows} == {(SessionState.SUCCEEDED, 2, b"out")}
    assert len(rows) == await store.sessions.count(SessionFilter(tenant="t", states=(SessionState.SUCCEEDED,))) == 50
    assert len(await store.sessions.records("s-49", "t", 0, 10)) == 2


async def test_a_start_that_nobody_waits_for_is_one_row_with_its_end(tmp_path: Path) -> None:
    """It is held back, unless the session ends or somebody waits for what came of it; nothing is lost at the end."""
    commits: list[CommitEnded] = []
    store = SqliteStore(StoreSettings(tmp_path), commits.append)
    store.sessions.held_s = 3600.0
    numbers = [store.sessions.open_behind(start(name), (), unexpected) for name in ("s-1", "s-2", "s-3", "s-4")]
    store.sessions.commit(numbers[0], *turn("s-1", Kind.SESSION_STARTED))
    store.sessions.commit(numbers[1], *turn("s-2", Kind.SESSION_STARTED))
    await asyncio.sleep(0)
    await end(store, numbers[1], "s-2", first=2)
    await store.sessions.commit(numbers[2], *turn("s-3", Kind.SESSION_STARTED), wait=True)  # type: ignore[misc]
    assert [(commit.sessions, commit.rows) for commit in commits] == [(1, 2), (1, 2)]

    store = await reopened(store, tmp_path)
    rows = await store.sessions.page(SessionFilter(tenant="t"), 0, 10)
    states = SessionState.PENDING, SessionState.RUNNING, SessionState.SUCCEEDED, SessionState.RUNNING
    assert tuple(row.state for row in rows) == states
    await store.close()


async def test_a_child_is_never_there_without_its_parent(store: SqliteStore) -> None:
    """Else nobody would remove it, if the process died in between and the parent never began again."""
    store.sessions.held_s = 3600.0
    for name in ("s-1", "s-2"):
        store.sessions.open_behind(start(name), (), unexpected)
    await store.sessions.open(start("s-3", parent_session_id="s-2")).durable

    assert [row.start.session_id for row in await store.sessions.page(SessionFilter(tenant="t"), 0, 10)] == [
        "s-3",
        "s-2",
    ]


async def test_a_start_that_nobody_waits_for_is_written_by_itself(store: SqliteStore) -> None:
    """After a moment, with all that came of it."""
    number = store.sessions.open_behind(start(), (), unexpected)
    store.sessions.commit(number, *turn("s-1", Kind.SESSION_STARTED))
    while not await store.sessions.count(SessionFilter(tenant="t", states=(SessionState.RUNNING,))):
        pass
    assert len(await store.sessions.records("s-1", "t", 0, 10)) == 1


def unexpected(error: CoordinatorError) -> None:
    """Nothing is refused here."""
    raise error


async def test_what_came_of_a_refused_start_is_refused_too(store: SqliteStore) -> None:
    """Its history does not go to the session that has the id."""
    await begin(store)
    number, durable = store.sessions.open(start())
    end = store.sessions.commit(number, *turn("s-1", Kind.SESSION_STARTED), wait=True)
    assert end is not None
    with pytest.raises(CoordinatorError, match="there is a session 's-1' already"):
        await durable
    with pytest.raises(CoordinatorError):
        await end
    assert await store.sessions.records("s-1", "t", 0, 10) == []


async def test_turns_of_one_session_are_one_chunk(store: SqliteStore) -> None:
    """All that happens before a commit is one row and one chunk, in order."""
    number = await begin(store)
    for sequence in (1, 2, 3):
        state, records = turn("s-1", Kind.STEP_STARTED, first=sequence)
        durable = store.sessions.commit(number, state, records, wait=True)
    await durable  # type: ignore[misc]

    assert [record.sequence for record in await store.sessions.records("s-1", "t", 0, 10)] == [1, 2, 3]
    assert [record.sequence for record in await store.sessions.records("s-1", "t", 1, 1)] == [2]


async def test_a_taken_session_id_is_refused_and_nothing_else(store: SqliteStore) -> None:
    """The others of the same transaction are written."""
    await begin(store)
    clash, other = store.sessions.open(start()).durable, store.sessions.open(start("s-2")).durable

    with pytest.raises(CoordinatorError) as caught:
        await clash
    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS
    assert not (await other).repeated


async def test_a_request_id_gives_the_first_session_again(store: SqliteStore) -> None:
    """Equal content: the first one; other content: ALREADY_EXISTS with both digests."""
    await begin(store, request_id="r", request_digest=b"1" * 32)

    again = await store.sessions.open(start("s-2", request_id="r", request_digest=b"1" * 32)).durable
    assert (again.session_id, again.repeated) == ("s-1", True)
    with pytest.raises(CoordinatorError) as caught:
        await store.sessions.open(start("s-3", request_id="r", request_digest=b"2" * 32)).durable
    assert caught.value.reason == ErrorReason.ERROR_REASON_REQUEST_ID_REUSED
    assert caught.value.metadata["first_digest"] == (b"1" * 32).hex()


async def test_tenants_do_not_see_each_other(store: SqliteStore) -> None:
    """The same session_id in two tenants is two sessions."""
    await begin(store)
    await begin(store, tenant="u", request=b"other")

    assert (await store.sessions.read("s-1", "u")).start.request == b"other"
    assert [row.start.tenant for row in await store.sessions.page(SessionFilter(tenant="t"), 0, 10)] == ["t"]


async def test_pages_come_newest_first_and_filtered(store: SqliteStore) -> None:
    """By workflow, state, label; the counter answers what it can."""
    for index in range(5):
        await begin(store, f"s-{index}", labels='{"kind": "a"}' if index % 2 else "", workflow_id=f"wf{index % 2}")

    every = SessionFilter(tenant="t")
    rows = await store.sessions.page(every, 0, 2)
    assert [row.start.session_id for row in rows] == ["s-4", "s-3"]
    assert [row.start.session_id for row in await store.sessions.page(every, rows[-1].number, 9)] == [
        "s-2",
        "s-1",
        "s-0",
    ]
    labelled = await store.sessions.page(every._replace(labels=(("kind", "a"),)), 0, 9)
    assert [row.start.session_id for row in labelled] == ["s-3", "s-1"]
    assert await store.sessions.count(every) == 5
    assert await store.sessions.count(every._replace(states=(SessionState.FAILED,))) == 0
    assert await store.sessions.count(every._replace(workflow_id="wf1")) is None


async def test_counters_follow_every_change(store: SqliteStore) -> None:
    """Client count == server count == sum by state."""
    numbers = [await begin(store, f"s-{index}") for index in range(3)]
    state, records = turn("s-0", Kind.SESSION_ENDED, state=SessionState.FAILED)
    await store.sessions.commit(numbers[0], state, records, wait=True)  # type: ignore[misc]
    await end(store, numbers[1])
    await store.delete_session("s-1", "t")

    every = SessionFilter(tenant="t")
    assert await store.sessions.count(every) == 2
    assert await store.sessions.count(every._replace(states=(SessionState.FAILED,))) == 1


async def test_a_stale_writer_is_refused_alone(store: SqliteStore) -> None:
    """History that does not follow on what is stored is Fenced; other sessions are not touched."""
    first, second = await begin(store, "s-1"), await begin(store, "s-2")
    stale, records = turn("s-1", Kind.STEP_STARTED, first=7)
    fenced = store.sessions.commit(first, stale, records, wait=True)
    good, records = turn("s-2", Kind.STEP_STARTED)
    fine = store.sessions.commit(second, good, records, wait=True)

    with pytest.raises(CoordinatorError) as caught:
        await fenced  # type: ignore[misc]
    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_FENCED
    await fine  # type: ignore[misc]
    assert await store.sessions.records("s-1", "t", 0, 9) == []


@pytest.mark.parametrize("first", [1, 2])
async def test_a_fork_as_long_as_what_is_stored_is_refused_alone(store: SqliteStore, first: int) -> None:
    """Its last number is that of the row, and still it does not follow on it."""
    number, other = await begin(store, "s-1"), await begin(store, "s-2")
    told = turn("s-1", Kind.SESSION_STARTED, Kind.STEP_STARTED)
    await store.sessions.commit(number, *told, wait=True)  # type: ignore[misc]
    state, records = turn("s-1", *([Kind.STEP_FAILED] * (3 - first)), first=first)
    forked = store.sessions.commit(number, state, records, wait=True)
    fine = store.sessions.commit(other, *turn("s-2", Kind.SESSION_STARTED), wait=True)

    with pytest.raises(CoordinatorError) as caught:
        await forked  # type: ignore[misc]
    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_FENCED
    await fine  # type: ignore[misc]
    assert await store.sessions.records("s-1", "t", 0, 9) == told[1]


async def test_an_old_owner_cannot_write(tmp_path: Path, store: SqliteStore) -> None:
    """Once another coordinator has raised the epoch, every transaction of the first fails."""
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("UPDATE owner SET epoch = epoch + 1")

    with pytest.raises(CoordinatorError) as caught:
        await begin(store)
    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_FENCED


async def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path, store: SqliteStore) -> None:
    """STORE_LOCKED with the process id, and the first goes on."""
    with pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path))
    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_LOCKED
    assert caught.value.metadata["process_id"] == str(os.getpid())
    await begin(store)


async def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    """STORE_TOO_NEW with both versions; nothing is written."""
    await SqliteStore(StoreSettings(tmp_path)).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path))
    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_TOO_NEW
    assert caught.value.metadata["store_version"] == "99"


async def test_a_full_disk_refuses_starts_and_loses_nothing(store: SqliteStore) -> None:
    """What runs is written once there is room again."""
    number = await begin(store)
    store._database.writer.execute("PRAGMA max_page_count = 1")
    state, records = turn("s-1", Kind.STEP_STARTED)
    pending = store.sessions.commit(number, state, records, wait=True)
    with pytest.raises(CoordinatorError) as caught:
        await store.sessions.open(start("s-2", request=b"x" * 100_000)).durable
    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_FULL
    assert store.error is caught.value

    store._database.writer.execute("PRAGMA max_page_count = 1000000")
    await pending  # type: ignore[misc]
    assert store.error is None
    assert [record.sequence for record in await store.sessions.records("s-1", "t", 0, 9)] == [1]


async def test_trouble_of_the_store_is_logged_when_it_begins_and_ends(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each, however often is tried meanwhile: what runs waits without a word, and somebody has to make room."""
    store._database.writer.execute("PRAGMA max_page_count = 1")
    for name in ("s-1", "s-2"):
        with pytest.raises(CoordinatorError):
            await store.sessions.open(start(name, request=b"x" * 100_000)).durable
    store._database.writer.execute("PRAGMA max_page_count = 1000000")
    while store.error is not None:  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0)

    told = [record.getMessage() for record in caplog.records if record.name.endswith("sqlite.writer")]
    assert told == [
        "the store takes nothing: the disk of the store is full; nothing was written; free space and try again",
        "the store takes what is written again",
    ]


async def test_a_store_that_fails_can_be_closed(tmp_path: Path) -> None:
    """Nobody waits for room that may never come; what could not be written is left to the next start."""
    store = SqliteStore(StoreSettings(tmp_path))
    number = await begin(store)
    store._database.writer.execute("PRAGMA max_page_count = 1")
    state, records = turn("s-1", *[Kind.STEP_STARTED] * 5000)
    pending = store.sessions.commit(number, state, records, wait=True)
    while store.error is None:  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0)
    await asyncio.wait_for(store.close(), 10)

    assert pending is not None
    assert not pending.done()


async def test_a_folder_that_has_gone_takes_nothing_until_it_is_back(store: SqliteStore, tmp_path: Path) -> None:
    """What nobody would find again is not acknowledged; what runs is written once the files are back."""
    number = await begin(store)
    where, elsewhere = tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved")
    where.rename(elsewhere)  # a test may block
    state, records = turn("s-1", Kind.STEP_STARTED)
    pending = store.sessions.commit(number, state, records, wait=True)
    for writing in (store.sessions.open(start("s-2")).durable, store.artifacts.put(b"content")):
        with pytest.raises(CoordinatorError) as caught:
            await writing
        assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_UNAVAILABLE
    assert store.error is not None
    assert not where.exists()

    elsewhere.rename(where)
    await pending  # type: ignore[misc]
    assert store.error is None


async def test_what_is_read_in_a_folder_that_has_gone_is_out_of_reach(store: SqliteStore, tmp_path: Path) -> None:
    """SQLite itself cannot open it for one more reader, as if it were not allowed to."""
    where, elsewhere = tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved")
    where.rename(elsewhere)  # a test may block
    with pytest.raises(CoordinatorError) as caught:
        await store.sessions.read("s-1", "t")
    elsewhere.rename(where)

    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_UNAVAILABLE
    assert "not where they were" in caught.value.message


async def test_unfinished_sessions_are_found_and_charged(store: SqliteStore) -> None:
    """With definition and history; those that ended are not."""
    await begin(store, "s-1")
    number = await begin(store, "s-2")
    state, records = turn("s-2", Kind.SESSION_ENDED, state=SessionState.FAILED)
    await store.sessions.commit(number, state, records, wait=True)  # type: ignore[misc]
    await store.charge_recovery()

    ((row, history),) = await store.sessions.unfinished()
    assert (row.start.session_id, row.recoveries, row.start.definition, history) == ("s-1", 1, b"definition", [])


async def test_a_long_history_is_read_in_parts(store: SqliteStore) -> None:
    """Every part is what stands behind the one before, however its records were written."""
    number = await begin(store)
    for first in range(1, 1000, 7):
        state, records = turn("s-1", *[Kind.STEP_STARTED] * 7, first=first)
        await store.sessions.commit(number, state, records, wait=True)  # type: ignore[misc]
    read: list[int] = []
    while part := await store.sessions.records("s-1", "t", len(read), 100):
        read += [record.sequence for record in part]

    assert read == list(range(1, 1002))


async def test_the_history_of_another_session_of_that_id_is_not_given(store: SqliteStore) -> None:
    """Who read the first one's history is told that it is gone."""
    for created_us in (1000, 2000):
        await store.delete_session("s-1", "t")
        await end(store, await begin(store, created_us=created_us))

    assert len(await store.sessions.records("s-1", "t", 0, 10)) == 1
    assert len(await store.sessions.records("s-1", "t", 0, 10, 2000)) == 1
    with pytest.raises(CoordinatorError, match="no session 's-1'"):
        await store.sessions.records("s-1", "t", 0, 10, 1000)


async def test_a_waiter_is_woken_by_the_next_commit(store: SqliteStore) -> None:
    """And by the removal of the session."""
    number = await begin(store)
    waiter = asyncio.ensure_future(store.sessions.changed("s-1"))
    await asyncio.sleep(0)
    store.sessions.commit(number, *turn("s-1", Kind.STEP_STARTED))
    await waiter

    await end(store, number, first=2)
    waiter = asyncio.ensure_future(store.sessions.changed("s-1"))
    await asyncio.sleep(0)
    await store.delete_session("s-1", "t")
    await waiter


async def test_workflows_keep_their_revision_while_the_meaning_stays(store: SqliteStore) -> None:
    """The same digest changes nothing; another raises the revision."""
    workflow = Workflow(workflow_id="read-text")
    first, changed = await store.workflows.put("t", workflow, b"1" * 32, 1)
    again, unchanged = await store.workflows.put("t", workflow, b"1" * 32, 2)
    other, _ = await store.workflows.put("t", workflow, b"2" * 32, 3)

    assert (changed, unchanged) == (True, False)
    assert [w.revision for w in (first, again, other)] == [1, 1, 2]
    assert again.updated_at == first.updated_at
    with pytest.raises(CoordinatorError, match="hyphens"):
        await store.workflows.put("t", Workflow(workflow_id="readtext"), b"3" * 32, 4)


def note(request_id: str = "r", digest: bytes = b"1" * 32, now_us: int = 1) -> RequestNote:
    return RequestNote("t", "Put", request_id, digest, "wf", now_us)


async def test_a_service_is_stored_with_its_workflow_and_outlives_it(store: SqliteStore) -> None:
    """What is put without one is told, and a deletion only ends that it is served."""
    workflow, service = Workflow(workflow_id="read-text"), Published(b"files", is_live=True)
    await store.workflows.put("t", workflow, b"1" * 32, 1)
    without = await store.workflows.unpublished()
    await store.workflows.put("t", workflow, b"1" * 32, 2, service=service)
    await store.workflows.put("t", workflow, b"2" * 32, 3)
    served = await store.workflows.services()
    kept = [await store.workflows.published(tenant, "read-text") for tenant in ("t", "u")]
    await store.workflows.delete("t", "read-text")

    assert [(tenant, found.workflow_id) for tenant, found in without] == [("t", "read-text")]
    assert await store.workflows.unpublished() == []
    assert (served, kept) == ([("t", "read-text", b"files")], [service, NEVER])
    assert await store.workflows.services() == []
    assert await store.workflows.published("t", "read-text") == Published(b"files", is_live=False)


async def test_a_put_that_is_refused_leaves_the_service_as_it_was(store: SqliteStore) -> None:
    """Both are written in one transaction."""
    first, second = Published(b"1", is_live=True), Published(b"2", is_live=True)
    await store.workflows.put("t", Workflow(workflow_id="read-text"), b"1" * 32, 1, service=first)
    with pytest.raises(CoordinatorError, match="but for hyphens"):
        await store.workflows.put("t", Workflow(workflow_id="readtext"), b"3" * 32, 4, service=second)

    assert await store.workflows.services() == [("t", "read-text", b"1")]


async def test_a_request_that_was_carried_out_is_known(store: SqliteStore) -> None:
    """By tenant and method; other content is refused, and then nothing is done."""
    workflow, other = Workflow(workflow_id="read-text"), Workflow(workflow_id="other")
    await store.workflows.put("t", workflow, b"1" * 32, 1, note())

    assert await store.requests.find("t", "Put", "r", b"1" * 32) == "wf"
    assert await store.requests.find("t", "Delete", "r", b"1" * 32) is None
    for again in (
        store.requests.find("t", "Put", "r", b"2" * 32),
        store.workflows.put("t", other, b"2" * 32, 1, note(digest=b"2" * 32)),
        store.workflows.delete("t", "read-text", note(digest=b"2" * 32)),
    ):
        with pytest.raises(CoordinatorError) as caught:
            await again
        assert caught.value.reason == ErrorReason.ERROR_REASON_REQUEST_ID_REUSED
    assert await store.workflows.ids("t") == ["read-text"]


DAY_US = 24 * 3600 * 1_000_000


async def test_a_request_is_known_for_its_time(store: SqliteStore, tmp_path: Path) -> None:
    """A day, or as long as the settings say."""
    await store.requests.note(note(now_us=1))
    assert await store.forget_requests(DAY_US) == 0
    assert await store.requests.find("t", "Put", "r", b"1" * 32) == "wf"
    assert await store.forget_requests(DAY_US + 2) == 1
    assert await store.requests.find("t", "Put", "r", b"1" * 32) is None

    other = SqliteStore(StoreSettings(tmp_path / "other", request_retention=60.0))
    await other.requests.note(note(now_us=1))
    assert (await other.forget_requests(60_000_000), await other.forget_requests(60_000_002)) == (0, 1)
    await other.close()


async def test_a_request_is_known_as_long_as_what_it_made(store: SqliteStore) -> None:
    """Of a put as long as its workflow is what it put; another put's, and a removed workflow's, only for their time."""

    def put(request_id: str, workflow_id: str, now_us: int) -> RequestNote:
        return RequestNote("t", "PutProcessingWorkflow", request_id, b"1" * 32, workflow_id, now_us)

    async def known(request_id: str) -> bool:
        return await store.requests.find("t", "PutProcessingWorkflow", request_id, b"1" * 32) is not None

    for number, (request_id, name) in enumerate((("r-1", "read-text"), ("r-2", "read-text"), ("r-3", "other"))):
        workflow = Workflow(workflow_id=name)
        await store.workflows.put("t", workflow, b"1" * 32, number, put(request_id, name, number))
    await store.workflows.delete("t", "other")
    assert await store.forget_requests(2 * DAY_US) == 2
    assert [await known(request_id) for request_id in ("r-1", "r-2", "r-3")] == [False, True, False]


async def test_a_request_id_outlives_the_session_that_it_began(store: SqliteStore, tmp_path: Path) -> None:
    """Removed, it is not begun again by the same request, also after a restart, until the time of the id is over."""
    await end(store, await begin(store, request_id="r", request_digest=b"1" * 32))
    await store.delete_session("s-1", "t")
    store = await reopened(store, tmp_path)
    await begin(store, session_id="s-1")  # the name is free again, which is no answer to the request

    async def again(session_id: str, digest: bytes) -> None:
        await store.sessions.open(start(session_id, request_id="r", request_digest=digest)).durable

    for asked in (again("s-2", b"1" * 32), store.sessions.first("r", b"1" * 32, "t")):
        with pytest.raises(CoordinatorError, match="removed since") as caught:
            await asked
        assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_NOT_FOUND
    for asked in (again("s-2", b"2" * 32), store.sessions.first("r", b"2" * 32, "t")):
        with pytest.raises(CoordinatorError) as caught:
            await asked
        assert caught.value.reason == ErrorReason.ERROR_REASON_REQUEST_ID_REUSED
    await begin(store, session_id="s-3", request_id="another", request_digest=b"1" * 32)
    await store.forget_requests(2 * DAY_US)
    await again("s-4", b"1" * 32)
    assert (await store.sessions.read("s-4", "t")).start.request_id == "r"
    await store.close()


async def test_a_request_and_what_it_does_are_one_transaction(store: SqliteStore) -> None:
    """Neither is there without the other, whether it was refused, found nothing or met a full disk."""
    await end(store, await begin(store))
    await store.workflows.put("t", Workflow(workflow_id="read-text"), b"1" * 32, 1)
    store._database.writer.execute("PRAGMA query_only = 1")  # as a disk that takes nothing
    for change in (store.delete_session("s-1", "t", note()), store.workflows.delete("t", "read-text", note())):
        with pytest.raises(CoordinatorError):
            await change
    store._database.writer.execute("PRAGMA query_only = 0")
    assert not await store.delete_session("s-2", "t", note())
    assert not await store.workflows.delete("t", "other", note())
    with pytest.raises(CoordinatorError, match="hyphens"):
        await store.workflows.put("t", Workflow(workflow_id="readtext"), b"1" * 32, 1, note())
    assert await store.requests.find("t", "Put", "r", b"1" * 32) is None
    assert (await store.sessions.read("s-1", "t")).start.session_id == "s-1"

    assert await store.delete_session("s-1", "t", note())
    assert await store.requests.find("t", "Put", "r", b"1" * 32) == "wf"


async def test_artifacts_are_stored_once_and_read_in_parts(store: SqliteStore) -> None:
    """By digest, with their kind; an unknown one is NOT_FOUND."""
    data = os.urandom(3 << 20)
    artifact, created = await store.artifacts.put_new(data, media_type="image/png")
    _, again = await store.artifacts.put_new(data)

    assert (created, again) == (True, False)
    assert await store.artifacts.find(artifact.digest) == artifact
    assert await store.artifacts.get(artifact.digest) == data
    parts = [part async for part in store.artifacts.chunks(artifact.digest, 1 << 20)]
    assert [len(part) for part in parts] == [1 << 20, 1 << 20]
    for unknown in ("0" * 64, "../../etc/passwd"):
        with pytest.raises(CoordinatorError) as caught:
            await store.artifacts.get(unknown)
        assert caught.value.reason == ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND


async def test_content_that_many_bring_at_once_is_new_once(store: SqliteStore) -> None:
    """And its kind is that of the one who was first."""
    data = os.urandom(1 << 20)
    brought = [store.artifacts.put_new(data, media_type=f"image/{number}") for number in range(20)]
    kept = await asyncio.gather(*brought)
    (first,) = [artifact for artifact, created in kept if created]

    assert await store.artifacts.find(first.digest) == first


async def test_the_kind_of_an_artifact_may_be_any_text(store: SqliteStore) -> None:
    """Line breaks in the one do not become the other."""
    artifact = await store.artifacts.put(b"content", media_type="a\nb\r\0", type_name="c\nd")

    assert await store.artifacts.find(artifact.digest) == artifact


async def test_a_damaged_artifact_is_noticed_and_can_be_stored_again(store: SqliteStore, tmp_path: Path) -> None:
    """DATA_LOSS instead of other content than was asked for."""
    artifact = await store.artifacts.put(b"content")
    (file,) = (tmp_path / "artifacts").glob(f"??/{artifact.digest}")
    file.write_bytes(b"cantent")
    with pytest.raises(CoordinatorError) as caught:
        await store.artifacts.get(artifact.digest)
    assert (caught.value.code, caught.value.reason) == (Code.DATA_LOSS, ErrorReason.ERROR_REASON_DIGEST_MISMATCH)

    await store.artifacts.put(b"content")
    assert await store.artifacts.get(artifact.digest) == b"content"


async def test_what_could_not_be_written_does_not_stay(store: SqliteStore, tmp_path: Path) -> None:
    """A disk that is full is not kept full by halves of artifacts."""
    with files_of_at_most(100_000), pytest.raises(CoordinatorError) as caught:
        await store.artifacts.put(b"x" * 200_000)

    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_FULL
    assert list((tmp_path / "artifacts").iterdir()) == []


async def test_a_store_is_in_trouble_until_there_is_room_again(store: SqliteStore) -> None:
    """Since a write failed for it; small ones that pass do not hide it, and nobody has to write to find out."""
    with files_of_at_most(300_000):
        with pytest.raises(CoordinatorError):
            await store.artifacts.put(b"x" * 400_000)
        await begin(store)
        assert store.error is not None
        assert store.error.reason == ErrorReason.ERROR_REASON_STORE_FULL
        with pytest.raises(CoordinatorError) as caught:
            await store.sessions.open(start("s-2", request=b"x" * 400_000)).durable
        assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_FULL
    while store.error is not None:  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0.01)

    assert [row.start.session_id for row in await store.sessions.page(SessionFilter(tenant="t"), 0, 9)] == ["s-1"]


@pytest.mark.parametrize("limit", [0, 1_000, 4_000, 16_000, 40_000])
async def test_a_full_disk_is_named_at_the_start(tmp_path: Path, limit: int) -> None:
    """Whichever file does not fit: lock, database, its log or its index. With room it starts."""
    with files_of_at_most(limit), pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path))

    assert (caught.value.code, caught.value.reason_name) == (Code.RESOURCE_EXHAUSTED, "STORE_FULL")
    store = SqliteStore(StoreSettings(tmp_path))
    await begin(store)
    await store.close()


@pytest.mark.parametrize("content", [b"something else entirely" * 500, b"SQLite format 3\0" + b"x" * 5000, b"short"])
async def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    """STORE_DAMAGED says which file it is and what to do; it is left as it is."""
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path))

    assert (caught.value.code, caught.value.reason_name) == (Code.FAILED_PRECONDITION, "STORE_DAMAGED")
    assert caught.value.metadata == {"file": FILE_NAME}
    assert "not a database" in caught.value.message
    assert "move the file away" in caught.value.message
    assert (tmp_path / FILE_NAME).read_bytes() == content


@pytest.mark.parametrize("version", [0, 1])
async def test_a_database_of_something_else_is_left_alone(tmp_path: Path, version: int) -> None:
    """STORE_DAMAGED; it gets no table of ours and no other journal."""
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.execute(f"PRAGMA user_version = {version}")
    other.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(CoordinatorError, match="something else") as caught:
        SqliteStore(StoreSettings(tmp_path))

    assert (caught.value.code, caught.value.reason_name) == (Code.FAILED_PRECONDITION, "STORE_DAMAGED")
    assert (tmp_path / FILE_NAME).read_bytes() == before


async def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    """DATA_LOSS where pages are not what they were; what is whole is still read."""
    store = SqliteStore(StoreSettings(tmp_path))
    await begin(store, request=b"x" * 100_000)
    await store.close()
    file = tmp_path / FILE_NAME
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    with pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path))
    assert (caught.value.code, caught.value.reason_name) == (Code.DATA_LOSS, "STORE_DAMAGED")
    assert "copy" in caught.value.message


async def test_what_a_killed_process_left_half_written_is_swept(store: SqliteStore, tmp_path: Path) -> None:
    """At the next start; what was whole stays."""
    artifact = await store.artifacts.put(b"content")
    half = tmp_path / "artifacts" / "half.part"
    half.write_bytes(b"con")
    again = await reopened(store, tmp_path)

    assert not half.exists()
    assert await again.artifacts.get(artifact.digest) == b"content"
    await again.close()


async def test_artifacts_live_as_long_as_a_session_needs_them(tmp_path: Path) -> None:
    """And a grace after."""
    store = SqliteStore(StoreSettings(tmp_path, artifact_grace=-1))
    artifact = await store.artifacts.put(b"content", media_type="text/plain")
    number, durable = store.sessions.open(start(), [bytes.fromhex(artifact.digest)])
    await durable

    assert await store.sweep() == 0
    await end(store, number)
    await store.delete_session("s-1", "t")
    assert await store.sweep() == 1
    assert list((tmp_path / "artifacts").glob("??/*")) == []
    await store.close()


async def test_content_that_was_found_again_is_not_swept(store: SqliteStore, tmp_path: Path) -> None:
    """Whoever found old content, or sent it again, has a grace to say that it is needed."""
    artifact = await store.artifacts.put(b"content")
    (file,) = (tmp_path / "artifacts").glob(f"??/{artifact.digest}")

    for look in (lambda: store.artifacts.find(artifact.digest), lambda: store.artifacts.put(b"content")):
        os.utime(file, (0, 0))
        await look()
        assert await store.sweep() == 0
    os.utime(file, (0, 0))
    assert await store.sweep() == 1
    with pytest.raises(CoordinatorError):
        await store.artifacts.find(artifact.digest)


async def test_a_session_takes_its_ended_children_with_it(store: SqliteStore) -> None:
    """And theirs; not one that still runs, nor that of another tenant."""
    ended = turn("", Kind.SESSION_ENDED, state=SessionState.SUCCEEDED)
    family = {"top": "", "child": "top", "grandchild": "child", "other": ""}
    for session_id, parent in family.items():
        number = await begin(store, session_id, parent_session_id=parent)
        await store.sessions.commit(number, *ended, wait=True)  # type: ignore[misc]
    await begin(store, "running", parent_session_id="top")
    number = await begin(store, "foreign", parent_session_id="top", tenant="u")
    await store.sessions.commit(number, *ended, wait=True)  # type: ignore[misc]

    assert await store.delete_session("top", "t")
    left = [row for tenant in "tu" for row in await store.sessions.page(SessionFilter(tenant=tenant), 0, 10)]
    assert [row.start.session_id for row in left] == ["running", "other", "foreign"]
    assert await store.sessions.count(SessionFilter(tenant="t")) == 2


async def test_a_session_that_runs_again_stays(store: SqliteStore) -> None:
    """A RETRY that reaches the transaction before the removal keeps it; one that comes after finds nothing."""
    number = await begin(store)
    await end(store, number)
    again = turn("s-1", Kind.COMMAND_APPLIED, first=2)
    retry = store.sessions.commit(number, *again, wait=True)
    with pytest.raises(CoordinatorError) as kept:
        await store.delete_session("s-1", "t", note())
    await retry  # type: ignore[misc]
    assert (kept.value.code, kept.value.metadata["state"]) == (Code.FAILED_PRECONDITION, "RUNNING")
    assert await store.requests.find("t", "Put", "r", b"1" * 32) is None

    await end(store, number, first=3)
    artifact = await store.artifacts.put(b"content")
    await store.delete_session("s-1", "t")
    late = turn("s-1", Kind.COMMAND_APPLIED, first=4)
    held = [bytes.fromhex(artifact.digest)]
    with pytest.raises(CoordinatorError) as gone:
        await store.sessions.commit(number, *late, holds=held, wait=True, note=note())  # type: ignore[misc]
    assert gone.value.reason_name == "SESSION_NOT_FOUND"
    assert await store.requests.find("t", "Put", "r", b"1" * 32) is None
    os.utime(tmp_file := store.artifacts._path(artifact.digest), (0, 0))
    assert (await store.sweep(), tmp_file.exists()) == (1, False)


async def test_the_grace_begins_when_the_last_session_goes(store: SqliteStore, tmp_path: Path) -> None:
    """However old its content is by then."""
    artifact = await store.artifacts.put(b"content")
    (file,) = (tmp_path / "artifacts").glob(f"??/{artifact.digest}")
    number, durable = store.sessions.open(start(), [bytes.fromhex(artifact.digest), b"g" * 32])
    await durable
    await end(store, number)
    os.utime(file, (0, 0))
    await store.delete_session("s-1", "t")

    assert await store.sweep() == 0
    os.utime(file, (0, 0))
    assert await store.sweep() == 1


async def test_content_that_is_found_while_it_is_swept_stays(store: SqliteStore, tmp_path: Path) -> None:
    """A sweep that has asked who uses it looks once more before it removes anything."""
    artifact = await store.artifacts.put(b"content")
    (file,) = (tmp_path / "artifacts").glob(f"??/{artifact.digest}")
    os.utime(file, (0, 0))

    async def used(digest: bytes) -> bool:
        await store.artifacts.find(digest.hex())
        return False

    assert await store.artifacts.sweep(used, 3600) == 0
    assert await store.artifacts.get(artifact.digest) == b"content"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder; the next test stands in for it")
async def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    """STORE_READ_ONLY, without its path."""
    tmp_path.chmod(0o500)  # noqa: ASYNC240  # a test may block
    with pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path / "store"))
    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_READ_ONLY


async def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """STORE_READ_ONLY, without its path."""
    (tmp_path / "store").write_text(os.strerror(errno.ENOTDIR))
    with pytest.raises(CoordinatorError) as caught:
        SqliteStore(StoreSettings(tmp_path / "store"))
    assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_READ_ONLY
    assert str(tmp_path) not in caught.value.message


def result(identity: bytes = b"i" * 32, key: str = "s-1/a#1", **facts: object) -> Reusable:
    return Reusable("t", identity, key, Output("a.B", b"data"))._replace(**facts)


async def leave(store: SqliteStore, number: int, session_id: str, *results: Reusable) -> None:
    """Ends a session that leaves those results."""
    ended = turn(session_id, Kind.SESSION_ENDED, state=SessionState.SUCCEEDED)
    await store.sessions.commit(number, *ended, wait=True, reusable=results)  # type: ignore[misc]


async def test_a_result_is_found_by_what_it_was_computed_from(tmp_path: Path) -> None:
    """Inline or by reference, by its own tenant alone, also after a restart."""
    store = SqliteStore(StoreSettings(tmp_path))
    small, large = result(), result(b"l" * 32, "s-1/b[2]#3", output=Output("a.B", b"", b"d" * 32, 5000, Spent(1, 2, 3)))
    await leave(store, await begin(store), "s-1", small, large)

    store = await reopened(store, tmp_path)
    assert await store.reuse.find("t", small.identity) == small
    assert await store.reuse.find("t", large.identity) == large
    assert await store.reuse.find("other", small.identity) is None
    assert await store.reuse.find("t", b"n" * 32) is None
    await store.close()


async def test_a_result_goes_with_the_last_session_that_has_it(store: SqliteStore) -> None:
    """It moves on to whoever took it; when that one is removed, it is gone."""
    for session_id in ("s-1", "s-2"):
        await leave(store, await begin(store, session_id), session_id, result())
    assert await store.delete_session("s-1", "t")
    assert await store.reuse.find("t", result().identity) == result()
    assert await store.delete_session("s-2", "t")
    assert await store.reuse.find("t", result().identity) is None


async def test_a_refused_session_leaves_no_result(store: SqliteStore) -> None:
    """As it leaves no history: it came too late."""
    number = await begin(store)
    await end(store, number)
    late = store.sessions.commit(number, *turn("s-1", Kind.STEP_SUCCEEDED, first=9), wait=True, reusable=[result()])
    with pytest.raises(Fenced):
        await late  # type: ignore[misc]
    assert await store.reuse.find("t", result().identity) is None


async def test_results_of_a_transaction_that_failed_are_written_with_the_next(
    store: SqliteStore, tmp_path: Path
) -> None:
    """A store in trouble loses none of what runs."""
    number = await begin(store)
    where, elsewhere = tmp_path, tmp_path.with_name(f"{tmp_path.name}-away")
    where.rename(elsewhere)  # a test may block
    state, records = turn("s-1", Kind.STEP_SUCCEEDED)
    pending = store.sessions.commit(number, state, records, wait=True, reusable=[result()])
    with pytest.raises(CoordinatorError):
        await store.sessions.open(start("s-2")).durable
    elsewhere.rename(where)
    await pending  # type: ignore[misc]
    assert await store.reuse.find("t", result().identity) == result()
