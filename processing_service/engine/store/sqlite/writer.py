"""One thread writes: what waits together is one transaction, and at most one is under way.

A commit costs an fsync, so callers share it; statements never run on the event loop. docs/design/engine.md has the
figures behind this shape.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol, TypeVar

from processing_service.engine.store.sqlite.database import Database
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.wire.errors import CoordinatorError, Fenced
from processing_service.wire.telemetry.hooks import CommitEnded

log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_S: Final = 1.0
"""How long after a transaction that failed the next one is tried, and a store in trouble is looked at, in seconds."""


class Work(Protocol):
    """A part of a transaction."""

    rows: int
    """Rows that it writes."""
    sessions: int
    """Sessions that it writes."""

    def write(self, connection: sqlite3.Connection) -> None:
        """Runs its statements; in the writer's thread."""

    def settle(self, error: CoordinatorError | None) -> None:
        """Tells whoever waits; in the event loop, after the commit."""


class _Job:
    """A callable as a part of a transaction; its own failure does not touch the others'."""

    rows, sessions = 1, 0

    def __init__(self, run: Callable[[sqlite3.Connection], object], future: asyncio.Future[object]) -> None:
        self._run, self._future = run, future
        self._value: object = None
        self._error: CoordinatorError | None = None

    def write(self, connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT job")
        try:
            self._value = self._run(connection)
        except CoordinatorError as error:
            connection.execute("ROLLBACK TO job")
            self._error = error
        connection.execute("RELEASE job")

    def settle(self, error: CoordinatorError | None) -> None:
        if self._future.done():
            return
        if error := error or self._error:
            self._future.set_exception(error)
        else:
            self._future.set_result(self._value)


class Writer:
    """Groups what is asked for into transactions.

    Args:
        on_commit: told of each transaction that was committed.
    """

    def __init__(
        self,
        database: Database,
        on_commit: Callable[[CommitEnded], None],
    ) -> None:
        self._database = database
        self.take: Callable[[], Work | None] = lambda: None
        """Gives what is to be added to a transaction that is about to start."""
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._groups: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._jobs: list[Work] = []
        self._scheduled = self._busy = self._closing = self._looking = False
        self._next_look: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()
        self.error: CoordinatorError | None = None
        """Why the store takes nothing; None as far as is known. Set until a look finds room again."""

    def fail(self, error: CoordinatorError) -> None:
        """Tells of a write beside the database that failed."""
        self._note(error)
        self._looking = True
        self._look_later()

    def _note(self, error: CoordinatorError | None) -> None:
        """Keeps why the store takes nothing, and logs when that begins and ends: nobody else may hear of it."""
        before, self.error = self.error, error
        if error is not None and before is None:
            log.error("the store takes nothing: %s", error.message)
        elif error is None and before is not None:
            log.warning("the store takes what is written again")

    def _look_later(self) -> None:
        if self._next_look is None and not self._closing:
            self._next_look = self._loop.call_later(_RETRY_S, self._look)

    def _look(self) -> None:
        """Finds out whether what was wrong has passed: nobody may write to a store that is said to be in trouble."""
        self._next_look = None
        if self.error is not None:
            self._looking = True
            self.wake()

    def wake(self) -> None:
        """Starts a transaction at the end of this turn of the loop, unless one is under way."""
        if not self._scheduled and not self._busy:
            self._scheduled = True
            self._idle.clear()
            self._loop.call_soon(self._close)

    def run(self, job: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Runs a callable in the next transaction; the future has its value once that is durable."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.append(_Job(job, future))  # type: ignore[arg-type]  # a Future is invariant
        self.wake()
        return future

    def _close(self) -> None:
        self._scheduled = False
        group, self._jobs = self._jobs, []
        if (part := self.take()) is not None:
            group.insert(0, part)
        if group or self._looking:
            self._looking = False
            self._busy = True
            self._groups.put(group)
        else:
            self._idle.set()

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            started = time.perf_counter()
            error = self._commit(group)
            seconds = time.perf_counter() - started
            self._loop.call_soon_threadsafe(self._settle, group, error, self._trouble(group, error), seconds)

    def _commit(self, group: list[Work]) -> CoordinatorError | None:
        if (lost := self._database.lost()) is not None:
            return lost
        connection = self._database.writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute(SQL["read_epoch"]).fetchone()[0] != self._database.epoch:
                raise Fenced("")
            for work in group:
                work.write(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, CoordinatorError) as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return self._database.translate(error) if isinstance(error, sqlite3.Error) else error
        return None

    def _trouble(self, group: list[Work], error: CoordinatorError | None) -> CoordinatorError | None:
        """Why the next transaction may fail; where one has failed a small one that passed proves little."""
        if error is not None or (group and self.error is None):
            return error
        return self._database.lack_of_room()

    def _settle(
        self, group: list[Work], error: CoordinatorError | None, trouble: CoordinatorError | None, seconds: float
    ) -> None:
        self._busy = False
        if trouble is not None or not self._looking:  # else it is older than what made somebody ask for a look
            self._note(trouble)
        for work in group:
            work.settle(error)
        if error is None and group:
            rows, sessions = sum(work.rows for work in group), sum(work.sessions for work in group)
            self._on_commit(CommitEnded(rows, sessions, seconds))
        self._go_on(again=error is not None and bool(group))

    def _go_on(self, again: bool) -> None:
        """Starts on what has come meanwhile, after a pause if what failed is to be written again."""
        if self._closing and self.error is not None:
            self._idle.set()
            return
        if self.error is not None:
            self._look_later()
        if again:
            self._scheduled = True
            self._loop.call_later(_RETRY_S, self._close)
        else:
            self._close()

    async def drain(self) -> None:
        """Returns when everything that was asked for is durable or has failed; nothing is tried again from now on."""
        self._closing = True
        if self._next_look is not None:
            self._next_look.cancel()
        while self._scheduled or self._busy:
            await self._idle.wait()

    def stop(self) -> None:
        """Ends the thread after the transaction that is under way."""
        self._groups.put(None)
        self._thread.join()
