"""A snapshot is made once for all who ask meanwhile, and never from before they asked."""

import asyncio

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.snapshots import Snapshots


class Reader:
    """Stands in for a SessionReader; a snapshot is the number of events there were when it was begun."""

    def __init__(self):
        self.last, self.made = 1, 0
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def snapshot(self, session_id, tenant):
        self.made += 1
        session = pb.Session(session_id=session_id, tenant=tenant, last_sequence=self.last)
        self.begun.set()
        await self.go.wait()
        if session_id == "nobody":
            raise LookupError(session_id)
        return session, {}


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def snapshots(reader):
    return Snapshots(reader)


async def test_who_asks_while_one_is_made_has_the_next(reader, snapshots):
    """It has what was written since; fifty of them share it."""
    first = asyncio.ensure_future(snapshots.of("s", ""))
    await reader.begun.wait()
    reader.last = 2
    others = [asyncio.ensure_future(snapshots.of("s", "")) for _ in range(50)]
    await asyncio.sleep(0)
    reader.go.set()
    seen = [(await one)[0].last_sequence for one in (first, *others)]

    assert seen == [1] + [2] * 50
    assert reader.made == 2


async def test_other_sessions_and_tenants_do_not_wait(reader, snapshots):
    """Each has its own, at the same time."""
    asked = [asyncio.ensure_future(snapshots.of(*key)) for key in (("s", ""), ("t", ""), ("s", "acme"))]
    async with asyncio.timeout(10):
        while reader.made < 3:  # noqa: ASYNC110 - what is awaited is the state of other tasks
            await asyncio.sleep(0)
    reader.go.set()

    assert [(await one)[0].tenant for one in asked] == ["", "", "acme"]


async def test_one_who_leaves_takes_it_from_nobody(reader, snapshots):
    """It goes on for the others."""
    leaving, staying = (asyncio.ensure_future(snapshots.of("s", "")) for _ in range(2))
    await reader.begun.wait()
    leaving.cancel()
    reader.go.set()

    assert (await staying)[0].last_sequence == 1
    assert reader.made == 1


async def test_an_error_is_told_to_all_who_asked_and_not_kept(reader, snapshots):
    """Who asks later asks anew."""
    reader.go.set()
    told = await asyncio.gather(*(snapshots.of("nobody", "") for _ in range(3)), return_exceptions=True)
    again = await asyncio.gather(snapshots.of("nobody", ""), return_exceptions=True)

    assert [type(error) for error in told + again] == [LookupError] * 4
    assert reader.made == 2
