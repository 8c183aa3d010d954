"""An ONNX file is described without a runtime, and a damaged one is refused in words that hold no path."""

import contextlib

import pytest
from coordinator.payload.v1.payload_pb2 import DataType
from hypothesis import given
from hypothesis import strategies as st

from processing_service.domains.model import onnx_file
from processing_service.domains.models import Axis
from tests import onnx_models as onnx


def test_inputs_outputs_and_metadata_are_read(tmp_path):
    """Names, element types, static and dynamic axes and the metadata stand in the file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.doubling(("n", 3), onnx.INT64, metadata={"character": "äb"}))

    found = onnx_file.read(path)

    (spec,) = found.inputs
    assert (spec.name, spec.data_type, spec.axes) == ("x", DataType.DATA_TYPE_INT64, (Axis(), Axis(size=3)))
    assert [spec.name for spec in found.outputs] == ["y"]
    assert found.metadata == {"character": "äb"}


def test_weights_are_not_inputs(tmp_path):
    """An initializer that also stands among the inputs, as old files have it, is not asked of the caller."""
    path = tmp_path / "model.onnx"
    path.write_bytes(
        onnx.model(
            [onnx.node("Add", ["x", "w"], ["y"])],
            [onnx.tensor_info("x", (1,)), onnx.tensor_info("w", (1,))],
            [onnx.tensor_info("y", (1,))],
            [onnx.constant("w", [1], b"\0\0\x80\x3f")],
        )
    )

    assert [spec.name for spec in onnx_file.read(path).inputs] == ["x"]


def test_a_type_that_cannot_be_sent_is_unspecified(tmp_path):
    """Strings have no element type in the contract, but the model can be listed."""
    path = tmp_path / "model.onnx"
    path.write_bytes(
        onnx.model(
            [onnx.node("Identity", ["x"], ["y"])],
            [onnx.tensor_info("x", (1,), onnx.STRING)],
            [onnx.tensor_info("y", (1,), onnx.STRING)],
        )
    )

    assert onnx_file.read(path).inputs[0].data_type == DataType.DATA_TYPE_UNSPECIFIED


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a model, but some text\n", id="text"),
        pytest.param(bytes(4096), id="zeros"),
        pytest.param(onnx.doubling()[:-20], id="truncated"),
        pytest.param(onnx.field(1, 8), id="no graph"),
        pytest.param(onnx.field(1, 8) + onnx.field(7, b""), id="empty graph"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    """Whatever is not a whole model is an OnnxFileError without the path of the file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(onnx_file.OnnxFileError) as caught:
        onnx_file.read(path)

    assert str(tmp_path) not in str(caught.value)


@given(position=st.integers(0, len(onnx.doubling()) - 1), byte=st.integers(0, 255))
def test_any_flipped_byte_is_read_or_refused(tmp_path_factory, position, byte):
    """One wrong byte anywhere either leaves a file that can be read or raises OnnxFileError; nothing else."""
    content = bytearray(onnx.doubling())
    content[position] = byte
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(content)

    with contextlib.suppress(onnx_file.OnnxFileError):
        onnx_file.read(path)
