import asyncio

import grpc
import numpy as np
import pytest
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import (
    PostprocessingServiceStub,
    add_PostprocessingServiceServicer_to_server,
)

from processing_service.domains.postprocessing.servicer import PostprocessingServicer
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.interceptors.errors import from_rpc_error
from processing_service.wire.telemetry.hooks import Telemetry
from processing_service.wire.tensors import from_array, to_array

IMAGE = from_array(np.random.default_rng(8).integers(0, 255, (30, 40, 3), dtype=np.uint8))


@pytest.fixture
async def stub():
    server = grpc.aio.server(interceptors=[EdgeInterceptor(Edge(Telemetry()))])
    servicer = PostprocessingServicer(PostprocessingSettings(max_pixels=10_000))
    add_PostprocessingServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("localhost:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
        yield PostprocessingServiceStub(channel)
    await server.stop(None)
    servicer.close()


def execute(stub, **operation):
    return stub.PostPostprocessingExecute(pb.PostPostprocessingExecuteRequest(**operation))


async def refusal(call) -> CoordinatorError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_a_small_operation_is_answered(stub):
    """Echo gives back what it got, and says how long it took."""
    datum = Datum(inline_bytes=b"abc", media_type="text/plain")

    reply = await execute(stub, echo=pb.EchoOperation(text="hello", value=1.5, datum=datum))

    assert reply.WhichOneof("result") == "echo"
    assert (reply.echo.text, reply.echo.value, reply.echo.datum) == ("hello", 1.5, datum)
    assert reply.computing.ToNanoseconds() > 0


async def test_a_large_operation_is_answered(stub):
    """Encode and decode, in threads, give the image back."""
    encoded = await execute(stub, encode=pb.EncodeOperation(image=IMAGE))
    decoded = await execute(stub, decode=pb.DecodeOperation(image_bytes=encoded.encode.file.inline_bytes))

    assert np.array_equal(to_array(decoded.decode.image, "image"), to_array(IMAGE, "image"))


async def test_operations_run_beside_each_other(stub):
    """More calls than threads are all answered, each with its own result."""
    widths = range(10, 30)

    replies = await asyncio.gather(
        *(execute(stub, resize=pb.ResizeOperation(image=IMAGE, width=width)) for width in widths)
    )

    assert [reply.resize.image.shape[1] for reply in replies] == list(widths)


async def test_a_delay_does_not_hold_up_others_and_ends_with_its_call(stub):
    """While one echo waits for an hour others are answered; its cancel is immediate."""
    waiting = execute(stub, echo=pb.EchoOperation(delay={"seconds": 3600}))
    await execute(stub, echo=pb.EchoOperation(text="quick", delay={"nanos": 1000}))

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("delay", [{"seconds": 3601}, {"seconds": -1}])
async def test_a_delay_is_at_most_an_hour(stub, delay):
    """Longer and negative delays are refused."""
    error = await refusal(execute(stub, echo=pb.EchoOperation(delay=delay)))

    assert (error.code, error.violations[0].field_path) == (Code.INVALID_ARGUMENT, "echo.delay")


async def test_a_request_names_its_operation(stub):
    """Without one the answer lists those there are."""
    error = await refusal(execute(stub))

    assert (error.reason_name, error.violations[0].field_path) == ("FIELD_REQUIRED", "operation")
    assert "detect_regions" in error.message


async def test_errors_of_operations_reach_the_caller(stub):
    """An error raised in a thread crosses the wire with its reason and field."""
    error = await refusal(execute(stub, decode=pb.DecodeOperation(image_bytes=b"no image")))

    assert error.code == Code.INVALID_ARGUMENT
    assert error.reason_name == "IMAGE_INVALID"
    assert error.violations[0].field_path == "decode.image_bytes"


async def test_capabilities_are_listed(stub):
    """The operations, and the limits of this server."""
    reply = await stub.GetPostprocessingCapabilities(pb.GetPostprocessingCapabilitiesRequest())

    assert "ctc_decode" in [operation.name for operation in reply.operations]
    assert reply.max_pixels == 10_000


async def test_a_closed_servicer_takes_no_more_work():
    """After close, operations that need a thread are not begun."""
    servicer = PostprocessingServicer()
    servicer.close()

    with pytest.raises(RuntimeError):
        await servicer.PostPostprocessingExecute(
            pb.PostPostprocessingExecuteRequest(encode=pb.EncodeOperation(image=IMAGE)), None
        )
