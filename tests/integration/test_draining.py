"""A server that is told to stop: what it still does, and what the next one takes up."""

import asyncio

from coordinator.processing.v1 import processing_pb2 as pb
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from processing_service.server import running
from processing_service.server.hosting import service_name
from processing_service.wire.errors import Code
from tests.coordinators import EXECUTE, echo, outputs_of, reach, refused, serving, settings_in

OUTPUTS = {"text": {"value": "${steps.say.echo.text}"}}


async def test_a_call_in_flight_is_answered_and_a_new_one_is_refused(tmp_path):
    """NOT_SERVING at once; what runs ends within the grace, what comes is SERVER_DRAINING with RetryInfo."""
    process = running(settings_in(tmp_path, drain_grace=10.0))
    started = await process.__aenter__()
    async with reach(started.address) as served:
        await served.put("slow", echo(text="done", delay="0.4s"), outputs=OUTPUTS)
        call = asyncio.ensure_future(served.execute("slow", session_id="s"))
        async for update in served.watch_when_there("s"):
            if update.event.kind == pb.EVENT_KIND_STEP_STARTED:
                break
        told = aiter(HealthStub(served.channel).Watch(HealthCheckRequest(service=service_name("processing"))))
        assert (await anext(told)).status == HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(process.__aexit__(None, None, None))
        assert (await anext(told)).status == HealthCheckResponse.NOT_SERVING
        error = await refused(served.execute("slow"))
        session = (await call).session
        await stopping

    assert (error.code, error.reason_name, error.retry_delay) == (Code.UNAVAILABLE, "SERVER_DRAINING", 1.0)
    assert outputs_of(session) == {"text": "done"}


async def test_a_session_that_runs_may_start_its_children(tmp_path):
    """They are part of what is under way: the session ends as it would have."""
    child = {"step_id": "child", "operation": EXECUTE, "parameters": {"workflow_id": "inner"}, "depends_on": ["wait"]}
    async with serving(tmp_path, drain_grace=10.0) as served:
        await served.put("inner", echo())
        await served.put("outer", echo("wait", delay="0.3s"), child)
        await served.execute("outer", session_id="s", background=True)
    async with serving(tmp_path) as served:
        session = await served.ended("s")
        kinds = [event.kind for event in await served.events("s")]

    assert session.state == pb.SESSION_STATE_SUCCEEDED, session.failure
    assert pb.EVENT_KIND_SESSION_RECOVERED not in kinds
    assert pb.EVENT_KIND_STEP_RETRY_SCHEDULED not in kinds


async def test_a_session_that_outlasts_the_grace_is_taken_up(tmp_path):
    """Nothing of it fails because the server stopped; its step runs again, and its result is recorded once."""
    async with serving(tmp_path, drain_grace=0.1) as served:
        await served.put("slow", echo(text="done", delay="0.5s"), outputs=OUTPUTS)
        await served.execute("slow", session_id="s", background=True)
    async with serving(tmp_path) as served:
        session = await served.ended("s")
        kinds = [event.kind for event in await served.events("s")]

    assert outputs_of(session) == {"text": "done"}
    assert kinds.count(pb.EVENT_KIND_SESSION_RECOVERED) == 1
    assert kinds.count(pb.EVENT_KIND_STEP_SUCCEEDED) == 1
