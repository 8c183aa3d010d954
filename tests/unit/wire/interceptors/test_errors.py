"""Errors on their way over the wire and back."""

import asyncio

import grpc
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1 import processing_pb2_grpc as rpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from processing_service.wire.errors import (
    Code,
    CoordinatorError,
    Unavailable,
    Violation,
    invalid,
    not_found,
    reason_name_of,
    reason_of,
)
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.interceptors.errors import DETAILS, PUSHBACK, from_rpc_error
from processing_service.wire.status import LONGEST_DELAY, STATUS_LIMIT, to_status
from processing_service.wire.telemetry.hooks import Telemetry

REASONS = [value for value in ErrorReason.values() if value != ErrorReason.ERROR_REASON_UNSPECIFIED]


class Failing(rpc.ProcessingServiceServicer):
    """Raises what the test has put into `error`."""

    error: BaseException

    async def GetProcessingWorkflow(self, request, context):
        raise self.error


@pytest.fixture
async def failing():
    """A real server, and a call to it that gives the AioRpcError for an exception of its handler."""
    servicer = Failing()
    server = grpc.aio.server(interceptors=(EdgeInterceptor(Edge(Telemetry())),), options=(("grpc.so_reuseport", 0),))
    rpc.add_ProcessingServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = rpc.ProcessingServiceStub(channel)

        async def call(error):
            servicer.error = error
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(), timeout=20)
            return raised.value

        yield call
    await server.stop(0)


def facts(error):
    return (error.code, error.reason, error.reason_name, error.message, error.metadata, error.violations)


async def test_every_reason_comes_back(failing):
    """Each reason of the contract is the same error on the other side."""
    for number, reason in enumerate(REASONS):
        code = Code(number % 16 + 1)
        sent = CoordinatorError(
            code,
            reason,
            f"what happened, where, and what to do about {reason}",
            metadata={"resource_type": "workflow", "resource_name": "read-text", "state": "RUNNING"},
            violations=[Violation("steps[2].operation", "is not known", "inference.post_inference_execute")],
            retry_delay=1.5,
        )

        got = from_rpc_error(await failing(sent))

        assert facts(got) == facts(sent)
        assert got.retry_delay == 1.5
        assert isinstance(got, Unavailable) is (code is Code.UNAVAILABLE)


def test_there_are_reasons():
    """Names and values of reasons lead to each other."""
    assert len(REASONS) > 50
    assert [reason_of(reason_name_of(reason)) for reason in REASONS] == REASONS


async def test_standard_details(failing):
    """A foreign client finds the details of google.rpc that it knows."""
    error = await failing(not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", "detecter", ["detector"]))
    status = rpc_status.from_call(error)
    info, resource = error_details_pb2.ErrorInfo(), error_details_pb2.ResourceInfo()

    assert status.code == code_pb2.NOT_FOUND
    assert status.message == "there is no model 'detecter'; did you mean 'detector'?"
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata["nearest"]) == (
        "MODEL_NOT_FOUND",
        "processing.coordinator",
        "detector",
    )
    assert status.details[1].Unpack(resource)
    assert (resource.resource_type, resource.resource_name) == ("model", "detecter")


async def test_field_violations(failing):
    """BadRequest names the field in proto names and says the nearest right one."""
    error = await failing(invalid(ErrorReason.ERROR_REASON_FIELD_UNKNOWN, "model_idd", "is no field", "model_id"))
    request = error_details_pb2.BadRequest()

    assert rpc_status.from_call(error).details[1].Unpack(request)
    assert request.field_violations[0].field == "model_idd"
    assert request.field_violations[0].description == "is no field; did you mean 'model_id'?"
    assert from_rpc_error(error).violations == (Violation("model_idd", "is no field", "model_id"),)


