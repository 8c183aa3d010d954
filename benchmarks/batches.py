"""Batches of no-op cells beside the same calls made by a client's own loop, and a million that are only listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Any, Final

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from benchmarks.calls import direct, put_workflow, workflow_of
from benchmarks.dbos_peer import Dbos, fastest
from benchmarks.options import Options
from benchmarks.peers import install
from benchmarks.rounds import Foreign, closed_loop, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import Server, channel_to, serving
from processing_service.client.retries import new_request_id

ROWS: Final = ("batch", "batch-remote", "batch-dbos", "cells-memory", "cells-page")
_WIDE: Final = 64
_CELLS: Final = 10_000
_PAGE: Final = 5_000
_SLOWER: Final = 20
"""How many times fewer cells DBOS is given: it would take minutes for all."""
_LOOK_S: Final = 0.05
_TIMEOUT_S: Final = 60.0
_WORKFLOW: Final = workflow_of(1)


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted."""
    rows: list[Row] = []
    if options.wants("batch") or options.wants("batch-remote"):
        rows += await _rates(options)
    if options.wants("batch-dbos"):
        rows.append(await _beside_dbos(options))
    if options.wants("cells-memory") or options.wants("cells-page"):
        rows += await _million(options)
    return [row for row in rows if options.wants(row.name)]


async def _rates(options: Options) -> list[Row]:
    figures: dict[str, list[float]] = {"direct": [], "batch": [], "batch-remote": []}
    others = 0.0
    async with _places(options) as (servers, (domain, embedded, remote)):
        contenders = {
            "direct": lambda: _loop(domain, options.cells),
            "batch": lambda: _batch(embedded, options.cells),
            "batch-remote": lambda: _batch(remote, options.cells),
        }
        for channel in (embedded, remote):
            await put_workflow(channel, _WORKFLOW)
        for turn in range(options.rounds):
            for name in contenders if turn % 2 == 0 else reversed(contenders):
                foreign = Foreign([server.process for server in servers])
                figures[name].append(await contenders[name]())
                others = max(others, foreign.cores())
                tell(f"round {turn + 1}: {name} {figures[name][-1]:.0f} cells/s")
    return [
        _row("batch", "embedded", 4.0, figures, others),
        _row("batch-remote", "remote over TCP", 0.6, figures, others),
    ]


def _row(name: str, where: str, bound: float, figures: dict[str, list[float]], foreign: float) -> Row:
    what = f"batch of {_CELLS:,} no-op cells, {where}, by a loop of {_WIDE} calls without durability"
    ratios = Spread.of([ours / peer for ours, peer in zip(figures[name], figures["direct"], strict=True)])
    ours, peer = Spread.of(figures[name]), Spread.of(figures["direct"])
    return Row(name, what, ratios, Target(">=", bound, "x"), f"{ours.median:.0f}/s", f"{peer.median:.0f}/s", foreign)


