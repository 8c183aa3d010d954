"""PostCommandExecute: any unary RPC of any domain, by name."""

import asyncio

import pytest
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from processing_service.wire.errors import Code
from tests.coordinators import echo, refused


def command(operation, parameters=None, **fields):
    """A request to carry out an operation."""
    struct = Struct()
    struct.update(parameters or {})
    return pb.PostCommandExecuteRequest(operation=operation, parameters=struct, **fields)


async def test_an_operation_is_reached_by_its_name(coordinator):
    """Its reply comes as a Struct with proto names, its type beside it."""
    await coordinator.put("hello", echo())
    reply = await coordinator.stub.PostCommandExecute(
        command("processing.get_processing_workflow", {"workflow_id": "hello"})
    )

    assert reply.type_name == "coordinator.processing.v1.GetProcessingWorkflowResponse"
    assert MessageToDict(reply.result)["workflow"]["workflow_id"] == "hello"


async def test_commands_may_wait_for_sessions_that_call_the_coordinator(coordinator):
    """However many there are, they do not take the turns that the steps need."""
    step = {"step_id": "ask", "operation": "processing.get_processing_contract"}
    await coordinator.put("asks", echo("wait", delay="0.5s"), step | {"depends_on": ["wait"]}, timeout="10s")
    request = command("processing.post_workflow_execute", {"workflow_id": "asks"})
    replies = await asyncio.gather(*(coordinator.stub.PostCommandExecute(request) for _ in range(80)))
    states = {MessageToDict(reply.result)["session"]["state"] for reply in replies}

    assert states == {"SESSION_STATE_SUCCEEDED"}


async def test_legacy_spellings_are_resolved_with_a_warning(coordinator):
    """`idWorkflow` is `workflow_id`."""
    await coordinator.put("hello", echo())
    reply = await coordinator.stub.PostCommandExecute(
        command("processing.get_processing_workflow", {"idWorkflow": "hello"})
    )

    assert "workflow_id" in reply.warnings[0]


async def test_bytes_go_in_and_come_out_by_field_path(coordinator):
    """They never stand in the Struct."""
    reply = await coordinator.stub.PostCommandExecute(
        command(
            "postprocessing.post_postprocessing_execute",
            {"echo": {"text": "hi"}},
            payloads={"echo.datum": Datum(inline_bytes=b"\x00\xff")},
        )
    )

    assert MessageToDict(reply.result)["echo"]["text"] == "hi"
    assert [datum.inline_bytes for datum in reply.payloads.values()] == [b"\x00\xff"]


@pytest.mark.parametrize(
    ("request_", "reason", "nearest"),
    [
        (command("model.get_modl"), "OPERATION_NOT_FOUND", "model.get_model"),
        (command("modle.get_model"), "DOMAIN_NOT_FOUND", "model"),
        (command("model.get_model", {"model_idd": "x"}), "FIELD_UNKNOWN", "model_id"),
        (command("model.get_model", {"model_id": "x", "idModel": "y"}), "FIELD_CONFLICT", ""),
        (command("model.get_model", {"model_id": float("nan")}), "FIELD_INVALID", ""),
        (command("processing.post_command_execute"), "FIELD_INVALID", ""),
        (command("processing.watch_processing_session"), "FIELD_INVALID", ""),
    ],
    ids=["operation", "domain", "field", "two spellings", "no number", "itself", "stream"],
)
async def test_what_cannot_be_carried_out_is_told_with_the_nearest(coordinator, request_, reason, nearest):
    """NOT_FOUND or INVALID_ARGUMENT, with a name that exists."""
    error = await refused(coordinator.stub.PostCommandExecute(request_))
    suggestions = [error.metadata.get("nearest", ""), *(violation.suggestion for violation in error.violations)]

    assert error.reason_name == reason
    assert not nearest or nearest in suggestions


async def test_the_error_of_the_domain_is_passed_on(coordinator):
    """Code, reason and metadata as the domain gave them."""
    error = await refused(coordinator.stub.PostCommandExecute(command("model.get_model", {"model_id": "none"})))

    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")
    assert error.metadata["resource_name"] == "none"
