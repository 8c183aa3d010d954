"""`read-text` over pages beside RapidOCR as shipped: speed page by page in turn, errors, memory and event-loop lag."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from coordinator.processing.v1 import processing_pb2 as pb

from benchmarks.options import Options
from benchmarks.peers import install
from benchmarks.rapidocr_peer import RapidOcr
from benchmarks.rounds import QUIET, Foreign, cpu_seconds, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.score import Line, Score, Truth, read_truth, score_page
from benchmarks.servers import ROOT, Server, serving
from examples.make_pages import make_pages
from processing_service.client import CoordinatorClient

ROWS: Final = ("pages-dense", "pages-photo", "errors-rendered", "errors-photo", "errors", "memory-pages", "lag-pages")
_IN_FLIGHT: Final = 4
_SEED: Final = 2026
_DEADLINE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One page, read once by each."""

    truth: Truth
    ours_s: float
    peer_s: float
    ours: Score
    peer: Score
    foreign: float = 0.0
    """CPU of others meanwhile, in cores."""

    def __str__(self) -> str:
        edits = f"{self.ours.edits} edits against {self.peer.edits} of {self.ours.characters}"
        return f"{self.ours_s:.2f} s against {self.peer_s:.2f} s, {edits}, foreign {self.foreign:.2f}"


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted."""
    pages = await asyncio.to_thread(_pages, options.pages)
    rows: list[Row] = []
    if any(map(options.wants, ROWS[:5])):
        rows += await _in_turn(pages, options)
    if any(map(options.wants, ROWS[5:])):
        rows += await _at_once(pages, options)
    return [row for row in rows if options.wants(row.name)]


def _pages(count: int) -> list[Path]:
    """The shipped pages, then others from a seed."""
    shipped = _images(ROOT / "examples" / "pages")
    folder = ROOT / ".cache" / f"pages-{_SEED}"
    if len(shipped) < count and len(_images(folder)) < count - len(shipped):
        make_pages(_SEED, count - len(shipped), folder)
    return [*shipped, *_images(folder)][:count]


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in (".png", ".jpg"))


@asynccontextmanager
async def _reader(folder: Path, *flags: str) -> AsyncIterator[tuple[Server, CoordinatorClient]]:
    """An embedded server that has the workflow, with its models loaded."""
    async with serving(folder, *flags) as server, CoordinatorClient(server.address, deadline=_DEADLINE_S) as client:
        await client.put_processing_workflow((ROOT / "examples" / "workflows" / "read-text.yaml").read_text("utf-8"))
        await _read(client, _images(ROOT / "examples" / "pages")[-1])
        yield server, client


async def _read(client: CoordinatorClient, page: Path) -> list[Line]:
    reply = await client.post_workflow_execute("read-text", {"page": page})
    assert reply.session.state == pb.SESSION_STATE_SUCCEEDED, reply.session
    lines = client.outputs_of(reply.session)["lines"]
    return [Line(line.get("text", ""), _corners(line["region"])) for line in lines]


def _corners(region: Any) -> list[tuple[float, float]]:
    return [(corner.get("x", 0.0), corner.get("y", 0.0)) for corner in region["corners"]]


async def _in_turn(pages: Sequence[Path], options: Options) -> list[Row]:
    await asyncio.to_thread(install)
    peer = await asyncio.to_thread(RapidOcr)
    try:
        async with _reader(options.folder / "in-turn") as (server, client):
            await asyncio.to_thread(peer.read, pages[-1])
            readings = [await _quietly(server, client, peer, page, turn % 2 == 1) for turn, page in enumerate(pages)]
    finally:
        peer.close()
    return [*_speeds(readings, options.rounds), *_errors(readings)]


async def _quietly(server: Server, client: CoordinatorClient, peer: RapidOcr, page: Path, peer_first: bool) -> Reading:
    """Reads a page once more if others disturbed it; the quieter one counts."""
    readings: list[Reading] = []
    while not readings or (readings[-1].foreign > QUIET and len(readings) < 2):
        others = Foreign([server.process, peer.process])
        readings.append(replace(await _turn(client, peer, page, peer_first), foreign=others.cores()))
        tell(f"{page.stem}: {readings[-1]}")
    return min(readings, key=lambda reading: reading.foreign)


async def _turn(client: CoordinatorClient, peer: RapidOcr, page: Path, peer_first: bool) -> Reading:
    if peer_first:
        peer_s, theirs = await asyncio.to_thread(peer.read, page)
    started = perf_counter()
    ours = await _read(client, page)
    ours_s = perf_counter() - started
    if not peer_first:
        peer_s, theirs = await asyncio.to_thread(peer.read, page)
    truth = read_truth(page.with_suffix(".json"))
    return Reading(truth, ours_s, peer_s, score_page(truth, ours), score_page(truth, theirs))


def _speeds(readings: Sequence[Reading], rounds: int) -> Iterable[Row]:
    rows = (("pages-dense", "rendered", "dense pages", 1.5), ("pages-photo", "photo", "small photographs", 1.2))
    for name, kind, what, bound in rows:
        own = [reading for reading in readings if reading.truth.kind == kind]
        parts = [part for part in (own[start::rounds] for start in range(rounds)) if part]
        ratios = [sum(r.peer_s for r in part) / sum(r.ours_s for r in part) for part in parts]
        ours, peer = len(own) / sum(r.ours_s for r in own), len(own) / sum(r.peer_s for r in own)
        text = f"read-text, {len(own)} {what}, page by page in turn with RapidOCR"
        target, foreign = Target(">=", bound, "x"), max(r.foreign for r in own)
        yield Row(name, text, Spread.of(ratios), target, f"{ours:.3f} pages/s", f"{peer:.3f} pages/s", foreign)


def _errors(readings: Sequence[Reading]) -> Iterable[Row]:
    """Errors on the shipped pages, which come first, and over all in relation to the peer's."""
    shipped = readings[: len(_images(ROOT / "examples" / "pages"))]
    for name, kind, bound in (("errors-rendered", "rendered", 0.3), ("errors-photo", "photo", 1.0)):
        ours, peer = _sums([reading for reading in shipped if reading.truth.kind == kind])
        rate = 100 * ours.error_rate
        what = f"character error rate, {kind} pages as shipped"
        yield Row(name, what, Spread.one(rate), Target("<=", bound, "%"), _told(ours), _told(peer))
    ours, peer = _sums(readings)
    share = ours.error_rate / max(peer.error_rate, 1e-9)
    what = f"character error rate over all {len(readings)} pages by RapidOCR's"
    yield Row("errors", what, Spread.one(share), Target("<=", 0.2, "x"), _told(ours), _told(peer))


