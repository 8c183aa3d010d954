"""A store with many sessions: what it costs on disk, at the start, in lists, and in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final, NamedTuple

from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from benchmarks.calls import put_workflow, session, workflow_of
from benchmarks.options import Options
from benchmarks.rounds import Foreign, closed_loop, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import channel_to, serving

ROWS: Final = ("start", "page", "disk", "memory", "memory-growth")
_CALLERS: Final = 64
_STEPS: Final = 3
_WARM: Final = 0.2
"""Share of the sessions after which memory is looked at first: caches are full then."""
_LISTINGS: Final = 20
_NOISE_MB: Final = 8
"""What an allocator may keep without anything being lost."""


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted; the sessions are run, so that what is stored is what a service stores."""
    folder = options.folder / "coordinator"
    memory = await _fill(folder, options)
    size = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
    looks = [await _look(folder, options.sessions) for _ in range(options.rounds)]
    memory["idle again"] = max(look.resident_mb for look in looks)
    stored = f"{options.sessions:,} stored sessions of {_STEPS} steps"
    starts, pages = Spread.of([look.startup for look in looks]), Spread.of([look.page_ms for look in looks])
    foreign = max(look.foreign for look in looks)
    rows = [
        Row("start", f"{stored}: start to first SERVING", starts, Target("<", 1.5, "s"), foreign=foreign),
        Row("page", f"{stored}: page of 100, first or middle", pages, Target("<", 20, "ms"), foreign=foreign),
        Row("disk", f"{stored}: each on disk", Spread.one(size / options.sessions), Target("<", 1024, "B")),
        *_memory(memory, options.sessions),
    ]
    return [row for row in rows if options.wants(row.name)]


class Look(NamedTuple):
    """What a coordinator alone is like on a full store."""

    startup: float
    """Seconds from its start to its first SERVING."""
    page_ms: float
    resident_mb: float
    foreign: float
    """CPU of other processes, in cores."""


async def _fill(folder: Path, options: Options) -> dict[str, float]:
    """Runs the sessions; memory of the coordinator on the way, in MB."""
    domain = serving(options.folder / "domain", "--only", "postprocessing")
    async with domain as at, serving(folder, "--only", "processing", "--postprocessing-address", at.address) as server:
        memory = {"idle": server.resident_mb}
        async with channel_to(server) as channel:
            await put_workflow(channel, workflow_of(_STEPS))
            for share in (_WARM, 1 - _WARM):
                started, count = perf_counter(), round(options.sessions * share)
                await closed_loop(_CALLERS, session(channel, _STEPS), count=count)
                memory["end" if "warm" in memory else "warm"] = server.resident_mb
                tell(f"{count:,} sessions, {count / (perf_counter() - started):.0f}/s: {server.resident_mb:.0f} MB")
    return memory


async def _look(folder: Path, sessions: int) -> Look:
    async with serving(folder, "--only", "processing") as server, channel_to(server) as channel:
        others, resident = Foreign([server.process]), server.resident_mb
        list_sessions = ProcessingServiceStub(channel).GetProcessingSessions
        first = pb.GetProcessingSessionsRequest(page_size=100)
        middle = pb.GetProcessingSessionsRequest(page_size=1000)
        for _ in range(sessions // 2 // 1000):
            middle.page_token = (await list_sessions(middle, timeout=30)).next_page_token
        middle.page_size = 100
        page = max([await _seconds(list_sessions, request) for request in (first, middle)])
        return Look(server.startup, 1e3 * page, resident, others.cores())


async def _seconds(list_sessions: Any, request: pb.GetProcessingSessionsRequest) -> float:
    """Median of some calls."""
    taken = []
    for _ in range(_LISTINGS):
        started = perf_counter()
        page = await list_sessions(request, timeout=30)
        taken.append(perf_counter() - started)
        assert len(page.sessions) == 100, len(page.sessions)
    return median(taken)


def _memory(memory: dict[str, float], sessions: int) -> Iterable[Row]:
    shown = ", ".join(f"{name} {size:.0f}" for name, size in memory.items())
    what = f"memory of the coordinator alone, at most, idle and after {sessions:,} sessions"
    yield Row("memory", what, Spread.one(max(memory.values())), Target("<", 120, "MB"), shown)
    what = f"its growth over the last {sessions * (1 - _WARM):,.0f} of them"
    yield Row("memory-growth", what, Spread.one(memory["end"] - memory["warm"]), Target("<=", _NOISE_MB, "MB"), shown)
