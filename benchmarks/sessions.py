"""Sessions of no-op steps beside the same calls made by the client itself, and beside a coordinator written by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

import grpc

from benchmarks.calls import direct, put_workflow, session, workflow_of
from benchmarks.options import Options
from benchmarks.rounds import Contender, Results, foreign, interleave, quietest, ratio, shown
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import Server, channel_to, running, serving

_STEPS: Final = 3
_NOT_SAMPLED: Final = ("--set", "telemetry.traces.exporter=otlp", "--set", "telemetry.traces.ratio=0")


class Pair(NamedTuple):
    """A row that compares two rates of 64 callers."""

    what: str
    peer: str
    bound: float


PAIRS: Final = {
    "embedded": Pair("durable sessions of 3 steps, embedded, by 3 direct calls", "direct", 1.5),
    "sampled-out": Pair("the same with tracing on and nothing sampled", "direct", 1.2),
    "remote": Pair("the same with the domain remote over TCP", "direct", 0.45),
    "none": Pair("the same, remote, nothing stored, by a coordinator of 40 lines", "plain", 0.7),
}
ROWS: Final = (*PAIRS, "added", "lag-sessions")


@dataclass(frozen=True, slots=True)
class Place:
    """A server and the channel to it."""

    server: Server
    channel: grpc.aio.Channel


Places = dict[str, Place]
"""`domain` (Postprocessing alone: what `direct`, `remote` and `plain` call), `embedded`, `sampled-out`, `remote`,
`plain`."""


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted."""
    pairs = {name: pair for name, pair in PAIRS.items() if options.wants(name)}
    names = {*pairs, *(pair.peer for pair in pairs.values())}
    if options.wants("lag-sessions"):
        names.add("embedded")
    rows = []
    async with _places(options) as places:
        contenders = [contender for contender in _wide(places) if contender.name in names]
        wide = await interleave(contenders, options.rounds, options.seconds)
        rows += [_row(name, pair, quietest(wide, options.rounds, name, pair.peer)) for name, pair in pairs.items()]
        if options.wants("added"):
            lone = await interleave(_lone(places), options.rounds, options.seconds / 2)
            rows.append(_added(quietest(lone, options.rounds)))
        if options.wants("lag-sessions"):
            rows.append(_lag(places["embedded"].server, quietest(wide, options.rounds, "embedded")))
    return rows


@asynccontextmanager
async def _places(options: Options) -> AsyncIterator[Places]:
    async with AsyncExitStack() as stack:

        async def serve(name: str, *flags: str) -> Place:
            server = await stack.enter_async_context(serving(options.folder / name, *flags))
            return Place(server, await stack.enter_async_context(channel_to(server)))

        domain = await serve("domain", "--only", "postprocessing")
        at_domain = ("--postprocessing-address", domain.server.address)
        coordinators = {
            "embedded": await serve("embedded"),
            "sampled-out": await serve("sampled-out", *_NOT_SAMPLED),
            "remote": await serve("remote", "--only", "processing", *at_domain),
        }
        for place in coordinators.values():
            await put_workflow(place.channel, workflow_of(1))
            await put_workflow(place.channel, workflow_of(_STEPS))
        by_hand = running("benchmarks.plain_coordinator", at_domain, options.folder / "plain", "")
        plain = await stack.enter_async_context(by_hand)
        channel = await stack.enter_async_context(channel_to(plain))
        yield {"domain": domain, **coordinators, "plain": Place(plain, channel)}


def _wide(places: Places) -> list[Contender]:
    """64 callers of three steps."""
    domain = places["domain"].server.process
    embedded, sampled_out, remote, plain = (
        places[name] for name in ("embedded", "sampled-out", "remote", "plain")
    )  # fmt: skip
    lag = embedded.server.lag
    not_stored = session(remote.channel, _STEPS, stored=False)
    return [
        Contender("direct", direct(places["domain"].channel, _STEPS), (domain,)),
        Contender(
            "embedded", session(embedded.channel, _STEPS), (embedded.server.process,), before=lag.start, after=lag.stop
        ),
        Contender("sampled-out", session(sampled_out.channel, _STEPS), (sampled_out.server.process,)),
        Contender("remote", session(remote.channel, _STEPS), (remote.server.process, domain)),
        Contender("none", not_stored, (remote.server.process, domain)),
        Contender("plain", session(plain.channel, _STEPS, stored=False), (plain.server.process, domain)),
    ]


def _lone(places: Places) -> list[Contender]:
    """One caller of one step."""
    domain, embedded = places["domain"], places["embedded"]
    return [
        Contender("direct", direct(domain.channel, 1), (domain.server.process,), callers=1),
        Contender("added", session(embedded.channel, 1), (embedded.server.process,), callers=1),
    ]


def _row(name: str, pair: Pair, results: Results) -> Row:
    return Row(
        name,
        pair.what,
        ratio(results, name, pair.peer),
        Target(">=", pair.bound, "x"),
        shown(results[name]),
        shown(results[pair.peer]),
        foreign(results),
    )


def _added(results: Results) -> Row:
    both = list(zip(results["added"], results["direct"], strict=True))
    added = Spread.of([1e3 * (ours.p50 - peer.p50) for ours, peer in both])
    ours, peer = (f"{1e3 * median(load.p50 for load in results[name]):.2f} ms p50" for name in ("added", "direct"))
    what = "added p50 of a session of 1 step, embedded, 1 caller"
    return Row("added", what, added, Target("<=", 2, "ms"), ours, peer, foreign(results))


def _lag(server: Server, results: Results) -> Row:
    lag = server.lag.p99_ms()
    what = "event-loop lag p99 while 64 callers run sessions"
    return Row("lag-sessions", what, Spread.one(lag), Target("<", 20, "ms"), foreign=foreign(results))
