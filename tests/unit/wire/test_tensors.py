"""Tensors travel as dtype, shape and little-endian bytes, and what does not fit is named by its field."""

import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import DataType, Tensor
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.tensors import DTYPES, data_type_of, from_array, name_of, to_array


@given(
    st.sampled_from(list(DTYPES.values())).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0))
    )
)
def test_an_array_comes_back_as_it_went(array):
    """dtype, shape and every bit survive the wire, scalars and empty arrays too."""
    back = to_array(Tensor.FromString(from_array(array).SerializeToString()), "x")

    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_byte_order_and_layout_do_not_reach_the_wire():
    """Big-endian, transposed and strided arrays are sent as little-endian rows."""
    array = np.arange(12, dtype=">f4").reshape(3, 4).T[::2]

    assert to_array(from_array(array), "x").tolist() == array.tolist()


def test_the_array_is_a_view_that_nobody_can_write():
    """What came over the wire is read-only: two readers never see each other's changes."""
    assert not to_array(from_array(np.zeros(3)), "x").flags.writeable


@pytest.mark.parametrize(
    ("tensor", "field_path"),
    [
        pytest.param(Tensor(shape=[1], data=b"\0"), "inputs[x].data_type", id="no element type"),
        pytest.param(Tensor(data_type=99, shape=[1], data=b"\0"), "inputs[x].data_type", id="unknown element type"),
        pytest.param(
            Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[2], data=b"\0" * 7), "inputs[x].data", id="short"
        ),
        pytest.param(
            Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[2], data=b"\0" * 9), "inputs[x].data", id="long"
        ),
        pytest.param(Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[4, -1]), "inputs[x].shape[1]", id="negative"),
        pytest.param(
            Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1] * 9, data=b"\0"), "inputs[x].shape", id="rank"
        ),
        pytest.param(Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1 << 62, 4]), "inputs[x].shape", id="elements"),
        pytest.param(
            Tensor(data_type=DataType.DATA_TYPE_BOOL, shape=[2], data=b"\1\2"), "inputs[x].data", id="not a bool"
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(tensor, field_path):
    """Each fault of a tensor is INVALID_ARGUMENT, TENSOR_INVALID, with the path of the field that is wrong."""
    with pytest.raises(CoordinatorError) as caught:
        to_array(tensor, "inputs[x]")

    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_TENSOR_INVALID)
    assert [violation.field_path for violation in caught.value.violations] == [field_path]


def test_every_element_type_has_a_name():
    """Those that the contract does not have are told by their number."""
    assert [name_of(number) for number in (DataType.DATA_TYPE_FLOAT32, 99, -1)] == ["FLOAT32", "99", "-1"]


def test_a_dtype_outside_the_contract_is_refused():
    """Complex numbers have no element type."""
    assert data_type_of(np.dtype("c8")) == DataType.DATA_TYPE_UNSPECIFIED
    with pytest.raises(CoordinatorError, match="complex64"):
        from_array(np.zeros(1, np.complex64))