def _sums(readings: Iterable[Reading]) -> tuple[Score, Score]:
    ours, peer = Score(), Score()
    for reading in readings:
        ours, peer = ours + reading.ours, peer + reading.peer
    return ours, peer


def _told(score: Score) -> str:
    return f"{100 * score.error_rate:.2f} %, {score.missed} lines missed"


async def _at_once(pages: Sequence[Path], options: Options) -> list[Row]:
    """Memory and lag of a fresh server while sessions of several pages are in flight."""
    async with _reader(options.folder / "at-once") as (server, client):
        others, waiting = Foreign([server.process]), list(reversed(pages))
        cpu, started = cpu_seconds(server.process), perf_counter()
        server.lag.start()

        async def take() -> None:
            while waiting:
                await _read(client, waiting.pop())

        await asyncio.gather(*(take() for _ in range(_IN_FLIGHT)))
        server.lag.stop()
        rate = len(pages) / (perf_counter() - started)
        cpu, foreign = (cpu_seconds(server.process) - cpu) / len(pages), others.cores()
        peak, lag = server.peak_mb, server.lag.p99_ms()
    ours = f"{rate:.3f} pages/s, {cpu:.1f} s CPU a page"
    text = f"{len(pages)} pages are read, {_IN_FLIGHT} sessions in flight"
    return [
        _single("memory-pages", f"peak memory of the embedded server while {text}", peak, 700, "MB", ours, foreign),
        _single("lag-pages", f"event-loop lag p99 while {text}", lag, 20, "ms", ours, foreign),
    ]


def _single(name: str, what: str, value: float, bound: float, unit: str, ours: str, foreign: float) -> Row:
    return Row(name, what, Spread.one(value), Target("<", bound, unit), ours, foreign=foreign)
