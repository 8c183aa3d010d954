"""What a client asks before its first call, and what is not served yet."""

import hashlib
from importlib.resources import files

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from processing_service.server.hosting import DOMAINS, service_name
from processing_service.wire.errors import Code
from processing_service.wire.listener import ListenerSettings
from tests.coordinators import echo, reasons, serving


async def test_the_contract_tells_its_descriptors_and_limits(coordinator):
    """The digest is that of the shipped descriptor set."""
    contract = await coordinator.stub.GetProcessingContract(pb.GetProcessingContractRequest())
    shipped = files("coordinator").joinpath("coordinator.binpb").read_bytes()

    assert contract.contract_version.split(".")[0] == "1"
    assert contract.descriptor_digest == hashlib.sha256(shipped).hexdigest()
    assert {"sessions", "watch", "workflows"} <= set(contract.features)
    assert {limit.name: limit.value for limit in contract.limits}["max_message_bytes"] == 4 << 20


async def test_the_domains_are_listed_with_their_operations(coordinator):
    """Streams and the command itself cannot be steps."""
    reply = await coordinator.stub.GetProcessingDomains(pb.GetProcessingDomainsRequest())
    callable_ = {op.operation: op.callable for domain in reply.domains for op in domain.operations}

    assert [domain.domain for domain in reply.domains] == ["inference", "model", "postprocessing", "processing"]
    assert {domain.domain_health for domain in reply.domains} == {pb.DOMAIN_HEALTH_SERVING}
    assert callable_["inference.post_inference_execute"]
    assert not callable_["processing.watch_processing_session"]
    assert not callable_["processing.post_command_execute"]


async def test_health_is_told_for_each_service(coordinator):
    """And NOT_FOUND for one that is not there."""
    stub = HealthStub(coordinator.channel)
    for service in ("", *(service_name(name) for name in (*DOMAINS, "processing"))):
        assert (await stub.Check(HealthCheckRequest(service=service))).status == HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(HealthCheckRequest(service="none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_coordinator_whose_domain_is_down_does_not_serve(tmp_path):
    """NOT_SERVING while the domain is away, SERVING once it is back; a step waits until its timeout."""
    address = f"unix:{tmp_path}/postprocessing.sock"
    async with serving(tmp_path, postprocessing_address=address) as served:
        health = HealthStub(served.channel)
        request = HealthCheckRequest(service=service_name("processing"))
        watch = aiter(health.Watch(request))
        assert (await anext(watch)).status == HealthCheckResponse.NOT_SERVING
        await served.put("greet", echo(retry={"max_attempts": 2, "initial_delay": "0.01s"}, timeout="1s"))
        session = (await served.execute("greet")).session
        retries = [event.failure.reason_name for event in await served.events(session.session_id)]
        assert (session.state, reasons(session)) == (pb.SESSION_STATE_FAILED, ["STEP_FAILED", "DOMAIN_UNAVAILABLE"])
        assert session.failure.cause.status_code == Code.UNAVAILABLE
        assert retries.count("DOMAIN_UNAVAILABLE") > 2
        assert session.failure.cause.metadata["address"] == "unix:postprocessing.sock"
        listed = await served.stub.GetProcessingDomains(pb.GetProcessingDomainsRequest())
        (domain,) = [domain for domain in listed.domains if domain.domain == "postprocessing"]
        assert (domain.domain_health, domain.address) == (pb.DOMAIN_HEALTH_UNREACHABLE, address)
        settings = {"only": "postprocessing", "listener": ListenerSettings(address)}
        async with serving(tmp_path / "domain", **settings):
            assert (await anext(watch)).status == HealthCheckResponse.SERVING
            assert (await served.execute("greet")).session.state == pb.SESSION_STATE_SUCCEEDED
        assert (await anext(watch)).status == HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services(coordinator, version):
    """The four services of the contract and health, in both versions of the protocol."""
    call = coordinator.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(iter([ServerReflectionRequest(list_services="")]))
    (reply,) = [reply async for reply in call]
    names = {service.name for service in reply.list_services_response.service}

    assert {service_name(name) for name in (*DOMAINS, "processing")} <= names
    assert "grpc.health.v1.Health" in names
