"""What a call computes, as a digest: what has to make another one of it, and what must not."""

from __future__ import annotations

import asyncio

import pytest
from coordinator.inference.v1.inference_pb2 import PostInferenceExecuteRequest
from coordinator.payload.v1.payload_pb2 import DataType, Tensor
from coordinator.postprocessing.v1.postprocessing_pb2 import EchoOperation, PostPostprocessingExecuteRequest

from instructors.computations import computation
from instructors.domains import CONTRACT, Domain, Domains
from instructors.plans import Plans
from processing_service.engine.definitions import parse_definition

RUN, ECHO = "inference.post_inference_execute", "postprocessing.post_postprocessing_execute"


@pytest.fixture
def step():
    """Steps of an operation."""
    domains = Domains([Domain(name, CONTRACT[name], None) for name in CONTRACT])
    plans = Plans(domains)

    def make(operation=RUN, parameters="{model_id: m}", parts=""):
        source = (
            f"{{workflow_id: wf, steps: [{{step_id: s, operation: {operation}, parameters: {parameters}{parts}}}]}}"
        )
        return plans.of(parse_definition(source, domains)[0]).steps[0]

    return make


def request(model_id="m", *names, **fields):
    inputs = {name: Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"x") for name in names}
    return PostInferenceExecuteRequest(model_id=model_id, inputs=inputs, **fields)


async def identity(step, message, model="1@d"):
    return (await computation(step, message, model)).identity


async def test_equal_requests_are_one_computation(step):
    """In whichever order a map was filled; whose step it is, and how it is tried again, is no input."""
    first, second = request("m", "a", "b"), request("m", "b", "a")
    other = step(parts=", retry: {max_attempts: 7}, timeout: 9s, optional: true")
    assert await identity(step(), first) == await identity(other, second)
    assert len(await identity(step(), first)) == 32


async def test_what_makes_another_computation(step):
    """Operation, any field of the request, version and digest of the model."""
    found = {
        await identity(step(), request()),
        await identity(step(), request("n")),
        await identity(step(), request("m", "a")),
        await identity(step(), request(model_version="1")),
        await identity(step(), request(output_names=["y"])),
        await identity(step(), request(), "2@d"),
        await identity(step(), request(), "1@e"),
        await identity(step(), request(), ""),
        await identity(step("inference.post_inference_load"), request()),
        await identity(step(ECHO, "{echo: {text: hi}}"), request()),
    }
    assert len(found) == 10


async def test_parts_do_not_run_into_each_other(step):
    """What is moved from one part to the next is another computation."""
    echo = step(ECHO, "{echo: {text: hi}}")
    message = PostPostprocessingExecuteRequest(echo=EchoOperation(text="hi"))
    data = message.SerializeToString()
    shorter = PostPostprocessingExecuteRequest.FromString(b"")
    assert await identity(echo, message, "") != await identity(echo, shorter, data.decode("latin-1"))


async def test_a_model_that_cannot_be_told_leaves_no_identity(step):
    """Nothing is taken, and nothing is left to be taken."""
    assert (await computation(step(), request(), None)).identity == b""


async def test_a_large_request_does_not_hold_the_loop(step):
    """Its digest is the same, and others have their turn while it is made."""
    large = request(output_names=["x" * (2 << 20)])
    task = asyncio.ensure_future(identity(step(), large))
    await asyncio.sleep(0)
    assert not task.done()
    assert await task == await identity(step(), large)