async def test_precondition(failing):
    """FAILED_PRECONDITION carries the precondition that failed."""
    sent = CoordinatorError(
        Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_MODEL_IN_USE, "held", metadata={"resource_name": "detector"}
    )
    failure = error_details_pb2.PreconditionFailure()

    assert rpc_status.from_call(await failing(sent)).details[1].Unpack(failure)
    assert (failure.violations[0].type, failure.violations[0].subject) == ("MODEL_IN_USE", "detector")


async def test_retry_delay_is_a_trailer_too(failing):
    """RetryInfo comes with the trailer that the retry policies of gRPC channels obey."""
    error = await failing(Unavailable(ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "later", retry_delay=0.25))

    assert error.trailing_metadata()[PUSHBACK] == "250"
    assert from_rpc_error(error).retry_delay == 0.25


async def test_details_stay_small(failing):
    """However much an error says, its status stays below 4 KB; what it said first is kept."""
    sent = CoordinatorError(
        Code.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_WORKFLOW_INVALID,
        "ä" * 5000,
        metadata={f"key{n}": "v" * 5000 for n in range(50)},
        violations=[Violation(f"steps[{n}]", "x" * 5000, "y") for n in range(64)],
    )

    error = await failing(sent)
    got = from_rpc_error(error)

    assert len(error.trailing_metadata()[DETAILS]) <= STATUS_LIMIT
    assert got.reason == sent.reason
    assert got.message.startswith("ää")
    many = [Violation(f"steps[{n}]", "is not known", "y") for n in range(64)]
    short = CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_WORKFLOW_INVALID, "m", violations=many)
    kept = from_rpc_error(await failing(short)).violations
    assert 30 < len(kept) < 64
    assert kept == tuple(many[: len(kept)])


async def test_unexpected_exception(failing, caplog):
    """An exception that nobody expected is INTERNAL and shows its type alone; the log has all of it."""
    error = from_rpc_error(await failing(RuntimeError("/srv/models/secret")))

    assert (error.code, error.reason) == (Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL)
    assert "RuntimeError" in error.message
    assert "secret" not in error.message
    assert "/srv/models/secret" in caplog.text


async def test_cancelled_inside(failing):
    """A CancelledError of the handler's own work is not a cancelled call: the caller may try again."""
    error = from_rpc_error(await failing(asyncio.CancelledError()))

    assert (error.code, error.reason) == (Code.ABORTED, ErrorReason.ERROR_REASON_CANCELLED)


async def test_not_implemented(failing):
    """An RPC that is not served yet says so."""
    error = from_rpc_error(await failing(NotImplementedError()))

    assert (error.code, error.reason) == (Code.UNIMPLEMENTED, ErrorReason.ERROR_REASON_NOT_IMPLEMENTED)


async def test_downstream_error_with_details(failing):
    """The status of a call that the handler made goes on as it was."""
    sent = to_status(invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, "inputs[x]", "is float64"))
    trailers = grpc.aio.Metadata((DETAILS, sent.SerializeToString()), (PUSHBACK, "700"))
    error = await failing(
        grpc.aio.AioRpcError(grpc.StatusCode.INVALID_ARGUMENT, grpc.aio.Metadata(), trailers, sent.message)
    )

    assert rpc_status.from_call(error) == sent
    assert error.trailing_metadata()[PUSHBACK] == "700"


async def test_downstream_error_without_details(failing):
    """A bare status of a call that the handler made gets a reason, and its code stays."""
    error = await failing(
        grpc.aio.AioRpcError(grpc.StatusCode.DATA_LOSS, grpc.aio.Metadata(), grpc.aio.Metadata(), "half a tensor")
    )
    got = from_rpc_error(error)

    assert (got.code, got.reason, got.reason_name) == (
        Code.DATA_LOSS,
        ErrorReason.ERROR_REASON_FOREIGN,
        "DATA_LOSS",
    )
    assert got.message == "half a tensor"


