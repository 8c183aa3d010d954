"""Writes what happens to live sessions, in order; large results beside the steps that follow.

A result above 4 KiB does not stand in the history itself: its bytes go into the artifact store first, its record after
them. That takes a thread some milliseconds, and the session need not wait for it: what comes later queues behind, and
only the end of the session is waited for. After a crash in between the step runs again, as if it had not ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import Session

from processing_service.engine.live import Live
from processing_service.engine.records import Output, Record, step_key
from processing_service.engine.state import State
from processing_service.engine.store.base import ArtifactStore, RequestNote, Reusable, SessionStore
from processing_service.wire.errors import CoordinatorError

log = logging.getLogger(__name__)

INLINE_BYTES: Final = 4096
"""Largest result that stands in the history itself, in bytes."""
_PAYLOADS: Final = Session(payloads={"": Datum()}).SerializeToString()[:2]
"""What each payload of a serialised Session begins with: the tag of its field."""
_RETRY_S: Final = 1.0
"""How long after a result could not be stored it is tried again, in seconds."""


Told = Callable[[CoordinatorError | None], None]
"""Hears that records are durable, or why they are not."""


class Entry(NamedTuple):
    """Records that wait for a large result before them, or in them."""

    state: State
    records: Sequence[Record]
    result: bytes
    durable: asyncio.Future[None] | None
    note: RequestNote | None
    told: Told | None


class Ledger:
    """The way of live sessions to their store."""

    def __init__(self, store: SessionStore, artifacts: ArtifactStore) -> None:
        self._store, self._artifacts = store, artifacts
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def write(
        self,
        live: Live,
        records: Sequence[Record],
        *,
        result: bytes = b"",
        wait: bool = False,
        note: RequestNote | None = None,
        told: Told | None = None,
    ) -> asyncio.Future[None] | None:
        """Enqueues records of a session that is stored; with `wait`, a future that is done when they are durable."""
        behind: deque[Entry] | None = live.behind
        if behind is None and not _has_large(records):
            if live.computed:
                return self._commit(live, Entry(live.state, records, result, None, note, told), wait)
            holds = _artifacts_of(result) if result else ()
            return self._store.commit(
                live.number,
                live.state,
                records,
                result=result,
                holds=holds,
                wait=wait,
                note=note,
                cell=live.context.cell,
                told=told,
            )
        durable: asyncio.Future[None] | None = self._loop.create_future() if wait else None
        entry = Entry(live.state, records, result, durable, note, told)
        if behind is not None:
            behind.append(entry)
        else:
            live.behind = deque([entry])
            task = self._loop.create_task(self._catch_up(live, live.behind))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return durable

    async def flush(self) -> None:
        """Returns when nothing waits for a large result any more; what cannot be stored is left to the next start."""
        self._closing = True
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _catch_up(self, live: Live, behind: deque[Entry]) -> None:
        while behind:
            entry = behind[0]
            records = [await self._slim(live, record) for record in entry.records]
            durable = self._commit(live, entry._replace(records=records), entry.durable is not None)
            if durable is not None and entry.durable is not None:
                durable.add_done_callback(partial(_pass_on, entry.durable))
            behind.popleft()
        live.behind = None
        if live.follower is not None:
            live.follower.moved(live)

    def _commit(self, live: Live, entry: Entry, wait: bool) -> asyncio.Future[None] | None:
        holds = [record.output.digest for record in entry.records if record.output is not None and record.output.digest]
        if entry.result:
            holds += _artifacts_of(entry.result)
        reusable = _reusable(live, entry.records) if live.computed else ()
        return self._store.commit(
            live.number,
            entry.state,
            entry.records,
            result=entry.result,
            holds=holds,
            wait=wait,
            note=entry.note,
            cell=live.context.cell,
            told=entry.told,
            reusable=reusable,
        )

    async def _slim(self, live: Live, record: Record) -> Record:
        """The record with its result by reference, if it is large; the live state has it so, too."""
        large = record.output
        if large is None or not is_large(large):
            return record
        digest = await self._put(large)
        output = large._replace(data=b"", digest=digest, size_bytes=len(large.data))
        step = live.state.steps[record.step]
        if step.output is large:
            step.output = output
        elif step.items is not None:
            outputs = tuple((item, output if one is large else one) for item, one in step.items.outputs)
            step.items = step.items._replace(outputs=outputs)
        return record._replace(output=output)

    async def _put(self, large: Output) -> bytes:
        while True:
            try:
                artifact = await self._artifacts.put(large.data, type_name=large.type_name)
            except CoordinatorError as error:
                if self._closing:
                    raise
                log.warning("a result waits for the artifact store: %s", error)
                await asyncio.sleep(_RETRY_S)
            else:
                return bytes.fromhex(artifact.digest)


def _has_large(records: Sequence[Record]) -> bool:
    for record in records:  # noqa: SIM110  # a generator costs more than the loop, and this is at every call
        if record.output is not None and len(record.output.data) > INLINE_BYTES:
            return True
    return False


def is_large(output: Output | None) -> bool:
    """True if it does not stand in the history itself."""
    return output is not None and len(output.data) > INLINE_BYTES


def _reusable(live: Live, records: Sequence[Record]) -> list[Reusable]:
    """What others may take of the results in these records; one that was taken goes on with its taker."""
    found: list[Reusable] = []
    for record in records:
        identity = live.computed.pop((record.step, record.item, record.attempt), b"") if record.output else b""
        if identity and record.output is not None:
            step_id = live.plan.steps[record.step].step_id
            key = record.reused_from or step_key(live.state.session_id, step_id, record.item, record.attempt)
            found.append(Reusable(live.context.tenant, identity, key, record.output))
    return found


def _artifacts_of(result: bytes) -> list[bytes]:
    """Digests of the artifacts that the outputs of a session name."""
    if _PAYLOADS not in result:  # of most there is nothing to parse
        return []
    payloads = Session.FromString(result).payloads.values()
    return [bytes.fromhex(datum.artifact.digest) for datum in payloads if datum.HasField("artifact")]


def _pass_on(told: asyncio.Future[None], done: asyncio.Future[None]) -> None:
    error = done.exception()
    if told.done():
        return
    if error is None:
        told.set_result(None)
    else:
        told.set_exception(error)
