"""A domain whose process hangs or dies while calls are out: killed with -9, stopped, and back again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client import CoordinatorClient
from tests.acceptance.processes import Server, address_for
from tests.coordinators import reasons

SOURCE = """
workflow_id: say
parameters: {{text: {{value_type: STRING}}}}
steps:
- step_id: say
  operation: postprocessing.post_postprocessing_execute
  parameters: {{echo: {{text: "${{parameters.text}}"}}}}
  retry: {{max_attempts: {attempts}, initial_delay: 0.05s}}
outputs: {{text: {{value: "${{steps.say.echo.text}}"}}}}
"""
CALLS = 20


class Apart:
    """A coordinator, and a domain whose process misbehaves until another one takes its place."""

    def __init__(self, folder: Path, address: str) -> None:
        self.domain = Server("--listen", address, module=("tests.misbehaving",))
        self.healthy = Server("--only", "postprocessing", "--listen", address)
        store = ("--store", str(folder / "store"), "--models", str(folder / "models"))
        self.coordinator = Server(*store, "--listen", "127.0.0.1:0", "--postprocessing-address", address)

    async def begin(self, client: CoordinatorClient, text: str, sessions: int, attempts: int = 1) -> list[str]:
        """Sessions of one call each; all calls are out."""
        await client.put_processing_workflow(SOURCE.format(attempts=attempts))
        names = [f"s{number}" for number in range(sessions)]
        for name in names:
            await client.post_workflow_execute("say", {"text": text}, session_id=name, background=True)
        for name in names:
            async for update in client.watch_session(name, 0):
                if update.event.kind == pb.EVENT_KIND_STEP_STARTED:
                    break
        await self.domain.says(f"{sessions} calls")
        return names


@asynccontextmanager
async def apart(folder: Path) -> AsyncIterator[tuple[CoordinatorClient, Apart]]:
    """A client of the coordinator, and both processes."""
    made = Apart(folder, await address_for("tcp", "postprocessing", folder))
    async with AsyncExitStack() as stack:
        for server in (made.domain, made.healthy, made.coordinator):
            stack.push_async_callback(server.kill)
        await made.domain.start()
        await made.coordinator.start()
        yield await stack.enter_async_context(CoordinatorClient(made.coordinator.address)), made


async def ended(client: CoordinatorClient, session_id: str) -> pb.Session:
    return await client.wait_session(session_id)


async def kinds(client: CoordinatorClient, session_id: str) -> list[str]:
    events = client.get_processing_session_events(session_id)
    return [pb.EventKind.Name(event.kind).removeprefix("EVENT_KIND_") async for event in events]


@pytest.mark.slow
async def test_calls_that_die_with_their_domain_fail_and_are_retried(tmp_path: Path) -> None:
    """kill -9 with twenty out, and no other try: each says why; once the domain is back one RETRY for all finishes."""
    async with apart(tmp_path) as (client, made):
        names = await made.begin(client, "silent", CALLS)
        await made.domain.kill()
        failed = [await ended(client, name) for name in names]
        history = await kinds(client, "s0")
        await made.healthy.start()
        selector = pb.SessionSelector(workflow_id="say", states=[pb.SESSION_STATE_FAILED])
        told = await client.post_session_control("", pb.CONTROL_ACTION_RETRY, selector=selector)
        again = [await ended(client, name) for name in names]

    assert {session.state for session in failed} == {pb.SESSION_STATE_FAILED}
    assert {tuple(reasons(session)) for session in failed} == {("STEP_FAILED", "DOMAIN_UNAVAILABLE")}
    assert {session.failure.cause.attempt for session in failed} == {1}
    assert history == ["SESSION_STARTED", "STEP_STARTED", "STEP_FAILED", "SESSION_ENDED"]
    assert told.matched_count == CALLS
    assert {(session.state, session.attempt) for session in again} == {(pb.SESSION_STATE_SUCCEEDED, 2)}
    assert {session.outputs["text"] for session in again} == {"silent"}


@pytest.mark.slow
async def test_calls_that_die_with_their_domain_go_out_again(tmp_path: Path) -> None:
    """The broken call is an attempt; then the domain is away, which is none; once it is back the sessions go on."""
    async with apart(tmp_path) as (client, made):
        names = await made.begin(client, "silent", CALLS, attempts=2)
        await made.domain.kill()
        await made.healthy.start()
        sessions = [await ended(client, name) for name in names]

    assert {(session.state, session.attempt) for session in sessions} == {(pb.SESSION_STATE_SUCCEEDED, 1)}
    assert all(session.steps[0].attempt >= 2 for session in sessions)


@pytest.mark.slow
@pytest.mark.parametrize("later", ["it goes on", "it dies", "it obeys"])
async def test_the_receipt_of_a_cancelled_call_is_the_truth(tmp_path: Path, later: str) -> None:
    """IGNORED by a domain that hangs, UNREACHABLE at one that dies, ACKNOWLEDGED by one that hears of it."""
    async with apart(tmp_path) as (client, made):
        await made.begin(client, "silent", 1)
        if later != "it obeys":
            made.domain.tell(signal.SIGSTOP)
        cancelling = asyncio.ensure_future(client.post_session_control("s0", pb.CONTROL_ACTION_CANCEL))
        if later == "it dies":
            reply = await cancelling
            assert reply.session.state == pb.SESSION_STATE_CANCELLING
            await made.domain.kill()
        session = await ended(client, "s0")
        history = await kinds(client, "s0")
        if later == "it goes on":
            made.domain.tell(signal.SIGCONT)
            await made.domain.says("cancelled s0/say#1")
        await cancelling
        late = await client.get_processing_session("s0")
        assert await kinds(client, "s0") == history
        await made.domain.kill()
        await made.healthy.start()
        await client.post_session_control("s0", pb.CONTROL_ACTION_RETRY)
        again = await ended(client, "s0")

    outcomes = {
        "it goes on": pb.CALL_OUTCOME_IGNORED,
        "it dies": pb.CALL_OUTCOME_UNREACHABLE,
        "it obeys": pb.CALL_OUTCOME_ACKNOWLEDGED,
    }
    assert session.state == pb.SESSION_STATE_CANCELLED
    assert [receipt.call_outcome for receipt in session.receipts] == [outcomes[later]]
    assert history[2:] == ["COMMAND_APPLIED", "CALL_RECEIPT", "STEP_CANCELLED", "SESSION_ENDED"]
    assert late.session == session
    assert (again.state, again.attempt) == (pb.SESSION_STATE_SUCCEEDED, 2)
