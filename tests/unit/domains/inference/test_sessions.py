"""Inference sessions are records that go by themselves when nobody uses them."""

import asyncio
from pathlib import Path

import pytest

from processing_service.domains.inference.sessions import InferenceSessions
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import CoordinatorError

MODEL = ModelVersion("m", "1", Path("m"), "", 0, 0)


class Clock:
    """Seconds that the test sets."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_ids_sort_by_time(clock):
    """Records made in one instant keep their order, and the next is behind them."""
    sessions = InferenceSessions(100, 60, clock)
    ids = [sessions.create(MODEL, "", "").inference_session_id for _ in range(20)]
    clock.now += 1

    ids.append(sessions.create(MODEL, "", "").inference_session_id)

    assert ids == sorted(set(ids))


def test_idle_records_are_forgotten_and_used_ones_kept(clock):
    """A record that nobody used for so long goes when new ones come."""
    sessions = InferenceSessions(100, 600, clock)
    idle, used = (sessions.create(MODEL, "", session_id) for session_id in ("s-1", "s-2"))
    clock.now += 500
    used.used_at = clock.now
    clock.now += 200
    sessions.create(MODEL, "", "s-3")

    assert sessions.find(idle.inference_session_id) is None
    assert sessions.find(used.inference_session_id) is used


def test_there_are_only_so_many(clock):
    """The record above the limit is refused until others go."""
    sessions = InferenceSessions(1, 600, clock)
    first = sessions.create(MODEL, "", "")
    with pytest.raises(CoordinatorError, match="1 inference sessions"):
        sessions.create(MODEL, "", "")
    sessions.delete(first.inference_session_id, "")

    assert sessions.create(MODEL, "", "") is not first


async def test_a_caller_that_is_cancelled_stays_cancelled(clock):
    """Where the call itself was cancelled too, the deleted session does not turn that into an answer."""
    sessions = InferenceSessions(10, 600, clock)

    async def run():
        with sessions.running("", "s-1"):
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    sessions.delete("", "s-1")
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert sessions.in_flight_count == 0


def test_the_end_of_a_session_is_that_of_its_tenant(clock):
    """Two tenants may name their sessions alike."""
    sessions = InferenceSessions(10, 600, clock)
    mine, other = (sessions.create(MODEL, "", "s-1", tenant) for tenant in ("", "other"))

    assert sessions.select(session_id="s-1") == [mine]
    assert sessions.select(session_id="s-1", tenant="other") == [other]
    assert sessions.delete("", "s-1") == (1, 0)
    assert [sessions.find(each.inference_session_id) for each in (mine, other)] == [None, other]
