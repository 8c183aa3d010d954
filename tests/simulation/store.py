"""A session store in memory that fails as a disk does: late, full, or with a process that dies in the middle."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact

from processing_service.engine.records import Record, SessionState
from processing_service.engine.refusals import check_ended, taken
from processing_service.engine.state import State
from processing_service.engine.store.base import (
    CellKey,
    Opened,
    Opening,
    RequestNote,
    Reusable,
    SessionFilter,
    SessionRow,
    SessionStart,
)
from processing_service.engine.store.disk import full
from processing_service.engine.store.sqlite.session_work import no_session
from processing_service.wire.errors import CoordinatorError, Fenced, not_found
from processing_service.wire.request_ids import request_id_reused

STARTS = 8
"""Sessions that one group begins, at most."""
AGAIN_S = 1.0
"""How long after a group that failed the next one is tried, in seconds."""


@dataclass
class Session:
    """A session as it is stored."""

    start: SessionStart
    records: list[Record] = field(default_factory=list)
    state: State | None = None
    result: bytes = b""
    recoveries: int = 0

    def row(self, number: int) -> SessionRow:
        """As lists show it."""
        start, state = self.start, self.state
        if state is None:
            deadline_us = start.created_us + start.budget_us
            pending = (SessionState.PENDING, 1, 0, 0, deadline_us, start.budget_us, 0, 0)
            return SessionRow(number, start, *pending, self.recoveries, b"")
        return SessionRow(
            number,
            start,
            state.state,
            state.attempt,
            state.started_us,
            state.ended_us,
            0 if state.paused_us else state.deadline_us,
            state.left_us if state.paused_us else state.budget_us,
            state.sequence,
            state.in_flight,
            self.recoveries,
            self.result,
        )


class Disk:
    """What is durable: it outlives every process."""

    def __init__(self) -> None:
        self.epoch = 0
        self.sessions: dict[int, Session] = {}
        self.notes: dict[tuple[str, str, str], RequestNote] = {}
        self.artifacts: dict[str, bytes] = {}
        self.full = False
        """Takes nothing more."""
        self.last_number = 0

    def find(self, session_id: str, tenant: str) -> tuple[int, Session]:
        """A session. Raises CoordinatorError SESSION_NOT_FOUND."""
        for number, session in self.sessions.items():
            if (session.start.session_id, session.start.tenant) == (session_id, tenant):
                return number, session
        raise no_session(session_id)


class _Begin:
    """A session that waits to be written."""

    def __init__(self, number: int, start: SessionStart, future: asyncio.Future[Opened]) -> None:
        self.number, self.start, self.future = number, start, future
        self.answer: Opened | CoordinatorError = Opened(number, start.session_id, False)


@dataclass
class _Change:
    """What happened to one session since its last row."""

    state: State
    records: list[Record] = field(default_factory=list)
    result: bytes = b""
    notes: list[RequestNote] = field(default_factory=list)
    futures: list[asyncio.Future[None]] = field(default_factory=list)
    told: list[Callable[[CoordinatorError | None], None]] = field(default_factory=list)
    error: CoordinatorError | None = None


class _Group:
    """What is one transaction."""

    def __init__(self, begins: list[_Begin], changes: dict[int, _Change], jobs: list[_Job]) -> None:
        self.begins, self.changes, self.jobs = begins, changes, jobs

    def write(self, disk: Disk) -> None:
        """All of it, or what is refused of it is said of each."""
        for begin in self.begins:
            self._begin(disk, begin)
        for number, change in self.changes.items():
            if change.error is None:
                change.error = _change(disk, number, change)
        for job in self.jobs:
            job.write(disk)

    def _begin(self, disk: Disk, begin: _Begin) -> None:
        asked = begin.start
        for session in disk.sessions.values():
            known = session.start
            if asked.request_id and (known.request_id, known.tenant) == (asked.request_id, asked.tenant):
                begin.answer = Opened(0, known.session_id, True)
                if known.request_digest != asked.request_digest:
                    begin.answer = request_id_reused(asked.request_id, known.request_digest, asked.request_digest)
                break
            if (known.session_id, known.tenant) == (asked.session_id, asked.tenant):
                begin.answer = taken(asked.session_id)
        else:
            if type(begin.answer) is Opened:
                disk.sessions[begin.number] = Session(asked)
                return
        if (change := self.changes.get(begin.number)) is not None:
            change.error = Fenced(asked.session_id)


def _change(disk: Disk, number: int, change: _Change) -> CoordinatorError | None:
    if change.records:
        session = disk.sessions.get(number)
        if session is None:
            return no_session(change.state.session_id)
        if len(session.records) != change.records[0].sequence - 1:
            return Fenced(change.state.session_id)
        session.records += change.records
        session.state, session.result = change.state, change.result
        session.recoveries = change.state.recoveries
    for note in change.notes:
        disk.notes.setdefault((note.tenant, note.method, note.request_id), note)
    return None


class _Job:
    """A callable as a part of a transaction."""

    def __init__(self, run: Callable[[Disk], object], future: asyncio.Future[object]) -> None:
        self._run, self.future = run, future
        self.error: CoordinatorError | None = None
        self._value: object = None

    def write(self, disk: Disk) -> None:
        """Its own failure does not touch the others."""
        try:
            self._value = self._run(disk)
        except CoordinatorError as error:
            self.error = error

    def settle(self, error: CoordinatorError | None) -> None:
        """Tells whoever waits."""
        _tell(self.future, error or self.error, self._value)


def _tell(future: asyncio.Future[object], error: CoordinatorError | None, value: object = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


class MemoryStore:
    """SessionStore, RequestLog and SessionRemover of one process, on a disk.

    What waits together is one group, and one is under way at a time, as in the real writer: it is written a while after
    it was closed, and told a while after that.

    Args:
        delay: seconds until a group is written, and until that is told; asked twice a group.
        on_group: called `before` a group is written, `written`, and `told`.
    """

    def __init__(
        self,
        disk: Disk,
        delay: Callable[[], float] = lambda: 0.0,
        on_group: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.disk, self._delay, self._on_group = disk, delay, on_group
        disk.epoch += 1
        self.epoch = disk.epoch
        self.artifacts = MemoryArtifacts(disk, delay)
        self._loop = asyncio.get_running_loop()
        self._begins: list[_Begin] = []
        self._changes: dict[int, _Change] = {}
        self._jobs: list[_Job] = []
        self._waiters: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._scheduled = self._busy = self._closing = False
        self._failing = False

    def open(self, start: SessionStart, holds: Sequence[bytes] = ()) -> Opening:
        """See SessionStore.open."""
        self.disk.last_number += 1
        begin = _Begin(self.disk.last_number, start, self._loop.create_future())
        self._begins.append(begin)
        self._wake()
        return Opening(begin.number, begin.future)

    def open_behind(
        self, start: SessionStart, holds: Sequence[bytes], refused: Callable[[CoordinatorError], None]
    ) -> int:
        """See SessionStore.open_behind."""
        number, durable = self.open(start, holds)
        durable.add_done_callback(lambda done: refused(done.exception()) if done.exception() else None)  # type: ignore[arg-type]
        return number

    def commit(
        self,
        number: int,
        state: State,
        records: Sequence[Record],
        *,
        result: bytes = b"",
        holds: Sequence[bytes] = (),
        wait: bool = False,
        note: RequestNote | None = None,
        cell: CellKey | None = None,
        told: Callable[[CoordinatorError | None], None] | None = None,
        reusable: Sequence[Reusable] = (),
    ) -> asyncio.Future[None] | None:
        """See SessionStore.commit."""
        change = self._changes.get(number)
        if change is None:
            change = self._changes[number] = _Change(state)
            self._wake()
        change.state = state
        change.records += records
        change.result = result or change.result
        if note is not None:
            change.notes.append(note)
        if told is not None:
            change.told.append(told)
        if not wait:
            return None
        change.futures.append(self._loop.create_future())
        return change.futures[-1]

    def _wake(self) -> None:
        if not self._scheduled and not self._busy:
            self._scheduled = True
            self._loop.call_soon(self._close)

    def _close(self) -> None:
        self._scheduled = False
        begins, self._begins = self._begins[:STARTS], self._begins[STARTS:]
        changes, self._changes = self._changes, {}
        for begin in self._begins:  # what came of a session follows its start
            if (change := changes.pop(begin.number, None)) is not None:
                self._changes[begin.number] = change
        jobs, self._jobs = self._jobs, []
        if begins or changes or jobs:
            self._busy = True
            self._loop.call_later(self._delay(), self._write, _Group(begins, changes, jobs))

    def _write(self, group: _Group) -> None:
        self._on_group("before")
        error: CoordinatorError | None = None
        if self.epoch != self.disk.epoch:
            error = Fenced("")
        elif self.disk.full:
            error = full()
        else:
            group.write(self.disk)
        self._on_group("written")
        self._loop.call_later(self._delay(), self._settle, group, error)

    def _settle(self, group: _Group, error: CoordinatorError | None) -> None:
        self._busy = False
        for begin in group.begins:
            refused = error or (begin.answer if isinstance(begin.answer, CoordinatorError) else None)
            _tell(begin.future, refused, begin.answer)
        if error is None or isinstance(error, Fenced):
            for change in group.changes.values():
                self._settle_change(change, error or change.error)
        else:
            self._take_back(group.changes)
        for job in group.jobs:
            job.settle(error)
        self._on_group("told")
        self._failing = error is not None
        self._go_on()

    def _settle_change(self, change: _Change, error: CoordinatorError | None) -> None:
        for future in change.futures:
            _tell(future, error)
        for tell in change.told:
            tell(error)
        self.notify(change.state.session_id)

    def _take_back(self, changes: dict[int, _Change]) -> None:
        for number, change in changes.items():
            if (later := self._changes.pop(number, None)) is not None:
                change.state, change.result = later.state, later.result or change.result
                change.records += later.records
                change.notes += later.notes
                change.futures += later.futures
                change.told += later.told
        self._changes = changes | self._changes

    def _go_on(self) -> None:
        if self._failing and self._closing:
            return
        if self._failing:
            self._scheduled = True
            self._loop.call_later(AGAIN_S, self._close)
        else:
            self._close()

    async def drain(self) -> None:
        """Returns when everything that was asked for is durable or has failed."""
        self._closing = True
        while self._scheduled or self._busy:  # noqa: ASYNC110  # nobody else waits for that
            await asyncio.sleep(0.001)

    def notify(self, session_id: str) -> None:
        """Wakes whoever waits for records of that session."""
        for future in self._waiters.pop(session_id, ()):
            _tell(future, None)

    async def changed(self, session_id: str) -> None:
        """See SessionStore.changed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters[session_id].append(future)
        await future

    async def _look(self) -> Disk:
        await asyncio.sleep(self._delay())
        return self.disk

    async def read(self, session_id: str, tenant: str) -> SessionRow:
        """See SessionStore.read."""
        number, session = (await self._look()).find(session_id, tenant)
        return session.row(number)

    async def load(self, session_id: str, tenant: str) -> tuple[SessionRow, list[Record]]:
        """See SessionStore.load."""
        number, session = (await self._look()).find(session_id, tenant)
        loaded = session.row(number), session.records.copy()
        await self._look()  # what was read is on its way a while
        return loaded

    async def first(self, request_id: str, digest: bytes, tenant: str) -> str:
        """See SessionStore.first."""
        for session in (await self._look()).sessions.values():
            known = session.start
            if (known.request_id, known.tenant) == (request_id, tenant):
                if known.request_digest != digest:
                    raise request_id_reused(request_id, known.request_digest, digest)
                return known.session_id
        return ""

    async def page(self, which: SessionFilter, before: int, limit: int) -> Sequence[SessionRow]:
        """See SessionStore.page; only tenant and states are looked at."""
        rows = [session.row(number) for number, session in (await self._look()).sessions.items()]
        found = [
            row for row in rows if row.start.tenant == which.tenant and row.state in (which.states or SessionState)
        ]
        return sorted((row for row in found if not before or row.number < before), reverse=True)[:limit]

    async def count(self, which: SessionFilter) -> int | None:
        """See SessionStore.count."""
        return len(await self.page(which, 0, len(self.disk.sessions)))

    async def records(
        self, session_id: str, tenant: str, after: int, limit: int, created_us: int = 0
    ) -> Sequence[Record]:
        """See SessionStore.records."""
        _, session = (await self._look()).find(session_id, tenant)
        return session.records[after : after + limit]

    async def unfinished(self) -> Sequence[tuple[SessionRow, list[Record]]]:
        """See SessionStore.unfinished."""
        rows = [(session.row(number), session) for number, session in (await self._look()).sessions.items()]
        return [(row, session.records.copy()) for row, session in rows if not row.state.terminal]

    async def charge_recovery(self) -> None:
        """Counts one more recovery for every session that has not ended."""

        def charge(disk: Disk) -> None:
            for session in disk.sessions.values():
                session.recoveries += session.state is None or not session.state.state.terminal

        await self._run(charge)

    async def _run(self, job: Callable[[Disk], object]) -> object:
        self._jobs.append(_Job(job, self._loop.create_future()))
        future = self._jobs[-1].future
        self._wake()
        return await future

    async def delete_session(self, session_id: str, tenant: str, note: RequestNote | None = None) -> bool:
        """See SessionRemover.delete_session."""

        def delete(disk: Disk) -> bool:
            try:
                number, session = disk.find(session_id, tenant)
            except CoordinatorError:
                return False
            check_ended(session_id, session.row(number).state)
            del disk.sessions[number]
            return True

        removed = bool(await self._run(delete))
        self.notify(session_id)
        return removed

    async def note(self, note: RequestNote) -> None:
        """See RequestLog.note."""
        await self._run(lambda disk: disk.notes.setdefault((note.tenant, note.method, note.request_id), note))

    async def find(self, tenant: str, method: str, request_id: str, digest: bytes) -> str | None:
        """See RequestLog.find."""
        note = (await self._look()).notes.get((tenant, method, request_id))
        if note is None:
            return None
        if note.digest != digest:
            raise request_id_reused(request_id, note.digest, digest)
        return note.subject


class MemoryArtifacts:
    """ArtifactStore on the same disk."""

    def __init__(self, disk: Disk, delay: Callable[[], float]) -> None:
        self._disk, self._delay = disk, delay

    async def put(self, data: bytes, *, media_type: str = "", type_name: str = "") -> Artifact:
        """See ArtifactStore.put."""
        await asyncio.sleep(self._delay())
        if self._disk.full:
            raise full()
        digest = f"{len(data):04x}{hash_of(data):060x}"
        self._disk.artifacts[digest] = data
        return Artifact(digest=digest, size_bytes=len(data))

    async def get(self, digest: str) -> bytes:
        """See ArtifactStore.get."""
        await asyncio.sleep(self._delay())
        try:
            return self._disk.artifacts[digest]
        except KeyError:
            raise not_found(ErrorReason.ERROR_REASON_ARTIFACT_NOT_FOUND, "artifact", digest, ()) from None


def hash_of(data: bytes) -> int:
    """A digest that is cheap: nobody attacks a simulation."""
    import zlib

    return zlib.crc32(data)
