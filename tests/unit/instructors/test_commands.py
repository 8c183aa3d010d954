import time

import grpc
import pytest
from coordinator.model.v1 import model_pb2
from coordinator.payload.v1.payload_pb2 import DataType, Datum, Tensor
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import add_PostprocessingServiceServicer_to_server
from coordinator.processing.v1.processing_pb2 import PostCommandExecuteRequest
from google.protobuf.json_format import ParseDict

from instructors.commands import CommandInstructor
from instructors.discovery import join
from instructors.domains import CONTRACT, Domain, Domains
from instructors.registry import Instructors
from processing_service.domains.postprocessing.servicer import PostprocessingServicer
from processing_service.engine.store.artifacts import FileArtifacts
from processing_service.wire.callcontext import CallContext, serving
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import CoordinatorError

ECHO = "postprocessing.post_postprocessing_execute"


@pytest.fixture
def artifacts(tmp_path):
    return FileArtifacts(tmp_path / "artifacts")


@pytest.fixture
def commands(artifacts):
    server = InProcessServer()
    servicer = PostprocessingServicer()
    add_PostprocessingServiceServicer_to_server(servicer, server)
    domains = Domains.of_contract()
    with_channel = [Domain("postprocessing", CONTRACT["postprocessing"], InProcessChannel(server))]
    domains = Domains([*with_channel, *(domain for domain in domains if domain.name != "postprocessing")])
    yield CommandInstructor(Instructors(domains), artifacts)
    servicer.close()


def command(operation, parameters=None, payloads=None, **fields):
    request = PostCommandExecuteRequest(operation=operation, payloads=payloads or {}, **fields)
    ParseDict(parameters or {}, request.parameters)
    return request


async def test_a_command_calls_an_operation(commands):
    """Parameters and payloads make the request; the reply comes back as values by name and data by path."""
    datum = Datum(inline_bytes=b"\x00\xff", media_type="image/png")
    reply = await commands.execute(command(ECHO, {"echo": {"text": "hi", "value": 2}}, {"echo.datum": datum}))
    assert reply.type_name == "coordinator.postprocessing.v1.PostPostprocessingExecuteResponse"
    assert dict(reply.result["echo"]) == {"text": "hi", "value": 2.0}
    assert dict(reply.payloads) == {"echo.datum": datum}
    assert not reply.warnings


async def test_legacy_spellings_are_resolved(commands):
    """The operation and its fields may be spelled as before; each is a warning."""
    reply = await commands.execute(command("Postprocessing.PostPostprocessingExecute", {"Echo": {"Text": "hi"}}))
    assert reply.result["echo"]["text"] == "hi"
    assert list(reply.warnings) == [
        f"operation: Postprocessing.PostPostprocessingExecute is a legacy spelling, write {ECHO}",
        "Echo: a legacy spelling, write echo",
        "echo.Text: a legacy spelling, write text",
    ]


async def test_large_content_goes_and_comes_as_artifacts(commands, artifacts):
    """Content is put in for the domain, and what is above the threshold comes back as a reference."""
    stored = await artifacts.put(b"x" * 300_000, media_type="text/plain")
    small = await artifacts.put(b"y")
    reply = await commands.execute(command(ECHO, payloads={"echo.datum": Datum(artifact=stored)}))
    assert reply.payloads["echo.datum"] == Datum(artifact=stored, media_type="text/plain")
    reply = await commands.execute(command(ECHO, payloads={"echo.datum": Datum(artifact=small)}))
    assert reply.payloads["echo.datum"] == Datum(inline_bytes=b"y")
    tensor = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[300_000], data=b"z" * 300_000)
    reply = await commands.execute(command(ECHO, payloads={"echo.datum": Datum(tensor=tensor)}))
    found = reply.payloads["echo.datum"].artifact
    assert found.type_name == "coordinator.payload.v1.Tensor"
    assert Tensor.FromString(await artifacts.get(found.digest)) == tensor
    reply = await commands.execute(command(ECHO, payloads={"echo.datum": Datum(artifact=found)}))
    assert reply.payloads["echo.datum"].artifact == found


@pytest.mark.parametrize(
    ("request_", "reason", "text"),
    [
        (command(""), "FIELD_REQUIRED", "such as 'model.get_model'"),
        (command("model.get_modle"), "OPERATION_NOT_FOUND", "did you mean 'model.get_model'"),
        (command("processing.post_command_execute"), "FIELD_INVALID", "inside a command"),
        (command("processing.PostCommandExecute"), "FIELD_INVALID", "inside a command"),
        (command("processing.watch_processing_session"), "FIELD_INVALID", "is a stream"),
        (command(ECHO, {"ecko": {}}), "FIELD_UNKNOWN", "did you mean 'echo'"),
        (command(ECHO, {"echo": {"value": "x"}}), "FIELD_INVALID", "echo.value: must be a number"),
        (command(ECHO, {"echo": {"datum": {}}}, {"echo.datum": Datum()}), "FIELD_CONFLICT", "echo.datum"),
        (command("model.get_model", {"model_id": "a"}), "DOMAIN_NOT_CONFIGURED", "no channel to the model domain"),
    ],
)
async def test_a_wrong_command_is_refused(commands, request_, reason, text):
    """Each fault is answered with its reason and what would be right."""
    with pytest.raises(CoordinatorError) as caught:
        await commands.execute(request_)
    assert caught.value.reason_name == reason
    assert text in caught.value.message


async def test_a_command_has_its_own_timeout(commands):
    """The timeout of a command ends its call, and must be positive."""
    request = command(ECHO, {"echo": {"delay": "60s"}})
    request.timeout.FromMilliseconds(50)
    with serving(CallContext(deadline=time.monotonic() + 60)), pytest.raises(CoordinatorError) as caught:
        await commands.execute(request)
    assert caught.value.reason_name == "DEADLINE_EXCEEDED"
    request.timeout.FromSeconds(0)
    with pytest.raises(CoordinatorError, match="more than 0 s"):
        await commands.execute(request)


async def test_the_request_id_is_passed_on():
    """An operation that takes a request_id gets that of the command."""
    seen = []

    async def load(request, context):
        seen.append(model_pb2.PostModelLoadRequest.FromString(request))
        return b""

    server = InProcessServer()
    handler = grpc.unary_unary_rpc_method_handler(load)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("coordinator.model.v1.ModelService", {"PostModelLoad": handler}),)
    )
    domains = Domains([Domain("model", CONTRACT["model"], InProcessChannel(server))])
    commands = CommandInstructor(Instructors(domains), None)
    await commands.execute(command("model.post_model_load", {"model_id": "a"}, request_id="r"))
    await commands.execute(command("model.post_model_load", {"model_id": "a", "request_id": "own"}, request_id="r"))
    assert [request.request_id for request in seen] == ["r", "own"]


async def test_a_foreign_domain_takes_commands(greetings, artifacts):
    """A service that is known by its descriptors alone is commanded like ours."""
    domain = await join(greetings)
    commands = CommandInstructor(Instructors(Domains([domain])), artifacts)
    tensor = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"\x07")
    reply = await commands.execute(
        command("greetings.greet", {"personName": "Ada"}, {"people.ada.outline": Datum(tensor=tensor)})
    )
    assert reply.result["greeting"] == "Hello Ada"
    assert dict(reply.payloads) == {"people.ada.outline": Datum(tensor=tensor)}
    await domain.channel.close()
