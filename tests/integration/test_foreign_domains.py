"""Domains that are described by reflection: away at the start, away over a restart, and asking to be waited for."""

from contextlib import asynccontextmanager

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from instructors.foreign import ForeignDomain
from processing_service.server.hosting import service_name
from processing_service.wire.channels import ChannelSettings
from processing_service.wire.errors import Code
from tests.coordinators import outputs_of, reasons, refused, serving
from tests.greetings import reflection_v1

GREET = {"step_id": "greet", "operation": "greetings.greet", "parameters": {"person_name": "Ada"}}
SAID = {"text": {"value": "${steps.greet.greeting}"}}


@pytest.fixture
def address(tmp_path):
    """Where the foreign service is, when it is there."""
    return f"unix:{tmp_path}/greetings.sock"


@pytest.fixture
def start(tmp_path, address):
    """Starts a coordinator that knows the domain by reflection alone."""
    foreign = ForeignDomain("greetings", ChannelSettings(address))
    return lambda: serving(tmp_path, foreign_domains=(foreign,), drain_grace=0.1)


@asynccontextmanager
async def there(greeter, address):
    """The foreign service serves for as long as the context lasts."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((greeter.handler(), reflection_v1(greeter.service.file.pool)))
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


async def until_serving(served):
    """Waits until the coordinator says that all its domains are well."""
    request = HealthCheckRequest(service=service_name("processing"))
    async for reply in HealthStub(served.channel).Watch(request):
        if reply.status == HealthCheckResponse.SERVING:
            return


async def listed(served):
    """The domain as GetProcessingDomains shows it."""
    reply = await served.stub.GetProcessingDomains(pb.GetProcessingDomainsRequest())
    (domain,) = [domain for domain in reply.domains if domain.domain == "greetings"]
    return domain


async def test_a_coordinator_starts_without_a_domain_and_learns_of_it_later(start, greeter, address):
    """Its operations are UNAVAILABLE until it is there; then they are there too, without a restart."""
    async with start() as served:
        before = await listed(served)
        put = await refused(served.put("greet", GREET, outputs=SAID))
        command = pb.PostCommandExecuteRequest(operation="greetings.greet")
        called = await refused(served.stub.PostCommandExecute(command))
        async with there(greeter, address):
            await until_serving(served)
            await served.put("greet", GREET, outputs=SAID)
            session = (await served.execute("greet")).session
            after = await listed(served)

    assert (before.domain_health, list(before.operations)) == (pb.DOMAIN_HEALTH_UNREACHABLE, [])
    for error in (put, called):
        assert (error.code, error.reason_name) == (Code.UNAVAILABLE, "DOMAIN_UNAVAILABLE")
        assert error.metadata == {"domain": "greetings", "address": "unix:greetings.sock"}
        assert "the operations of 'greetings' are not known yet" in error.message
    assert outputs_of(session) == {"text": "Hello Ada"}
    assert len(after.operations) == 3


@pytest.mark.slow
async def test_a_session_waits_over_a_restart_for_a_domain_that_is_away(start, greeter, address):
    """It is not given up because its operations are not known yet; one whose budget ends meanwhile fails."""
    greeter.go.clear()
    async with start() as served, there(greeter, address):
        await until_serving(served)
        await served.put("greet", GREET, outputs=SAID)
        for session_id, seconds in (("patient", 60), ("hasty", 4)):
            timeout = Duration(seconds=seconds)
            await served.execute("greet", session_id=session_id, background=True, timeout=timeout)
        await greeter.asked(2)
    greeter.go.set()
    async with start() as served:
        hasty = await served.ended("hasty")
        waiting = await served.session("patient")
        async with there(greeter, address):
            patient = await served.ended("patient")

    assert (hasty.state, reasons(hasty)) == (pb.SESSION_STATE_FAILED, ["DOMAIN_UNAVAILABLE"])
    assert waiting.state == pb.SESSION_STATE_RUNNING
    assert (patient.state, outputs_of(patient)) == (pb.SESSION_STATE_SUCCEEDED, {"text": "Hello Ada"})


def asking_to_wait(seconds):
    """A status without an ErrorInfo."""
    status = status_pb2.Status(code=Code.UNAVAILABLE, message="warming up")
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)))
    return status


@pytest.mark.parametrize(("seconds", "tries"), [(0, 2), (30, 1)], ids=["short enough", "too long"])
async def test_a_domain_that_asks_to_be_waited_for_is_obeyed_within_the_budget(start, greeter, address, seconds, tries):
    """By RetryInfo alone; a wait that is longer than what is left of the budget fails the step with both numbers."""
    greeter.statuses = [asking_to_wait(seconds)]
    async with there(greeter, address), start() as served:
        await served.put("greet", GREET, outputs=SAID)
        session = (await served.execute("greet", timeout=Duration(seconds=10))).session

    assert len(greeter.metadata) == tries
    if tries == 2:
        assert session.state == pb.SESSION_STATE_SUCCEEDED
        return
    assert reasons(session) == ["STEP_FAILED", "BUDGET_TOO_SHORT", "DOMAIN_UNAVAILABLE"]
    short = session.failure.cause
    assert (short.status_code, short.metadata["needed_seconds"]) == (Code.DEADLINE_EXCEEDED, "30")
    assert 9 < float(short.metadata["left_seconds"]) <= 10
    assert short.cause.message == "warming up"