async def _beside_dbos(options: Options) -> Row:
    """Both from the first request until the last end, so with the time that it takes to fill the batch or the queue."""
    cells, theirs = options.cells, max(100, options.cells // _SLOWER)
    await asyncio.to_thread(install)
    set_up = await asyncio.to_thread(fastest, options.folder / "dbos-tried")
    async with serving(options.folder / "beside-dbos") as server, channel_to(server) as channel:
        await put_workflow(channel, _WORKFLOW)
        peer = await asyncio.to_thread(Dbos, options.folder / "dbos", set_up)
        try:
            rates, foreign = await _turns(server, channel, peer, options.rounds, cells, theirs)
        finally:
            peer.close()
    ratios = Spread.of([ours / dbos for ours, dbos in rates])
    ours, dbos = (Spread.of(column).median for column in zip(*rates, strict=True))
    what = f"{cells:,} no-op cells filled in and run, embedded, by {theirs:,} in a queue of DBOS on SQLite ({set_up})"
    return Row("batch-dbos", what, ratios, Target(">=", 50.0, "x"), f"{ours:.0f}/s", f"{dbos:.1f}/s", foreign)


async def _turns(
    server: Server, channel: grpc.aio.Channel, peer: Dbos, rounds: int, cells: int, theirs: int
) -> tuple[list[tuple[float, float]], float]:
    """Cells a second of both by round, and the most CPU of others meanwhile, in cores."""
    rates, foreign = [], 0.0
    for turn in range(rounds):
        others = Foreign([server.process, peer.process])
        if turn % 2 == 0:
            ours = await _batch(channel, cells, filling=True)
        dbos = await asyncio.to_thread(peer.rate, theirs)
        if turn % 2 == 1:
            ours = await _batch(channel, cells, filling=True)
        rates.append((ours, dbos))
        foreign = max(foreign, others.cores())
        tell(f"round {turn + 1}: batch {ours:.0f} cells/s, DBOS {dbos:.1f} cells/s")
    return rates, foreign


@asynccontextmanager
async def _places(options: Options) -> AsyncIterator[tuple[list[Server], list[grpc.aio.Channel]]]:
    """The domain, a coordinator with it embedded, and one that has it remote, each with a channel."""
    async with AsyncExitStack() as stack:

        async def serve(name: str, *flags: str) -> Server:
            return await stack.enter_async_context(serving(options.folder / name, *flags))

        domain = await serve("domain", "--only", "postprocessing")
        at_domain = ("--only", "processing", "--postprocessing-address", domain.address)
        servers = [domain, await serve("embedded"), await serve("remote", *at_domain)]
        yield servers, [await stack.enter_async_context(channel_to(server)) for server in servers]


async def _loop(channel: grpc.aio.Channel, cells: int) -> float:
    """Calls a second that a client makes itself."""
    started = perf_counter()
    await closed_loop(_WIDE, direct(channel, 1), count=cells)
    return cells / (perf_counter() - started)


async def _batch(channel: grpc.aio.Channel, cells: int, filling: bool = False) -> float:
    """Cells a second of a batch, from its start until its end is durable; with `filling`, from its creation on."""
    stub: Any = ProcessingServiceStub(channel)
    began = perf_counter()
    batch_id = await _create(stub, cells)
    started = began if filling else perf_counter()
    await stub.PostBatchExecute(pb.PostBatchExecuteRequest(batch_id=batch_id), timeout=_TIMEOUT_S)
    while (batch := await _read(stub, batch_id)).state < pb.BATCH_STATE_SUCCEEDED:  # noqa: ASYNC110  # another process
        await asyncio.sleep(_LOOK_S)
    seconds = perf_counter() - started
    assert batch.counts.succeeded == cells, batch
    return cells / seconds


async def _create(stub: Any, cells: int) -> str:
    request = pb.PostBatchCreateRequest(workflow_ids=["echoes1"], max_parallel=_WIDE, request_id=new_request_id())
    batch_id = (await stub.PostBatchCreate(request, timeout=_TIMEOUT_S)).batch.batch_id
    for first in range(0, cells, _PAGE):
        items = _items(first, min(first + _PAGE, cells))
        page = pb.PostBatchItemsRequest(batch_id=batch_id, items=items, request_id=new_request_id())
        await stub.PostBatchItems(page, timeout=_TIMEOUT_S)
    return str(batch_id)


def _items(first: int, last: int) -> Iterable[pb.BatchItem]:
    for number in range(first, last):
        item = pb.BatchItem(item_id=f"item{number}")
        item.parameters["text"] = "hello"
        yield item


async def _read(stub: Any, batch_id: str) -> pb.Batch:
    request = pb.GetProcessingBatchRequest(batch_id=batch_id)
    return (await stub.GetProcessingBatch(request, timeout=_TIMEOUT_S)).batch


async def _million(options: Options) -> list[Row]:
    """A batch of very many cells, created and listed."""
    cells = options.many_cells
    async with serving(options.folder / "many") as server, channel_to(server) as channel:
        await put_workflow(channel, _WORKFLOW)
        stub: Any = ProcessingServiceStub(channel)
        await _create(stub, _PAGE)
        before, started = server.resident_mb, perf_counter()
        batch_id = await _create(stub, cells)
        tell(f"{cells:,} cells created in {perf_counter() - started:.0f} s")
        pages = [await _last_page(stub, batch_id, cells) for _ in range(options.rounds)]
        growth = server.peak_mb - before
    what = f"{cells:,} cells created and listed"
    return [
        Row("cells-memory", f"{what}: growth of memory", Spread.one(growth), Target("<", 200, "MB")),
        Row("cells-page", f"{what}: page of 100 at the end", Spread.of(pages), Target("<", 50, "ms")),
    ]


async def _last_page(stub: Any, batch_id: str, cells: int) -> float:
    """Milliseconds that the last page of 100 takes, once its token is known."""
    request = pb.GetProcessingBatchItemsRequest(batch_id=batch_id, page_size=1000)
    while True:
        reply = await stub.GetProcessingBatchItems(request, timeout=_TIMEOUT_S)
        if not reply.next_page_token:
            break
        request.page_token = reply.next_page_token
    request.page_size = 100
    started = perf_counter()
    reply = await stub.GetProcessingBatchItems(request, timeout=_TIMEOUT_S)
    assert len(reply.cells) == 100, len(reply.cells)
    return 1e3 * (perf_counter() - started)
