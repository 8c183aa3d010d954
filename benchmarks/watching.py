"""Watches: many of one session, and one that is cut all the time while its server dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

import psutil
from coordinator.processing.v1 import processing_pb2 as pb

from benchmarks.busy import Busy
from benchmarks.calls import put_workflow, session, workflow_of
from benchmarks.cut_watch import CutWatch
from benchmarks.options import Options
from benchmarks.rounds import Contender, foreign, interleave, quietest, ratio, shown, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import Server, channel_to, free_address, serving
from benchmarks.watchers import Seen, watching
from processing_service.wire.channels import ChannelSettings, open_channel

ROWS: Final = ("watchers", "watchers-lost", "watch-cuts")
_WATCHERS: Final = 500
_STEPS: Final = 3
_CUTS: Final = 100
_RESTARTS: Final = 5


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted."""
    rows = []
    if options.wants("watchers") or options.wants("watchers-lost"):
        rows += [row for row in await _watched(options) if options.wants(row.name)]
    if options.wants("watch-cuts"):
        rows.append(await _cut(options))
    return rows


class _Crowd:
    """A busy session, and its watchers, while others are measured."""

    def __init__(self, server: Server, busy: Busy) -> None:
        self._server, self._busy = server, busy
        self._numbers = count(1)
        self.seen: list[Seen] = []
        self.lost = 0
        """Watchers that did not see all of it, over all rounds."""

    @asynccontextmanager
    async def none(self) -> AsyncIterator[Sequence[psutil.Process]]:
        """The session alone; some 100 events a second."""
        async with self._session():
            yield ()

    @asynccontextmanager
    async def all(self) -> AsyncIterator[Sequence[psutil.Process]]:
        """With all watchers, each of which is asked afterwards what it saw."""
        async with self._session() as session_id, watching(self._server, session_id, _WATCHERS) as watchers:
            yield (watchers.process,)
            await self._busy.end(session_id)
            seen = await watchers.seen()
            history = await self._busy.history(session_id)
        self.seen.append(seen)
        self.lost += _WATCHERS - seen.complete if seen.events == len(history) else _WATCHERS
        tell(f"{seen}, {len(history)} events in the history")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[str]:
        session_id = f"busy-{next(self._numbers)}"
        await self._busy.start(session_id, 9_000, 0.04)
        try:
            yield session_id
        finally:
            await self._busy.end(session_id)


async def _watched(options: Options) -> list[Row]:
    async with serving(options.folder / "watched") as server, channel_to(server) as channel:
        busy = Busy(channel)
        await busy.put()
        await put_workflow(channel, workflow_of(_STEPS))
        crowd, operation = _Crowd(server, busy), session(channel, _STEPS)
        contenders = [
            Contender("none", operation, (server.process,), around=crowd.none),
            Contender("watched", operation, (server.process,), around=crowd.all),
        ]
        results = quietest(await interleave(contenders, options.rounds, options.seconds), options.rounds)
    rate = f"{median(seen.events for seen in crowd.seen):.0f} events, {_messages(crowd.seen):.0f} messages a watcher"
    what = f"sessions/s beside {_WATCHERS} watchers of one busy session (100 events/s), by none"
    sessions = Row(
        "watchers",
        what,
        ratio(results, "watched", "none"),
        Target(">=", 0.8, "x"),
        shown(results["watched"]),
        shown(results["none"]),
        foreign(results),
    )
    lost = Row("watchers-lost", "watchers that missed an event", Spread.one(crowd.lost), Target("<=", 0), rate)
    return [sessions, lost]


def _messages(seen: Sequence[Seen]) -> float:
    return median(one.messages / one.watchers for one in seen)


async def _cut(options: Options) -> Row:
    watch, history = await _cut_watch(options.folder / "cut")
    faults = watch.faults() + (watch.events != history)
    ours = f"{watch.cuts} cuts, {_RESTARTS} restarts, {watch.breaks} broken, {len(history)} events"
    what = f"watch cut {_CUTS} times, server killed {_RESTARTS} times: gaps and duplicates"
    return Row("watch-cuts", what, Spread.one(faults), Target("<=", 0), ours)


async def _cut_watch(folder: Path) -> tuple[CutWatch, list[pb.SessionEvent]]:
    """A watch over all of that, and the history at its end."""
    address, watching_on = free_address(), None
    async with open_channel(ChannelSettings(address, reconnect_delay=0.2)) as channel:
        busy, watch = Busy(channel), CutWatch(channel, "busy", grouped=True, seed=1)
        for cuts in (*(_CUTS * number // (_RESTARTS + 1) for number in range(1, _RESTARTS + 1)), _CUTS):
            async with serving(folder, address=address) as server:
                if watching_on is None:
                    await busy.put()
                    await busy.start("busy", 600, 0.04)
                    watching_on = asyncio.ensure_future(watch.run(_CUTS))
                while watch.cuts < cuts and not watching_on.done():  # noqa: ASYNC110 - another task counts
                    await asyncio.sleep(0.01)
                if cuts == _CUTS:
                    await watching_on
                    return watch, await busy.history("busy")
                server.process.kill()
    raise AssertionError
