"""A session survives kill -9 of every process and finishes after the restart, each result recorded once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from processing_service.client import CoordinatorClient
from tests.acceptance.processes import topology

ROOT = Path(__file__).parents[2]
SESSIONS = 10


async def put(client: CoordinatorClient, name: str) -> None:
    source = (ROOT / "examples" / "workflows" / f"{name}.yaml").read_text(encoding="utf-8")
    await client.put_processing_workflow(source)


async def ended(client: CoordinatorClient, session_id: str) -> pb.Session:
    async for _ in client.watch_session(session_id):
        pass
    return (await client.get_processing_session(session_id)).session


async def results(client: CoordinatorClient, session_id: str) -> Counter[str]:
    """How often each result was recorded."""
    events = client.get_processing_session_events(session_id)
    return Counter(
        [
            f"{event.step_id}[{event.item_index}]" if event.HasField("item_index") else event.step_id
            async for event in events
            if event.kind == pb.EVENT_KIND_STEP_SUCCEEDED
        ]
    )


@pytest.mark.parametrize("kind", ["embedded", pytest.param("tcp", marks=pytest.mark.slow)])
async def test_ten_sessions_survive_a_kill_in_the_middle(kind: str, tmp_path: Path) -> None:
    """All were acknowledged, so all finish; no result is recorded twice."""
    async with topology(kind, tmp_path, tmp_path / "models") as servers:
        async with servers.client() as client:
            await put(client, "three-echoes")
            for number in range(SESSIONS):
                parameters = {"text": f"page {number}", "delay_seconds": "0.15s"}
                await client.post_workflow_execute("three-echoes", parameters, session_id=f"s{number}", background=True)
            await _until_some_step_ended(client)
        await servers.kill()
        await servers.start()

        async with servers.client() as client:
            sessions = await asyncio.gather(*(ended(client, f"s{number}") for number in range(SESSIONS)))
            assert [session.state for session in sessions] == [pb.SESSION_STATE_SUCCEEDED] * SESSIONS
            assert [session.outputs["text"] for session in sessions] == [f"page {number}" for number in range(SESSIONS)]
            for number in range(SESSIONS):
                assert await results(client, f"s{number}") == {"first": 1, "second": 1, "third": 1}


async def _until_some_step_ended(client: CoordinatorClient) -> None:
    async for update in client.watch_session("s0", 0):
        if update.event.kind == pb.EVENT_KIND_STEP_SUCCEEDED:
            return


@pytest.mark.slow
async def test_a_delete_is_answered_again_after_a_kill(tmp_path: Path) -> None:
    """Whatever was carried out when the process died is known: a repeat of its request_id is not NOT_FOUND."""
    names = [f"s{number}" for number in range(200)]
    deletes = [pb.DeleteProcessingSessionRequest(session_id=name, request_id=f"delete-{name}") for name in names]
    async with topology("embedded", tmp_path, tmp_path / "models") as servers:
        async with servers.client() as client:
            await put(client, "three-echoes")
            await asyncio.gather(*(client.execute_workflow("three-echoes", session_id=name) for name in names))
        async with grpc.aio.insecure_channel(servers.coordinator.address) as channel:
            stub = ProcessingServiceStub(channel)
            calls = [asyncio.ensure_future(_answered(stub.DeleteProcessingSession(request))) for request in deletes]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            await servers.coordinator.kill()
            answered = await asyncio.gather(*calls)
        await servers.coordinator.start()
        async with grpc.aio.insecure_channel(servers.coordinator.address) as channel:
            stub = ProcessingServiceStub(channel)
            again = await asyncio.gather(*(_answered(stub.DeleteProcessingSession(request)) for request in deletes))
            left = await stub.GetProcessingSessions(pb.GetProcessingSessionsRequest())

    assert grpc.StatusCode.OK in answered
    assert Counter(again) == {grpc.StatusCode.OK: len(names)}
    assert list(left.sessions) == []


async def _answered(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["embedded", "unix", "tcp"])
async def test_reading_pages_survives_a_kill_in_the_middle(kind: str, tmp_path: Path, model_repository: Path) -> None:
    """read-text over ten pages with real models, in each topology."""
    pages = sorted((ROOT / "examples" / "pages").glob("*.[pj][np]g"))[:SESSIONS]
    async with topology(kind, tmp_path, model_repository) as servers:
        async with servers.client() as client:
            await put(client, "read-text")
            for page in pages:
                await client.post_workflow_execute("read-text", {"page": page}, session_id=page.stem, background=True)
            async for update in client.watch_session(pages[0].stem, 0):
                if update.event.step_id == "crops" and update.event.kind == pb.EVENT_KIND_STEP_SUCCEEDED:
                    break
        await servers.kill()
        await servers.start()

        async with servers.client() as client:
            sessions = await asyncio.gather(*(ended(client, page.stem) for page in pages))
            assert [session.state for session in sessions] == [pb.SESSION_STATE_SUCCEEDED] * len(pages)
            for session in sessions:
                assert set((await results(client, session.session_id)).values()) == {1}
                picture = await client.outputs_of(session).read("annotated")
                assert picture.startswith(b"\x89PNG")


REUSED = """
workflow_id: reused-echoes
reuse_enabled: true
parameters: {delay: {value_type: STRING}}
steps:
  - {step_id: first, operation: postprocessing.post_postprocessing_execute, parameters: {echo: {text: a}}, pure: true}
  - step_id: slow
    operation: postprocessing.post_postprocessing_execute
    parameters: {echo: {text: "${steps.first.echo.text}", delay: "${parameters.delay}"}}
  - step_id: last
    operation: postprocessing.post_postprocessing_execute
    parameters: {echo: {text: "${steps.slow.echo.text}", value: 2}}
    pure: true
outputs: {text: {value: "${steps.last.echo.text}"}}
"""


@pytest.mark.slow
async def test_sessions_that_take_results_survive_a_kill_in_the_middle(tmp_path: Path) -> None:
    """What was taken stays taken; what comes after the restart is taken, or run, as it would have been without it."""
    names = [f"s{number}" for number in range(SESSIONS)]
    async with topology("embedded", tmp_path, tmp_path / "models") as servers:
        async with servers.client() as client:
            await client.put_processing_workflow(REUSED)
            await client.execute_workflow("reused-echoes", {"delay": "0s"}, session_id="source")
            for number, name in enumerate(names):
                former = "source" if number % 2 else ""
                await client.post_workflow_execute(
                    "reused-echoes", {"delay": "0.5s"}, session_id=name, from_session_id=former, background=True
                )
            async for update in client.watch_session(names[0], 0):
                if update.event.kind == pb.EVENT_KIND_STEP_REUSED:
                    break
        await servers.kill()
        await servers.start()

        async with servers.client() as client:
            for number, name in enumerate(names):
                session = await ended(client, name)
                taken = {step.step_id: step.reused_from_step_key for step in session.steps}
                last = "" if number % 2 else "source/last#1"  # behind a step that ran it is not taken from `source`
                assert session.state == pb.SESSION_STATE_SUCCEEDED
                assert taken == {"first": "source/first#1", "slow": "", "last": last}
                assert set((await results(client, name)).values()) == {1}
