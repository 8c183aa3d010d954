"""Deadlines, retries, errors and paging of the client's calls."""

import asyncio
import sys
import time

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.model.v1 import model_pb2
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict

from processing_service.client import ClientSettings, CoordinatorClient
from processing_service.wire.errors import Code, CoordinatorError, Unavailable
from processing_service.wire.naming import from_pascal_or_camel
from processing_service.wire.security import TokenSettings
from tests.doubles import FakeCoordinator, serving


def unavailable(delay=0.01):
    return Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "the store is away", retry_delay=delay)


async def test_error_comes_back_with_its_facts(client):
    """A refused call raises CoordinatorError with the reason and the nearest name."""
    client_error = None
    try:
        await client.get_processing_workflow("read-txt")
    except CoordinatorError as error:
        client_error = error

    assert client_error.code is Code.NOT_FOUND
    assert client_error.reason == ErrorReason.ERROR_REASON_WORKFLOW_NOT_FOUND
    assert client_error.metadata["resource_name"] == "read-txt"


async def test_mutating_call_is_repeated_with_one_request_id(client, coordinator):
    """A start that is refused twice goes out three times with the same request_id and makes one session."""
    coordinator.faults.extend([unavailable(), unavailable()])

    reply = await client.post_workflow_execute("read-text")

    ids = {request.request_id for request in coordinator.requests("PostWorkflowExecute")}
    assert len(coordinator.requests("PostWorkflowExecute")) == 3
    assert len(ids) == 1
    assert list(coordinator.sessions) == [reply.session.session_id]


async def test_last_error_is_raised(client, coordinator):
    """After as many tries as the settings allow the error of the last one is raised."""
    coordinator.faults.extend([unavailable()] * 3)

    with pytest.raises(Unavailable, match="the store is away"):
        await client.post_workflow_execute("read-text")

    assert len(coordinator.calls) == 3


async def test_refusal_is_not_repeated(client, coordinator):
    """An error that another try cannot mend goes out once."""
    with pytest.raises(CoordinatorError, match="there is no workflow"):
        await client.delete_processing_workflow("nothing")

    assert len(coordinator.calls) == 1


async def test_a_plan_takes_what_an_execution_takes(client, coordinator):
    """The request of the start stands in it whole."""
    coordinator.workflows["read-text"] = pb.Workflow(workflow_id="read-text")
    execution = pb.PostWorkflowExecuteRequest(workflow_id="read-text", model_id="reader")
    reply = await client.post_workflow_plan(execution)

    assert (reply.feasible, [step.step_id for step in reply.steps]) == (True, ["find"])
    assert [request.execution for request in coordinator.requests("PostWorkflowPlan")] == [execution]


async def test_retry_info_is_obeyed(client, coordinator):
    """The next try waits as long as the server asks."""
    coordinator.faults.append(unavailable(delay=0.3))
    started = time.monotonic()

    await client.get_processing_session((await client.post_workflow_execute("read-text")).session.session_id)

    assert time.monotonic() - started >= 0.3


async def test_no_try_goes_past_the_deadline(client, coordinator):
    """A wait that the deadline does not allow is not begun: the error is raised at once."""
    coordinator.faults.append(unavailable(delay=60.0))

    with pytest.raises(Unavailable):
        await asyncio.wait_for(client.get_processing_session("x", deadline=5.0), timeout=4.0)


async def test_call_without_stored_session_goes_once(client, coordinator):
    """A session that nothing is stored of has no request_id, so its start is not repeated."""
    coordinator.faults.append(unavailable())

    with pytest.raises(Unavailable):
        await client.post_workflow_execute("read-text", durability=pb.DURABILITY_NONE)

    assert [request.request_id for request in coordinator.requests("PostWorkflowExecute")] == [""]


async def test_every_call_has_a_deadline(coordinator):
    """A server that does not answer ends the call with DEADLINE_EXCEEDED after the settings' seconds."""
    coordinator.delay = 30.0
    async with CoordinatorClient(coordinator.address, deadline=0.2) as client:
        with pytest.raises(CoordinatorError) as caught:
            await client.get_processing_workflow("read-text")

    assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_nobody_there():
    """A coordinator that cannot be reached is UNAVAILABLE, in words of ours."""
    async with CoordinatorClient("127.0.0.1:1", attempts=1) as client:
        with pytest.raises(Unavailable, match="the coordinator cannot be reached"):
            await client.get_processing_workflow("read-text")


