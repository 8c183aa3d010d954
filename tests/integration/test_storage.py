"""The service when its store takes nothing more: what is refused, what goes on, and that it works again."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from processing_service.server.hosting import service_name
from processing_service.wire.errors import Code
from processing_service.wire.telemetry.hooks import Telemetry
from tests.coordinators import echo, outputs_of, refused, wired

OUTPUTS = {"text": {"value": "${steps.say.echo.text}"}}
TEXT = {"text": {"value_type": "STRING", "default_value": "hello"}}
LARGE = "x" * 400_000


@pytest.fixture
async def parts(tmp_path):
    """A coordinator whose store can be reached, with a workflow."""
    async with wired(tmp_path, Telemetry()) as (coordinator, served):
        await served.put("greet", echo(text="${parameters.text}"), parameters=TEXT, outputs=OUTPUTS)
        await served.put("slow", echo(text="${parameters.text}", delay="0.4s"), parameters=TEXT, outputs=OUTPUTS)
        yield coordinator, served


@asynccontextmanager
async def full(coordinator):
    """The file may not grow within."""
    writer = coordinator.store._database.writer
    writer.execute("PRAGMA max_page_count = 1")
    try:
        yield
    finally:
        writer.execute("PRAGMA max_page_count = 1000000")


FULL = (Code.RESOURCE_EXHAUSTED, "STORE_FULL", 5.0)


async def test_a_full_disk_refuses_what_would_be_stored(parts):
    """STORE_FULL with RetryInfo; nothing of the session, the workflow or the request is there afterwards."""
    coordinator, served = parts
    async with full(coordinator):
        start, background, put = await asyncio.gather(
            refused(served.execute("greet", {"text": LARGE}, request_id="r")),
            refused(served.execute("greet", {"text": LARGE}, background=True)),
            refused(served.put("other", echo(text=LARGE))),
        )
    listed = await served.stub.GetProcessingWorkflows(pb.GetProcessingWorkflowsRequest())

    assert [(error.code, error.reason_name, error.retry_delay) for error in (start, background, put)] == [FULL] * 3
    assert await served.sessions() == []
    assert [workflow.workflow_id for workflow in listed.workflows] == ["greet", "slow"]
    again = await served.execute("greet", {"text": LARGE}, request_id="r")
    assert (again.session.state, again.repeated_request) == (pb.SESSION_STATE_SUCCEEDED, False)


async def test_what_is_not_stored_is_not_disturbed(parts):
    """Reads and sessions with durability NONE are answered from a full disk."""
    coordinator, served = parts
    async with full(coordinator):
        await refused(served.execute("greet", {"text": LARGE}))
        session = (await served.execute("greet", durability=pb.DURABILITY_NONE)).session
        workflow = await served.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="greet"))

    assert outputs_of(session) == {"text": "hello"}
    assert workflow.workflow.workflow_id == "greet"


async def test_a_start_that_is_stored_beside_the_first_call_is_refused_too(parts):
    """RESULT does not wait for its start, and still says that nothing was stored."""
    coordinator, served = parts
    async with full(coordinator):
        error = await refused(served.execute("greet", {"text": LARGE}, durability=pb.DURABILITY_RESULT))

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "STORE_FULL")
    assert await served.sessions() == []


async def test_a_session_that_runs_is_finished_when_there_is_room_again(parts):
    """Its caller waits, its history has no gap, and its result is recorded once."""
    coordinator, served = parts
    call = asyncio.ensure_future(served.execute("slow", {"text": LARGE}, session_id="s"))
    async for update in served.watch_when_there("s"):
        if update.event.kind == pb.EVENT_KIND_STEP_STARTED:
            break
    async with full(coordinator):
        while coordinator.store.error is None:  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
        assert not call.done()
    session = (await call).session
    events = await served.events("s")

    assert outputs_of(session) == {"text": LARGE}
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events].count(pb.EVENT_KIND_STEP_SUCCEEDED) == 1


async def test_health_says_whether_the_store_takes_what_is_written(parts):
    """NOT_SERVING while it does not, SERVING once it does."""
    coordinator, served = parts
    told = aiter(HealthStub(served.channel).Watch(HealthCheckRequest(service=service_name("processing"))))
    assert (await anext(told)).status == HealthCheckResponse.SERVING
    async with full(coordinator):
        await refused(served.execute("greet", {"text": LARGE}))
        assert (await anext(told)).status == HealthCheckResponse.NOT_SERVING
    await served.execute("greet")

    assert (await anext(told)).status == HealthCheckResponse.SERVING
