"""A session begins in the turn of the loop that hears that it is stored, and whoever asked for it is told."""

from __future__ import annotations

import asyncio

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.live import Live
from processing_service.engine.openings import Openings
from processing_service.engine.roster import Roster
from processing_service.engine.store.base import Opened
from processing_service.wire.errors import Code, CoordinatorError
from tests.unit.engine.test_roster import live_of

FULL = CoordinatorError(Code.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_STORE_FULL, "as told")


class Bench:
    """Openings whose store does as a test says."""

    def __init__(self) -> None:
        self.roster, self.live = Roster(), live_of("s")
        self.openings = Openings(self.roster, self.roster.add)
        self.durable: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self.left: list[Live] = []

    async def ask(self) -> asyncio.Task[Opened]:
        """Somebody asks for it, and waits."""
        asking = asyncio.ensure_future(self.openings.opened(self.live, self.durable, self.left.append))
        await asyncio.sleep(0)
        return asking

    def store(self, *, repeated: bool = False) -> None:
        """Its start is durable."""
        self.durable.set_result(Opened(1, "s", repeated))


async def test_it_runs_before_who_asked_is_told() -> None:
    bench = Bench()
    asking = await bench.ask()
    assert bench.live.key in bench.openings
    bench.store()
    await asyncio.sleep(0)

    assert (bench.live in bench.roster, asking.done(), bench.live.key in bench.openings) == (True, False, False)
    assert await asking == Opened(1, "s", False)


async def test_a_repeat_begins_nothing() -> None:
    bench = Bench()
    asking = await bench.ask()
    bench.store(repeated=True)

    assert ((await asking).repeated, len(bench.roster)) == (True, 0)


async def test_a_start_that_is_refused_begins_nothing() -> None:
    bench = Bench()
    asking = await bench.ask()
    bench.durable.set_exception(FULL)

    with pytest.raises(CoordinatorError, match="as told"):
        await asking
    assert (len(bench.roster), bench.live.key in bench.openings) == (0, False)


async def test_a_caller_that_leaves_does_not_keep_it_from_running() -> None:
    """Whoever is to know of it is told then, and of one that was refused nobody."""
    stored, refused = Bench(), Bench()
    for bench in (stored, refused):
        (await bench.ask()).cancel()
        await asyncio.sleep(0)
    stored.store()
    refused.durable.set_exception(FULL)
    await asyncio.sleep(0)

    assert (stored.live in stored.roster, stored.left, refused.left) == (True, [stored.live], [])


async def test_others_wait_for_a_name_that_is_about_to_run() -> None:
    bench = Bench()
    await bench.ask()
    waiting = asyncio.ensure_future(bench.openings.wait(bench.live.key))
    await bench.openings.wait(("", "another"))
    assert not waiting.done()
    bench.store()
    await waiting

    assert bench.live in bench.roster


async def test_one_waits_on_when_another_of_its_name_is_refused() -> None:
    """Who asked later may be stored yet; a command waits for that."""
    bench = Bench()
    first, refused = await bench.ask(), bench.durable
    bench.durable = asyncio.get_running_loop().create_future()
    second = await bench.ask()
    refused.set_exception(FULL)
    with pytest.raises(CoordinatorError, match="as told"):
        await first
    waiting = asyncio.ensure_future(bench.openings.wait(bench.live.key))
    await asyncio.sleep(0)
    assert not waiting.done()
    bench.store()
    await waiting

    assert (await second, bench.live in bench.roster) == (Opened(1, "s", False), True)
