import asyncio
from dataclasses import replace

import grpc
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Datum
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from instructors.discovery import join, learn, read
from instructors.domains import Domains
from instructors.foreign import ForeignDomain
from processing_service.wire.channels import ChannelSettings
from processing_service.wire.errors import CoordinatorError, Unavailable
from tests.greetings import SERVICE, reflection_v1


async def test_a_file_describes_a_domain(greetings):
    """The RPCs of a descriptor-set file are operations, acronyms and all, and its Datum is our Datum."""
    domain = await join(greetings)
    domains = Domains([domain])
    assert [operation.name for operation in domains.operations()] == [
        "greetings.greet",
        "greetings.put_name",
        "greetings.watch_http_greetings",
    ]
    assert domains.find("greetings.greet").idempotent
    assert not domains.find("greetings.put_name").idempotent
    request = domains.operation("greetings.greet").request_class
    assert request(picture=Datum(inline_bytes=b"x")).picture == Datum(inline_bytes=b"x")
    await domain.channel.close()


async def test_a_server_describes_itself_by_v1alpha(greetings):
    """A server with reflection v1alpha only needs no file."""
    domain = await join(replace(greetings, descriptor_set_file=None))
    assert domain.service.full_name == SERVICE
    await domain.channel.close()


async def test_a_server_describes_itself_by_v1(greeter):
    """A server with reflection v1 only needs no file."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((greeter.handler(), reflection_v1(greeter.service.file.pool)))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    domain = await join(ForeignDomain("greetings", ChannelSettings(f"127.0.0.1:{port}")))
    assert domain.service.full_name == SERVICE
    await domain.channel.close()
    await server.stop(0)


async def test_a_server_without_reflection_needs_a_file(greeter):
    """Without reflection and without a file the domain cannot be described, and the error says what helps."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((greeter.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        for _ in range(200):  # the refusal may come before, while or after the question is sent
            with pytest.raises(CoordinatorError, match="name its descriptor-set file") as caught:
                await join(ForeignDomain("greetings", ChannelSettings(f"127.0.0.1:{port}")))
            assert caught.value.reason == ErrorReason.ERROR_REASON_DOMAIN_NOT_CONFIGURED
    finally:
        await server.stop(0)


async def test_a_server_that_is_not_there_joins_without_operations(tmp_path, greeter):
    """Who asks for one is told why, until the server is there and has described itself."""
    address = f"unix:{tmp_path}/greetings.sock"
    foreign = ForeignDomain("greetings", ChannelSettings(address))
    domain = await join(foreign)
    domains = Domains([domain])
    learning = asyncio.ensure_future(learn(foreign, domains))
    for find in (domains.operation, domains.message):
        with pytest.raises(Unavailable, match="the operations of 'greetings' are not known yet") as caught:
            find("greetings.greet")
        assert caught.value.metadata == {"domain": "greetings", "address": "unix:greetings.sock"}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((greeter.handler(), reflection_v1(greeter.service.file.pool)))
    server.add_insecure_port(address)
    await server.start()
    await learning

    assert domains.find("greetings.greet").idempotent
    await domain.channel.close()
    await server.stop(0)


async def test_an_unknown_service_is_answered_with_the_nearest(greetings):
    """A service that the file does not have is not found."""
    with pytest.raises(CoordinatorError) as caught:
        await join(replace(greetings, service_name="tests.greetings.v1.GreetingServise"))
    assert caught.value.metadata["nearest"] == SERVICE


def test_a_damaged_file_is_refused(tmp_path):
    """Bytes that are no descriptor set are refused without their path."""
    file = tmp_path / "set.binpb"
    file.write_bytes(b"\xff\xff")
    with pytest.raises(CoordinatorError, match=r"'set\.binpb' is not a descriptor set") as caught:
        read(file)
    assert str(tmp_path) not in caught.value.message


def test_an_incomplete_set_is_refused(tmp_path, greeting_set):
    """A set without its imports is refused, unless they are ours."""
    files = FileDescriptorSet.FromString(greeting_set.read_bytes())
    files.file[-1].dependency.append("other/none.proto")
    files.file[-1].name = "incomplete.proto"
    file = tmp_path / "set.binpb"
    file.write_bytes(files.SerializeToString())
    with pytest.raises(CoordinatorError, match="not complete"):
        read(file, SERVICE)


def test_another_service_of_the_same_name_has_its_own_messages(tmp_path, greeting_set):
    """Two domains may have files of one name and different content."""
    first = read(greeting_set)
    files = FileDescriptorSet.FromString(greeting_set.read_bytes())
    greetings = next(proto for proto in files.file if proto.service)
    greetings.message_type[0].field.add(name="extra", number=9, type="TYPE_STRING", label="LABEL_OPTIONAL")
    file = tmp_path / "set.binpb"
    file.write_bytes(files.SerializeToString())
    other = read(file, SERVICE)
    assert "extra" in other.methods_by_name["Greet"].input_type.fields_by_name
    assert "extra" not in first.methods_by_name["Greet"].input_type.fields_by_name
