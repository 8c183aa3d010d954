"""A question behind a cancel: whoever answers it has heard."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2

from instructors.cancel_proof import CancelProof
from processing_service.wire.channels import ChannelSettings, open_channel
from tests.misbehaving import Misbehaving, there


class Health:
    """Counts how often it was asked."""

    def __init__(self):
        self.asked = 0

    async def check(self, request, context):
        self.asked += 1
        return health_pb2.HealthCheckResponse()

    def handler(self):
        method = grpc.unary_unary_rpc_method_handler(
            self.check, health_pb2.HealthCheckRequest.FromString, health_pb2.HealthCheckResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})


@pytest.fixture
def address(tmp_path):
    return f"unix:{tmp_path}/domain.sock"


@asynccontextmanager
async def healthy(health, address):
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((health.handler(),))
    server.add_insecure_port(address)
    await server.start()
    yield
    await server.stop(0)


async def test_a_domain_that_knows_no_health_answers_too(address):
    """That it does not know the method is an answer."""
    async with there(Misbehaving(), address), open_channel(ChannelSettings(address)) as channel:
        assert await CancelProof(channel).heard()


async def test_a_domain_that_is_away_has_heard_nothing(address):
    """It is told at once."""
    async with open_channel(ChannelSettings(address)) as channel:
        assert not await CancelProof(channel).heard()


async def test_one_question_is_asked_for_all_that_is_cancelled_at_once(address):
    """And another for what is cancelled later."""
    health = Health()
    async with healthy(health, address), open_channel(ChannelSettings(address)) as channel:
        proof = CancelProof(channel)
        assert all(await asyncio.gather(*(proof.heard() for _ in range(50))))
        first = health.asked
        assert await proof.heard()

    assert (first, health.asked) == (1, 2)


async def test_one_who_leaves_takes_the_answer_from_nobody(address):
    """The question goes on for the others."""
    health = Health()
    async with healthy(health, address), open_channel(ChannelSettings(address)) as channel:
        proof = CancelProof(channel)
        leaving, staying = (asyncio.ensure_future(proof.heard()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()

        assert await staying
    assert leaving.cancelled()
