import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import DataType, Datum, Tensor
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.artifacts import THRESHOLD_BYTES
from instructors.payloads import INLINE_LIMIT, carries_data, put_contents_in, references, take_contents_out
from processing_service.engine.store.artifacts import FileArtifacts
from processing_service.wire.errors import CoordinatorError


def test_only_messages_that_can_hold_data_are_searched():
    """Whether a message can refer to artifacts is known from its type."""
    assert carries_data(pb.PostWorkflowExecuteRequest.DESCRIPTOR)
    assert carries_data(pb.GetProcessingSessionResponse.DESCRIPTOR)
    assert not carries_data(pb.GetProcessingWorkflowRequest.DESCRIPTOR)
    assert not carries_data(Tensor.DESCRIPTOR)


async def test_contents_go_in_at_any_depth(tmp_path):
    """References in maps and lists are replaced by bytes or tensors; what is inline stays."""
    store = FileArtifacts(tmp_path)
    tensor = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"\x01")
    stored = await store.put(tensor.SerializeToString(), type_name="coordinator.payload.v1.Tensor")
    text = await store.put(b"hi", media_type="text/plain")
    request = pb.PostBatchItemsRequest(items=[pb.BatchItem(payloads={"a": Datum(artifact=stored)})])
    request.items.add().payloads["b"].artifact.CopyFrom(text)
    request.items[1].payloads["c"].inline_bytes = b"c"
    await put_contents_in(request, store)
    assert request.items[0].payloads["a"] == Datum(tensor=tensor)
    assert request.items[1].payloads["b"] == Datum(inline_bytes=b"hi", media_type="text/plain")
    assert request.items[1].payloads["c"] == Datum(inline_bytes=b"c")
    assert not list(references(request))


async def test_content_that_is_no_tensor_is_refused(tmp_path):
    """TENSOR_INVALID, whatever its reference says that it is."""
    store = FileArtifacts(tmp_path)
    junk = await store.put(b"\xff junk", type_name="coordinator.payload.v1.Tensor")
    with pytest.raises(CoordinatorError) as caught:
        await put_contents_in(Datum(artifact=junk), store)
    assert caught.value.reason == ErrorReason.ERROR_REASON_TENSOR_INVALID


async def test_large_contents_come_out(tmp_path):
    """What is above the threshold becomes a reference, and then the largest, until the rest is small enough."""
    store = FileArtifacts(tmp_path)
    size = THRESHOLD_BYTES - 1
    many = {f"p{index}": Datum(inline_bytes=bytes([index]) * (size - index)) for index in range(5)}
    many["large"] = Datum(inline_bytes=b"x" * (THRESHOLD_BYTES + 1), media_type="image/png")
    await take_contents_out(many, store)
    assert many["large"].artifact.media_type == "image/png"
    assert [name for name, datum in many.items() if datum.HasField("artifact")] == ["p0", "large"]
    assert sum(len(datum.inline_bytes) for datum in many.values()) <= INLINE_LIMIT
