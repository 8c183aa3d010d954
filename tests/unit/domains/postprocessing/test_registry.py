import pytest
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing_service.domains.postprocessing.registry import OPERATIONS
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import Code, CoordinatorError

REQUEST = pb.PostPostprocessingExecuteRequest.DESCRIPTOR
REPLY = pb.PostPostprocessingExecuteResponse.DESCRIPTOR


def test_every_operation_of_the_contract_is_here():
    """The names are the fields of the request's oneof, and of the reply's."""
    names = [field.name for field in REQUEST.oneofs_by_name["operation"].fields]

    assert names == [field.name for field in REPLY.oneofs_by_name["result"].fields]
    assert names == list(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_without_parameters_has_an_answer(name):
    """An empty message gives the result of its type, or says which field is missing."""
    operation = getattr(pb.PostPostprocessingExecuteRequest(), name)
    try:
        result = OPERATIONS[name].run(operation, PostprocessingSettings())
    except CoordinatorError as error:
        answer = error.code
    else:
        answer = result.DESCRIPTOR

    assert answer in (Code.INVALID_ARGUMENT, REPLY.fields_by_name[name].message_type)
    assert OPERATIONS[name].is_small(operation) in (True, False)


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_message_breaks_an_operation(name, data):
    """Whatever numbers, lists and tensors a message holds, the answer is a result or an error that names a field."""
    operation = getattr(pb.PostPostprocessingExecuteRequest(), name)
    fill(operation, data)
    small = PostprocessingSettings(max_pixels=10_000, max_result_bytes=100_000)
    try:
        answer = OPERATIONS[name].run(operation, small).DESCRIPTOR
    except CoordinatorError as error:
        answer = error.code

    assert answer in (
        Code.INVALID_ARGUMENT,
        Code.RESOURCE_EXHAUSTED,
        REPLY.fields_by_name[name].message_type,
    )


NUMBERS = {
    "float": st.floats(width=32) | st.sampled_from([0.0, 0.5, 1.0, 5.0]),
    "double": st.floats(),
    "int32": st.integers(-2, 40) | st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-2, 40),
    "bool": st.booleans(),
    "string": st.text(max_size=8),
    "bytes": st.binary(max_size=8),
}
SHAPES = st.sampled_from([(4, 6, 3), (1, 8), (8,), (6, 8), (1, 1, 6, 8), (2, 2), (), (0, 3)])
TYPES = {1: 1, 2: 1, 8: 4, 9: 8, 11: 4, 12: 8}


def scalar(field, data):
    name = {1: "double", 2: "float", 3: "int64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 14: "int32"}[
        field.type
    ]
    return data.draw(NUMBERS[name])


def fill(message, data):
    """Sets the fields of a message by chance; tensors mostly have the bytes that their shape takes."""
    if message.DESCRIPTOR.name == "Tensor":
        shape, data_type = data.draw(SHAPES), data.draw(st.sampled_from(sorted(TYPES)))
        size = TYPES[data_type]
        for side in shape:
            size *= side
        seed = data.draw(st.binary(min_size=1, max_size=8)) if data_type != 1 else b"\0\1"
        message.data_type, message.data = data_type, (seed * (size + 1))[:size]
        message.shape.extend(shape)
        return
    for field in message.DESCRIPTOR.fields:
        if not data.draw(st.booleans()):
            continue
        if field.is_repeated:
            for _ in range(data.draw(st.sampled_from([1, 2, 4]))):
                if field.message_type:
                    fill(getattr(message, field.name).add(), data)
                else:
                    getattr(message, field.name).append(scalar(field, data))
        elif field.message_type:
            fill(getattr(message, field.name), data)
        else:
            setattr(message, field.name, scalar(field, data))