def rpc_error(code, text="", trailers=()):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), text)


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        pytest.param("UNAVAILABLE", "failed to connect to ipv4:10.0.0.1:1", "DOMAIN_UNAVAILABLE", id="unreachable"),
        pytest.param("DEADLINE_EXCEEDED", "Deadline Exceeded", "DEADLINE_EXCEEDED", id="late"),
        pytest.param("CANCELLED", "", "CANCELLED", id="cancelled"),
        pytest.param("UNIMPLEMENTED", "Method not found!", "NOT_IMPLEMENTED", id="unimplemented"),
        pytest.param("UNAUTHENTICATED", "who?", "UNAUTHENTICATED", id="unauthenticated"),
        pytest.param("PERMISSION_DENIED", "no", "PERMISSION_DENIED", id="denied"),
        pytest.param("RESOURCE_EXHAUSTED", "CLIENT: larger than max (9 vs. 8)", "PAYLOAD_TOO_LARGE", id="large"),
        pytest.param("RESOURCE_EXHAUSTED", "quota", "FOREIGN", id="quota"),
        pytest.param("INTERNAL", "oops", "FOREIGN", id="internal"),
    ],
)
def test_reason_by_code(code, text, reason):
    """A status without details gets the reason that its code means."""
    got = from_rpc_error(rpc_error(grpc.StatusCode[code], text), "the inference domain")

    assert got.code.name == code
    assert reason_name_of(got.reason) == reason
    assert "10.0.0.1" not in got.message
    if code == "UNAVAILABLE":
        assert got.message == "the inference domain cannot be reached; see that it serves and that its address is right"


def test_words_of_a_peer_are_kept():
    """What a service itself says with UNAVAILABLE is passed on; what the transport says is not."""
    assert from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "the model warms up")).message == "the model warms up"


def test_foreign_reason():
    """A reason of somebody else's list is FOREIGN, with its name and domain."""
    status = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message="cold")
    info = error_details_pb2.ErrorInfo(reason="GPU_COLD", domain="gpu.example", metadata={"device": "0"})
    status.details.add().Pack(info)
    error = rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "cold", ((DETAILS, status.SerializeToString()),))

    got = from_rpc_error(error)

    assert (got.reason, got.reason_name) == (ErrorReason.ERROR_REASON_FOREIGN, "GPU_COLD")
    assert got.metadata == {"device": "0", "reason_domain": "gpu.example"}


async def test_foreign_reason_goes_on(failing):
    """A foreign reason keeps its name over a further hop."""
    sent = CoordinatorError(Code.ABORTED, ErrorReason.ERROR_REASON_FOREIGN, "cold", reason_name="GPU_COLD")

    got = from_rpc_error(await failing(sent))

    assert (got.reason, got.reason_name, got.metadata) == (ErrorReason.ERROR_REASON_FOREIGN, "GPU_COLD", {})


@pytest.mark.parametrize(("text", "delay"), [("700", 0.7), ("-1", None), ("soon", None), ("", None)])
def test_pushback_alone(text, delay):
    """The pushback trailer of a server that sends no RetryInfo is a delay, if it is a number of milliseconds."""
    assert from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "", ((PUSHBACK, text),))).retry_delay == delay


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"", b"plain words"])
def test_damaged_details(data):
    """Details that cannot be read are as good as none."""
    got = from_rpc_error(rpc_error(grpc.StatusCode.NOT_FOUND, "gone", ((DETAILS, data),)))

    assert (got.code, got.reason, got.message) == (Code.NOT_FOUND, ErrorReason.ERROR_REASON_FOREIGN, "gone")


@pytest.mark.parametrize("reason", ["BUSY", ""])
@pytest.mark.parametrize(("seconds", "delay"), [(-5, 0.0), (90, 90.0), (1 << 62, LONGEST_DELAY)])
def test_a_delay_that_another_process_asks_for_is_bounded(seconds, delay, reason):
    """Whatever stands in RetryInfo, with an ErrorInfo beside it or alone, the caller can go on with it."""
    status = status_pb2.Status(code=Code.UNAVAILABLE, message="later")
    if reason:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="other"))
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)))
    trailers = ((DETAILS, status.SerializeToString()),)

    assert from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, "later", trailers)).retry_delay == delay
