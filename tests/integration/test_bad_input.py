"""What callers send by mistake or in anger: a clear status with details, nothing stored, nothing lost."""

import asyncio
import hashlib
import struct
import zlib

import grpc
import numpy as np
import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import DataType, Datum, Tensor
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.wire.errors import Code
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.coordinators import ECHO, echo, execution, paths, reasons, refused

INFER = "inference.post_inference_execute"
MIB = 1 << 20


def png(width, height, rows=b""):
    """A PNG file that says it has this size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PAGE = png(4, 4, b"".join(b"\0" + bytes(12) for _ in range(4)))


@pytest.fixture
async def decoding(coordinator):
    """A workflow that decodes an image, and one that runs a model of inputs [n, 3]."""
    await coordinator.put(
        "decode",
        {
            "step_id": "page",
            "operation": ECHO,
            "parameters": {"decode": {"image_bytes": "${parameters.page}"}},
        },
        parameters={"page": {"value_type": "BYTES"}},
        outputs={"width": {"value": "${steps.page.decode.width}"}},
    )
    await coordinator.put(
        "double",
        {
            "step_id": "run",
            "operation": INFER,
            "parameters": {"model_id": "${parameters.model}", "inputs": {"x": "${parameters.x}"}},
        },
        parameters={
            "x": {"value_type": "TENSOR"},
            "model": {"value_type": "STRING", "default_value": "doubling"},
        },
        outputs={"y": {"value": "${steps.run.outputs.y}"}},
    )
    return coordinator


async def decode(coordinator, page):
    """A session over an image."""
    return (await coordinator.execute("decode", payloads={"page": Datum(inline_bytes=page)})).session


async def double(coordinator, tensor, **parameters):
    """A session over a tensor."""
    return (await coordinator.execute("double", parameters, payloads={"x": Datum(tensor=tensor)})).session


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (PAGE[:-20], "IMAGE_INVALID"),
        (PAGE[:30], "IMAGE_INVALID"),
        (b"", "FIELD_REQUIRED"),
        (b"%PDF-1.7 not an image at all", "IMAGE_INVALID"),
        (png(31_623, 31_623), "IMAGE_TOO_LARGE"),
        (png(2**31 - 1, 2**31 - 1), "IMAGE_TOO_LARGE"),
        (png(0, 5), "IMAGE_INVALID"),
    ],
    ids=["cut", "header alone", "empty", "no image", "10^9 pixels", "most pixels", "no pixels"],
)
async def test_a_bad_image_fails_its_step_with_the_reason(decoding, page, reason):
    """The session is a reply; its cause names the field, and the next page is read as if nothing had been."""
    session = await decode(decoding, page)
    good = await decode(decoding, PAGE)

    assert session.state == pb.SESSION_STATE_FAILED
    assert reasons(session) == ["STEP_FAILED", reason]
    assert session.failure.cause.status_code == Code.INVALID_ARGUMENT
    assert session.failure.cause.field_violations[0].field_path == "decode.image_bytes"
    assert (good.state, good.outputs["width"]) == (pb.SESSION_STATE_SUCCEEDED, 4)


ONES = from_array(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    "tensor",
    [
        from_array(np.ones((2, 3), np.float64)),
        from_array(np.ones((2, 4), np.float32)),
        from_array(np.ones(3, np.float32)),
        Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[2, 3], data=bytes(23)),
        Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[1 << 40, 3], data=bytes(24)),
        Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[-2, 3], data=bytes(24)),
        Tensor(data_type=DataType.DATA_TYPE_UNSPECIFIED, shape=[2, 3], data=bytes(24)),
        Tensor(data_type=99, shape=[2, 3], data=bytes(24)),
    ],
    ids=["dtype", "shape", "axes", "too few bytes", "size", "negative", "no type", "unknown type"],
)
async def test_a_bad_tensor_fails_its_step_with_the_reason(decoding, tmp_path, tensor):
    """TENSOR_INVALID before the model sees it; the next call runs."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    session = await double(decoding, tensor)
    good = await double(decoding, ONES)

    assert session.state == pb.SESSION_STATE_FAILED
    assert reasons(session) == ["STEP_FAILED", "TENSOR_INVALID"]
    assert session.failure.cause.field_violations[0].field_path.startswith("inputs[x]")
    assert good.state == pb.SESSION_STATE_SUCCEEDED


