"""A direct call shows its handler what a channel shows it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.model.v1 import model_pb2 as pb
from coordinator.model.v1.model_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server

from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.errors import CoordinatorError, not_found
from processing_service.wire.inprocess.direct import DirectMethod

GET_MODEL = "/coordinator.model.v1.ModelService/GetModel"
CALL = CallContext("s", "a", 2, "s/a#2", tenant="t", deadline=1e12)


class Models(ModelServiceServicer):
    """Notes what it sees; does what the model_id says."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.cancelled = False

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        self.seen.append((request, current(), dict(context.invocation_metadata()), context.time_remaining()))
        if request.model_id == "none":
            raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", "none")
        if request.model_id == "broken":
            raise ValueError("/secret")
        if request.model_id == "slow":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return pb.GetModelResponse(model_versions=[request.model_id])


@pytest.fixture
def models() -> Models:
    return Models()


def direct(models: Models, limit: int = 1 << 20) -> DirectMethod:
    server = InProcessServer()
    add_ModelServiceServicer_to_server(models, server)
    return InProcessChannel(server, message_limit=limit).direct(GET_MODEL)


async def test_the_handler_sees_request_context_and_metadata(models: Models) -> None:
    """The request is a copy; the caller's own context is there again afterwards."""
    request = pb.GetModelRequest(model_id="m")
    before = current()
    reply = pb.GetModelResponse.FromString(await direct(models)(request, CALL))
    ((seen, call, metadata, remaining),) = models.seen

    assert reply.model_versions == ["m"]
    assert (seen, seen is request, call) == (request, False, CALL)
    assert metadata["coordinator-idempotency-key"] == "s/a#2"
    assert remaining > 0
    assert current() is before


@pytest.mark.parametrize(("model_id", "reason"), [("none", "MODEL_NOT_FOUND"), ("broken", "INTERNAL")])
async def test_errors_come_as_they_were_raised(models: Models, model_id: str, reason: str) -> None:
    """What nobody expected is INTERNAL, without its text."""
    with pytest.raises(CoordinatorError) as caught:
        await direct(models)(pb.GetModelRequest(model_id=model_id), CALL)
    assert caught.value.reason_name == reason
    assert "/secret" not in caught.value.message


async def test_cancelling_the_caller_cancels_the_handler(models: Models) -> None:
    """They are one task."""
    task = asyncio.ensure_future(direct(models)(pb.GetModelRequest(model_id="slow"), CALL))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert models.cancelled


async def test_messages_have_the_limit_of_the_channel(models: Models) -> None:
    """PAYLOAD_TOO_LARGE names both sizes; the handler is not called."""
    with pytest.raises(CoordinatorError) as caught:
        await direct(models, limit=10)(pb.GetModelRequest(model_id="m" * 20), CALL)
    assert caught.value.reason_name == "PAYLOAD_TOO_LARGE"
    assert caught.value.metadata == {"size_bytes": "22", "limit_bytes": "10"}
    assert models.seen == []


def test_a_method_that_nobody_serves_is_told_when_it_is_opened() -> None:
    """Not at the first call."""
    with pytest.raises(LookupError):
        InProcessChannel(InProcessServer()).direct(GET_MODEL)
