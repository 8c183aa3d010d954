"""One watch over many cuts and kills."""

from __future__ import annotations

import asyncio

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from tests.crashing.client import Client
from tests.crashing.site import Site
from tests.crashing.workflows import SHAPES

pytestmark = pytest.mark.asyncio(loop_scope="package")
KILLS = 5
EVENTS = 5
"""Of each stream."""
ITEMS = 260


@pytest.mark.slow
async def test_a_watch_that_is_cut_100_times_over_5_kills_has_every_event_once(where: Site) -> None:
    """It goes on by after_sequence: no gap, no event twice, and the history says the same."""
    folder = where.new_folder("watching")
    client, deaths = Client(where.address(folder), lambda: EVENTS), []

    async def die() -> None:
        await where.nursery.kill()
        where.nursery.start(where.arguments(folder))

    def kill_on_the_way(event: pb.SessionEvent) -> bool:
        due = len(deaths) < KILLS and event.sequence > (len(deaths) + 1) * 2 * ITEMS / (KILLS + 1)
        if due and all(death.done() for death in deaths):
            deaths.append(asyncio.create_task(die()))
        return False

    where.nursery.start(where.arguments(folder))
    await client.put(SHAPES["each"].source)
    request = pb.PostWorkflowExecuteRequest(workflow_id="each", session_id="s", request_id="s", background=True)
    request.parameters.update({"titles": ["delay=0.01"], "names": [str(number) for number in range(ITEMS)]})
    await client.start(request)
    await client.until("s", kill_on_the_way)
    told, history, session = client.told["s"], await client.history("s"), await client.session("s")
    await where.nursery.kill()
    await client.close()

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert told.events == history
    assert len(deaths) == KILLS
    assert told.cuts >= 100