async def test_an_unknown_model_is_answered_with_the_nearest(decoding, tmp_path):
    """In the cause of a step, and from the domain itself."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    session = await double(decoding, ONES, model="doublin")
    request = inference_pb2.PostInferenceExecuteRequest(model_id="doublin", inputs={"x": ONES})
    error = await refused(decoding.inference.PostInferenceExecute(request))

    assert reasons(session) == ["STEP_FAILED", "MODEL_NOT_FOUND"]
    assert session.failure.cause.metadata["nearest"] == error.metadata["nearest"] == "doubling"
    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


OUTSIDE = onnx.model(
    [onnx.node("Add", ["x", "w"], ["y"])],
    [onnx.tensor_info("x", ("n", 3))],
    [onnx.tensor_info("y", ("n", 3))],
    [onnx.external("w", [3], "../../../../../../etc/passwd")],
)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", onnx.doubling()[:-40], OUTSIDE],
    ids=["empty", "no model", "cut", "outside"],
)
async def test_a_model_file_that_cannot_be_used_is_refused(decoding, tmp_path, content):
    """MODEL_INVALID without a path of the server; the model beside it runs."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    onnx.put(tmp_path / "models", "broken", content)
    session = await double(decoding, ONES, model="broken")
    good = await double(decoding, ONES)

    assert reasons(session) == ["STEP_FAILED", "MODEL_INVALID"]
    assert session.failure.cause.status_code == Code.FAILED_PRECONDITION
    assert str(tmp_path) not in str(session)
    assert good.state == pb.SESSION_STATE_SUCCEEDED


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def steps(*lines):
    """YAML of a definition with these steps."""
    return "workflow_id: bad\nsteps:\n" + "".join(f"- {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("source", "path", "text"),
    [
        (
            steps(
                f'{{step_id: a, operation: {ECHO}, parameters: {{echo: {{text: "${{steps.b.echo.text}}"}}}}}}',
                f'{{step_id: b, operation: {ECHO}, parameters: {{echo: {{text: "${{steps.a.echo.text}}"}}}}}}',
            ),
            "steps[0]",
            "a -> b -> a",
        ),
        (steps(f"{{step_id: a, operation: {ECHO}, parameters: {{echo: {{value: words}}}}}}"), "steps[0]", "3:"),
        (steps(f"{{step_id: a, operation: {ECHO}, parameters: {{ehco: {{text: x}}}}}}"), "steps[0].parameters", "echo"),
        (steps("{step_id: a, operation: postprocessing.post_postprocesing_execute}"), "steps[0].operation", ECHO),
        (steps("{step_id: a, operation: modle.get_model}"), "steps[0].operation", "model"),
        (BOMB, "", ""),
        ("x: " + "y" * (2 * MIB), "source", ""),
        ("workflow_id: [unclosed", "", "line"),
        ("\x00\x01", "", ""),
        ("", "", ""),
        ("[]", "", ""),
        ("workflow_id: a\nworkflow_id: b", "", ""),
    ],
    ids=[
        "cycle",
        "type mismatch",
        "field",
        "operation",
        "domain",
        "anchor bomb",
        "2 MiB",
        "no YAML",
        "control characters",
        "empty",
        "a list",
        "a key twice",
    ],
)
async def test_a_bad_definition_is_refused_and_nothing_is_stored(coordinator, source, path, text):
    """WORKFLOW_INVALID, within a second, with path or line of each fault and the nearest right name."""
    put = coordinator.stub.PutProcessingWorkflow
    error = await refused(put(pb.PutProcessingWorkflowRequest(source=source), timeout=5))
    told = [f"{violation.field_path}: {violation.description} {violation.suggestion}" for violation in error.violations]
    listed = await coordinator.stub.GetProcessingWorkflows(pb.GetProcessingWorkflowsRequest())

    assert error.code is Code.INVALID_ARGUMENT
    assert error.reason_name == "WORKFLOW_INVALID"
    assert any(path in line and text in line for line in told), told
    assert not listed.workflows


async def test_a_definition_of_ten_megabytes_is_refused_as_a_message(coordinator):
    """It is so far above the limit of a message that gRPC does not read it; the connection goes on."""
    source = "# " + "x" * (10 * MIB)
    error = await refused(coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source)))

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    await coordinator.stub.GetProcessingContract(pb.GetProcessingContractRequest())


async def test_a_message_above_the_limit_starts_nothing(decoding):
    """RESOURCE_EXHAUSTED names both sizes; the same bytes go in as an artifact."""
    page = Datum(inline_bytes=bytes(5 * MIB))
    error = await refused(decoding.execute("decode", payloads={"page": page}))

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    assert error.metadata["limit_bytes"] == str(4 * MIB)
    assert int(error.metadata["size_bytes"]) > 5 * MIB
    assert "artifact" in error.message
    assert await decoding.sessions() == []


async def test_a_chunk_above_the_limit_ends_its_upload(coordinator):
    """As a request of its own would; nothing of it is stored."""
    chunks = [pb.PostProcessingArtifactRequest(data=bytes(size)) for size in (MIB, 5 * MIB)]
    error = await refused(coordinator.stub.PostProcessingArtifact(iter(chunks)))
    request = pb.GetProcessingArtifactRequest(digest=hashlib.sha256(bytes(6 * MIB)).hexdigest())

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    assert error.metadata["limit_bytes"] == str(4 * MIB)
    assert (await refused(coordinator.stub.GetProcessingArtifact(request))).reason_name == "ARTIFACT_NOT_FOUND"


