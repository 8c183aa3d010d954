"""A domain whose process dies while a session runs: waited for, over TCP, until it is back or the budget ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client import CoordinatorClient
from tests.acceptance.processes import Server, address_for

ECHOES = (Path(__file__).parents[2] / "examples" / "workflows" / "three-echoes.yaml").read_text(encoding="utf-8")
PARAMETERS = {"text": "hello", "delay_seconds": "0.3s"}
MANY = 7
"""More tries than a step has attempts; with the delays between them, seconds."""


@asynccontextmanager
async def apart(folder: Path) -> AsyncIterator[tuple[CoordinatorClient, Server]]:
    """A client of a coordinator, and the process of its postprocessing domain."""
    address = await address_for("tcp", "postprocessing", folder)
    domain = Server("--only", "postprocessing", "--listen", address)
    store = ("--store", str(folder / "store"), "--models", str(folder / "models"))
    coordinator = Server(*store, "--listen", "127.0.0.1:0", "--postprocessing-address", address)
    async with AsyncExitStack() as stack:
        for server in (domain, coordinator):
            stack.push_async_callback(server.kill)
            await server.start()
        client = await stack.enter_async_context(CoordinatorClient(coordinator.address))
        await client.put_processing_workflow(ECHOES)
        yield client, domain


@pytest.mark.slow
async def test_a_session_outlives_the_restart_of_a_domain(tmp_path: Path) -> None:
    """Killed with -9 in a step and away for more tries than the step has attempts, then back on the same port."""
    seen: Counter[pb.EventKind.ValueType] = Counter()
    async with apart(tmp_path) as (client, domain):
        await client.post_workflow_execute("three-echoes", PARAMETERS, session_id="s", background=True)
        async for update in client.watch_session("s", 0):
            event = update.event
            seen[event.kind] += 1
            if (event.kind, event.step_id, event.attempt) == (pb.EVENT_KIND_STEP_STARTED, "second", 1):
                await domain.kill()
            if event.kind == pb.EVENT_KIND_STEP_RETRY_SCHEDULED and seen[event.kind] == MANY:
                await domain.start()
        session = (await client.get_processing_session("s")).session

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert session.outputs["text"] == "hello"
    assert seen[pb.EVENT_KIND_STEP_SUCCEEDED] == 3
    assert seen[pb.EVENT_KIND_STEP_RETRY_SCHEDULED] >= MANY


@pytest.mark.slow
async def test_a_domain_that_does_not_come_back_fails_the_session_by_its_deadline(tmp_path: Path) -> None:
    """FAILED, not TIMED_OUT, and the failure says which domain, where, how often it was tried and for how long."""
    async with apart(tmp_path) as (client, domain):
        await domain.kill()
        reply = await client.post_workflow_execute("three-echoes", PARAMETERS, timeout=4)
        session = reply.session
        address = domain.address

    assert session.state == pb.SESSION_STATE_FAILED
    assert session.failure.message.startswith(
        f"step 'first' failed: the postprocessing domain at {address} cannot be reached; see that it serves and that "
        "its address is right ("
    )
    assert " tries in 3." in session.failure.message
    cause = session.failure.cause
    assert (cause.reason_name, dict(cause.metadata)) == (
        "DOMAIN_UNAVAILABLE",
        {"domain": "postprocessing", "address": address},
    )
    assert cause.attempt > 3
    budget = session.ended_at.ToNanoseconds() - session.created_at.ToNanoseconds()
    assert 3e9 < budget < 4.5e9