async def test_pages_are_fetched_until_the_last(client, coordinator):
    """A list gives the entries of all pages, and asks for the next page only when it is wanted."""
    coordinator.workflows = {name: pb.Workflow(workflow_id=name) for name in "abcde"}

    names = [workflow.workflow_id async for workflow in client.get_processing_workflows(page_size=2)]

    assert names == list("abcde")
    assert [request.page_token for request in coordinator.requests("GetProcessingWorkflows")] == ["", "2", "4"]


async def test_definition_is_sent_as_text_or_as_message(client, coordinator):
    """A definition may be YAML or a message."""
    await client.put_processing_workflow("workflow_id: one")
    await client.put_processing_workflow(pb.Workflow(workflow_id="two"))

    kinds = [request.WhichOneof("definition") for request in coordinator.requests("PutProcessingWorkflow")]
    assert kinds == ["source", "workflow"]
    assert set(coordinator.workflows) == {"one", "two"}


async def test_token_is_shown(tmp_path):
    """The token of token_file lets the client in; without it the call is UNAUTHENTICATED."""
    secret = tmp_path / "token"
    secret.write_text("open sesame\n")
    fake = FakeCoordinator()
    fake.workflows["read-text"] = pb.Workflow(workflow_id="read-text")
    async with serving(fake, [TokenSettings("tester", str(secret))]):
        async with CoordinatorClient(fake.address, token_file=str(secret)) as client:
            await client.get_processing_workflow("read-text")
        async with CoordinatorClient(settings=ClientSettings(fake.address)) as client:
            with pytest.raises(CoordinatorError) as caught:
                await client.get_processing_workflow("read-text")

    assert caught.value.code is Code.UNAUTHENTICATED


async def test_models_come_through_the_coordinator(client, coordinator):
    """The RPCs of ModelService are commands, so they work wherever the domain runs; int64 values stay exact."""
    model = model_pb2.ModelInfo(model_id="text", file_size_bytes=2**60 + 1)
    reply = model_pb2.GetModelsResponse(models=[model])
    coordinator.commands["model.get_models"] = lambda request: _response(reply)

    assert [model async for model in client.get_models()] == [model]


async def test_command_carries_bytes_beside_its_parameters(client, coordinator):
    """Plain values go as a Struct, bytes as payloads under their field path."""
    coordinator.commands["inference.post_inference_execute"] = lambda request: pb.PostCommandExecuteResponse()

    await client.post_command_execute("inference.post_inference_execute", {"model_id": "text", "inputs.x": b"\x00\x01"})

    (request,) = coordinator.requests("PostCommandExecute")
    assert dict(request.parameters) == {"model_id": "text"}
    assert request.payloads["inputs.x"].inline_bytes == b"\x00\x01"


@pytest.mark.parametrize("wrong", [{"deadline": 0.0}, {"attempts": 0}])
def test_settings_are_checked(wrong):
    """A deadline or a number of attempts that cannot be is refused when the client is made."""
    with pytest.raises(CoordinatorError, match=next(iter(wrong))):
        CoordinatorClient(**wrong)


def _response(reply):
    response = pb.PostCommandExecuteResponse()
    response.result.update(MessageToDict(reply, preserving_proto_field_name=True))
    return response


TRACED = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from processing_service.client import CoordinatorClient

async def main(exporter):
    async with CoordinatorClient(sys.argv[1], tracing=True) as client:
        await client.post_workflow_execute("read-text")
        async for _ in client.watch_session("session-1", 0):
            pass
    print(*(format(span.context.trace_id, "032x") for span in exporter.get_finished_spans()))

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
asyncio.run(main(exporter))
"""


async def test_calls_can_be_traced(coordinator):
    """With `tracing` each call, streams too, is a span whose trace the server sees in traceparent."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TRACED, coordinator.address, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    trace_ids = out.decode().split()
    assert len(trace_ids) == 2
    assert [context.traceparent.split("-")[1] for context in coordinator.contexts] == trace_ids


def test_every_rpc_is_a_method():
    """Each RPC of ProcessingService and ModelService is a method of its name in snake_case."""
    services = [
        pb.DESCRIPTOR.services_by_name["ProcessingService"],
        model_pb2.DESCRIPTOR.services_by_name["ModelService"],
    ]
    names = {from_pascal_or_camel(method.name) for service in services for method in service.methods}

    assert {name for name in names if not callable(getattr(CoordinatorClient, name, None))} == set()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client: client.get_processing_domains(), id="domains"),
        pytest.param(lambda client: client.get_processing_contract(), id="contract"),
    ],
)
async def test_what_the_server_does_not_serve(client, call):
    """A call that the server does not serve yet reaches it and says so, once."""
    with pytest.raises(CoordinatorError) as caught:
        await call(client)

    assert caught.value.code is Code.UNIMPLEMENTED