@pytest.mark.parametrize(
    ("parameters", "reason", "path", "near"),
    [
        ({"txt": "x"}, "FIELD_UNKNOWN", "parameters.txt", "text"),
        ({"text": 5}, "FIELD_INVALID", "parameters.text", '"5"'),
        ({"text": None}, "FIELD_REQUIRED", "parameters.text", ""),
        ({}, "FIELD_REQUIRED", "parameters.text", ""),
        ({"text": "x", "Text": "y"}, "FIELD_CONFLICT", "parameters.text", ""),
        ({"text": "x", "number": 1.5}, "FIELD_INVALID", "parameters.number", ""),
        ({"text": "x", "number": float("nan")}, "FIELD_INVALID", "parameters.number", ""),
        ({"text": "x", "number": "99999999999999999999"}, "FIELD_INVALID", "parameters.number", ""),
        ({"text": "x", "sure": "maybe"}, "FIELD_INVALID", "parameters.sure", ""),
    ],
    ids=["unknown", "type", "null", "absent", "twice", "fraction", "NaN", "beyond 64 bits", "no boolean"],
)
async def test_a_bad_parameter_is_named(coordinator, parameters, reason, path, near):
    """INVALID_ARGUMENT with path and nearest name; no session is made."""
    declared = {
        "text": {"value_type": "STRING"},
        "number": {"value_type": "INTEGER", "optional": True},
        "sure": {"value_type": "BOOLEAN", "optional": True},
    }
    await coordinator.put("typed", echo(text="${parameters.text}"), parameters=declared)
    error = await refused(coordinator.execute("typed", parameters))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, reason)
    assert path in [found.lower() for found in paths(error)]  # a map has no order: either spelling may be the second
    assert near in [violation.suggestion for violation in error.violations]
    assert await coordinator.sessions() == []


async def test_an_expression_that_takes_too_long_fails_its_step(coordinator):
    """It is not begun, and the step says the limit and what to do; with less the same workflow runs."""
    await coordinator.put(
        "seek",
        echo(condition="parameters.numbers.all(n, n in parameters.numbers)"),
        parameters={"numbers": {"value_type": "INTEGER", "is_list": True}},
    )
    failed = (await coordinator.execute("seek", {"numbers": list(range(9000))})).session
    session = (await coordinator.execute("seek", {"numbers": list(range(100))})).session

    assert failed.state == pb.SESSION_STATE_FAILED
    assert reasons(failed)[-1] == "EXPRESSION_FAILED"
    assert "at most 4000000 are made for one expression" in failed.failure.message
    assert session.state == pb.SESSION_STATE_SUCCEEDED


async def test_parameters_nested_without_end_are_refused(coordinator):
    """A message deeper than any reader follows is INVALID_ARGUMENT, not a fault of the server."""
    await coordinator.put("greet", echo())
    nested = b""
    for _ in range(200):
        value = onnx.field(5, nested)
        nested = onnx.field(1, onnx.field(1, b"x") + onnx.field(2, value))
    method = coordinator.channel.unary_unary("/coordinator.processing.v1.ProcessingService/PostWorkflowExecute")
    error = await refused(method(onnx.field(1, b"greet") + onnx.field(5, nested)))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_INVALID")
    assert await coordinator.sessions() == []


async def test_an_attempt_that_is_no_number_is_refused(coordinator):
    """Metadata of ours with another meaning is METADATA_INVALID."""
    await coordinator.put("greet", echo())
    metadata = (("coordinator-attempt", "first"),)
    error = await refused(coordinator.stub.PostWorkflowExecute(execution("greet"), metadata=metadata))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "METADATA_INVALID")
    assert await coordinator.sessions() == []


async def test_a_body_that_is_no_message_is_refused(coordinator):
    """On every unary method of the service, in our words."""
    names = [method.name for method in pb.DESCRIPTOR.services_by_name["ProcessingService"].methods]
    for name in names:
        method = pb.DESCRIPTOR.services_by_name["ProcessingService"].methods_by_name[name]
        path = f"/coordinator.processing.v1.ProcessingService/{name}"
        if method.client_streaming:
            continue
        opened = (
            coordinator.channel.unary_stream(path) if method.server_streaming else coordinator.channel.unary_unary(path)
        )
        error = await refused(opened(b"\xff\xff\xff"))
        assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_INVALID"), name


async def test_many_bad_calls_do_not_disturb_a_good_one(decoding, tmp_path):
    """Sessions beside them end as they should, and their count is right."""
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    bad = [refused(decoding.execute("decode", {"nothing": number})) for number in range(40)]
    broken = [decode(decoding, b"no image") for _ in range(10)]
    good = [double(decoding, ONES) for _ in range(20)]
    errors, failed, ended = await asyncio.gather(asyncio.gather(*bad), asyncio.gather(*broken), asyncio.gather(*good))
    reply = await decoding.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest())

    assert {error.reason_name for error in errors} <= {"FIELD_UNKNOWN", "FIELD_REQUIRED"}
    assert {session.state for session in failed} == {pb.SESSION_STATE_FAILED}
    assert {session.state for session in ended} == {pb.SESSION_STATE_SUCCEEDED}
    assert reply.total_count == 30


async def test_an_unknown_service_and_method_are_unimplemented(coordinator):
    """As gRPC says it; the connection goes on."""
    for path in ("/coordinator.processing.v1.ProcessingService/GetNothing", "/none.Service/Get"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await coordinator.channel.unary_unary(path)(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
