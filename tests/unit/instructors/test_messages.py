import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import Artifact, DataType, Datum, Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2
from coordinator.processing.v1 import processing_pb2

from instructors.messages import STRUCT_LIMIT, build, separate, split
from processing_service.wire.errors import CoordinatorError

PIXEL = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"\x07")


def make(kind, values, payloads=None):
    message = kind()
    warnings = build(message, values, payloads or {})
    return message, warnings


def test_fields_are_set_by_name_and_data_by_path():
    """Readable values and data meet in one request; names of tensors may have dots; enums may be short."""
    request, warnings = make(
        inference_pb2.PostInferenceExecuteRequest,
        {"model_id": "a", "reductions": [{"output_name": "y", "reduction_kind": "argmax", "axis": -1.0}]},
        {"inputs.x.0": Datum(tensor=PIXEL), 'inputs["z"]': PIXEL},
    )
    assert request == inference_pb2.PostInferenceExecuteRequest(
        model_id="a",
        reductions=[inference_pb2.Reduction(output_name="y", reduction_kind="REDUCTION_KIND_ARGMAX", axis=-1)],
        inputs={"x.0": PIXEL, "z": PIXEL},
    )
    assert warnings == ()


def test_a_datum_gives_what_its_field_takes():
    """Bytes for a bytes field, itself for a Datum, a message for the bytes of one, elements of lists in order."""
    kind = postprocessing_pb2.PostPostprocessingExecuteRequest
    assert make(kind, {}, {"decode.image_bytes": Datum(inline_bytes=b"x")})[0].decode.image_bytes == b"x"
    datum = Datum(inline_bytes=b"x", media_type="image/png")
    assert make(kind, {}, {"echo.datum": datum})[0].echo.datum == datum
    region = postprocessing_pb2.Region(score=0.5)
    request, _ = make(
        kind, {}, {"crop.image": PIXEL, "crop.regions[0]": Datum(inline_bytes=region.SerializeToString())}
    )
    assert request.crop.regions[0] == region
    request, _ = make(kind, {}, {"select_crops.crops[0]": PIXEL, "select_crops.crops[1]": PIXEL})
    assert len(request.select_crops.crops) == 2


def test_legacy_spellings_are_resolved_with_a_warning():
    """idModel and ModelId still mean model_id, in paths too."""
    request, warnings = make(inference_pb2.PostInferenceExecuteRequest, {"idModel": "a"}, {"Inputs.x": PIXEL})
    assert request.model_id == "a"
    assert "x" in request.inputs
    assert warnings == ("idModel: a legacy spelling, write model_id",)


@pytest.mark.parametrize(
    ("values", "payloads", "reason", "text"),
    [
        ({"model_ib": "a"}, {}, "FIELD_UNKNOWN", "did you mean 'model_id'"),
        ({"model_id": "a", "ModelId": "a"}, {}, "FIELD_CONFLICT", "given twice"),
        ({"model_id": 3}, {}, "FIELD_INVALID", "model_id: must be text"),
        ({"output_names": "y"}, {}, "FIELD_INVALID", "output_names: must be a list"),
        ({"reductions": [{"reduction_kind": "argmx"}]}, {}, "FIELD_INVALID", "did you mean 'ARGMAX'"),
        ({"inputs": {"x": {"shape": [1]}}}, {"inputs.x": PIXEL}, "FIELD_CONFLICT", "inputs.x: given in parameters"),
        ({}, {"input.x": PIXEL}, "FIELD_UNKNOWN", "did you mean 'inputs'"),
        ({}, {"inputs.x": Datum(inline_bytes=b"\xff\xff")}, "FIELD_INVALID", "the bytes are not a"),
        ({}, {"model_id": Datum(inline_bytes=b"a")}, "FIELD_INVALID", "not a field for"),
        ({}, {"reductions[1].axis": PIXEL}, "FIELD_INVALID", "has 0 elements"),
        ({}, {"reductions": PIXEL}, "FIELD_INVALID", "is not a field path"),
        ({}, {"model_id.x": PIXEL}, "FIELD_INVALID", "has no fields"),
        ({}, {"[": PIXEL}, "FIELD_INVALID", "is not a field path"),
        ({}, {"": PIXEL}, "FIELD_INVALID", "is not a field path"),
        ({}, {"inputs.x": Datum()}, "FIELD_INVALID", "a datum with nothing in it"),
    ],
)
def test_what_does_not_fit_is_refused(values, payloads, reason, text):
    """Each fault names its path, and the nearest right name where there is one."""
    with pytest.raises(CoordinatorError) as caught:
        make(inference_pb2.PostInferenceExecuteRequest, values, payloads)
    assert caught.value.reason_name == reason
    assert text in caught.value.message


def test_python_values_are_separated():
    """Bytes and messages of a Python caller are moved out by path, whatever they stand in."""
    values = {"a": 1, "b": {"c": b"x", "d.e": PIXEL, "f": "y"}, "g": [PIXEL, PIXEL]}
    plain, leaves = separate(values)
    assert plain == {"a": 1, "b": {"f": "y"}, "g": []}
    assert leaves == {"b.c": b"x", 'b["d.e"]': PIXEL, "g[0]": PIXEL, "g[1]": PIXEL}


def test_a_reply_is_split_and_comes_together_again():
    """What split takes out by path, build puts in at the same path."""
    reply = inference_pb2.PostInferenceExecuteResponse(outputs={"a.b": PIXEL, "c": PIXEL}, model_version="1")
    reply.computing.FromMilliseconds(5)
    whole = inference_pb2.PostInferenceExecuteResponse.FromString(reply.SerializeToString())
    values, payloads = split(reply)
    assert dict(values) == {"model_version": "1", "computing": "0.005s"}
    assert payloads == {"outputs.a.b": Datum(tensor=PIXEL), "outputs.c": Datum(tensor=PIXEL)}
    again, _ = make(inference_pb2.PostInferenceExecuteResponse, dict(values), payloads)
    assert again == whole


def test_artifacts_and_data_of_a_reply_are_payloads():
    """A Datum stays what it is, and an artifact becomes one."""
    artifact = Artifact(digest="0" * 64, media_type="image/png")
    session = processing_pb2.Session(session_id="s", payloads={"page": Datum(artifact=artifact)})
    session.steps.add(step_id="a").outputs["response"].CopyFrom(artifact)
    values, payloads = split(processing_pb2.GetProcessingSessionResponse(session=session))
    assert set(payloads) == {"session.payloads.page", "session.steps[0].outputs.response"}
    assert payloads["session.steps[0].outputs.response"].artifact == artifact
    assert values["session"]["steps"][0] == {"step_id": "a"}


def test_a_reply_with_too_much_to_read_is_refused():
    """More than a megabyte of text does not go into a Struct."""
    reply = postprocessing_pb2.PostPostprocessingExecuteResponse(
        echo=postprocessing_pb2.EchoResult(text="x" * (STRUCT_LIMIT + 1))
    )
    with pytest.raises(CoordinatorError) as caught:
        split(reply)
    assert caught.value.reason == ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE
