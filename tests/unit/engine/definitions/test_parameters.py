from __future__ import annotations

from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, DataType, Datum, Tensor
from coordinator.postprocessing.v1.postprocessing_pb2 import Point
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, Workflow, WorkflowParameter
from hypothesis import given
from hypothesis import strategies as st

from processing_service.engine.definitions import compile_definition, parse_definition
from processing_service.engine.definitions.parameters import Parameters
from processing_service.wire.errors import Code, CoordinatorError
from tests.unit.engine.definitions.catalog import Catalog

STEPS = "steps: [{step_id: a, operation: model.get_models}]\n"
TENSOR = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"a")


def declared(**parameters: str) -> Parameters:
    """Parameters of those declarations."""
    lines = "".join(f"  {name}: {{value_type: {declaration}}}\n" for name, declaration in parameters.items())
    return parse_definition(f"workflow_id: w\nparameters:\n{lines}{STEPS}", Catalog())[0].parameters


def request(
    payloads: dict[str, Datum] | None = None, model_id: str = "", **parameters: Any
) -> PostWorkflowExecuteRequest:
    """A request with those parameters."""
    made = PostWorkflowExecuteRequest(workflow_id="w", model_id=model_id, payloads=payloads)
    made.parameters.update(parameters)
    return made


def refused(parameters: Parameters, asked: PostWorkflowExecuteRequest) -> CoordinatorError:
    """The error that a request gets."""
    with pytest.raises(CoordinatorError) as caught:
        parameters.values(asked)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


def test_values_have_the_types_that_were_declared() -> None:
    """Numbers of a Struct become integers where integers are declared, and big ones are read from text."""
    parameters = declared(
        count="integer", big="integer", share="number", name="string", flag="boolean", names="string, is_list: true"
    )
    values = parameters.values(
        request(count=5, big="9007199254740993", share=2, name="n", flag=True, names=["a", "b"])
    ).values
    assert values == {"count": 5, "big": 9007199254740993, "share": 2.0, "name": "n", "flag": True, "names": ["a", "b"]}
    assert [type(values[name]) for name in ("count", "big", "share")] == [int, int, float]


def test_a_type_that_nobody_knows_is_refused() -> None:
    """A number that the contract does not have yet would take any value."""
    workflow = Workflow(workflow_id="w", parameters={"p": WorkflowParameter(value_type=99)})  # type: ignore[arg-type]  # not in the stubs
    workflow.steps.add(step_id="a", operation="model.get_models")

    with pytest.raises(CoordinatorError) as caught:
        compile_definition(workflow, Catalog())

    assert [violation.field_path for violation in caught.value.violations] == ["parameters.p.value_type"]


def test_messages_are_read_by_field_name() -> None:
    """A parameter that is a message is made of its JSON; one that is a Struct stays JSON."""
    parameters = declared(
        corner="message, type_name: coordinator.postprocessing.v1.Point",
        corners="message, type_name: coordinator.postprocessing.v1.Point, is_list: true",
        any="message, type_name: google.protobuf.Struct",
    )
    values = parameters.values(request(corner={"x": 1.5}, corners=[{"y": 2}, {}], any={"a": [1]})).values
    assert values == {"corner": Point(x=1.5), "corners": [Point(y=2), Point()], "any": {"a": [1.0]}}


def test_payloads_keep_their_media_type() -> None:
    """Bytes come as a Datum, a tensor as a Tensor, an artifact of either as a Datum."""
    parameters = declared(page="bytes", other="bytes", picture="tensor", far="tensor")
    page = Datum(inline_bytes=b"a", media_type="image/png")
    far = Datum(artifact=Artifact(digest="d"))
    given_payloads = {"page": page, "other": far, "picture": Datum(tensor=TENSOR), "far": far}
    assert parameters.values(request(given_payloads)).values == {
        "page": page,
        "other": far,
        "picture": TENSOR,
        "far": far,
    }


def test_what_is_left_out_has_its_default_or_is_absent() -> None:
    """Defaults fill in, an optional parameter without one is not there, and null is leaving out."""
    parameters = declared(
        count="integer, default_value: 5",
        names="string, is_list: true, default_value: [a]",
        name="string, optional: true",
        flag="boolean, default_value: false",
    )
    assert parameters.values(request()).values == {"count": 5, "names": ["a"], "flag": False}
    assert parameters.values(request(count=None, name=None)).values == {"count": 5, "names": ["a"], "flag": False}
    assert parameters.values(request(count=0)).values["count"] == 0


def test_model_id_fills_its_parameter() -> None:
    """The request's model_id is the value of the parameter of that name, and of no other workflow."""
    parameters = declared(model_id="string")
    assert parameters.values(request(model_id="m")).values == {"model_id": "m"}
    assert declared(name="string, optional: true").values(request(model_id="m")).values == {}
    both = request(model_id="m")
    both.parameters.update({"model_id": "other"})
    error = refused(parameters, both)
    assert error.reason == ErrorReason.ERROR_REASON_FIELD_CONFLICT
    assert error.violations[0].field_path == "model_id"
    both.parameters.update({"model_id": "m"})
    assert parameters.values(both).values == {"model_id": "m"}


def test_legacy_spellings_are_taken_with_a_warning() -> None:
    """Old spellings of a parameter find it, and say so; its JSON form is no old spelling."""
    parameters = declared(max_side="integer", model_id="string")
    found = parameters.values(request(MaxSide=5, idModel="m"))
    assert found.values == {"max_side": 5, "model_id": "m"}
    assert sorted(found.warnings) == [
        "parameters.MaxSide: a legacy spelling, write max_side",
        "parameters.idModel: a legacy spelling, write model_id",
    ]
    assert parameters.values(request(maxSide=5, model_id="m")).warnings == []


FAULTS = {
    "unknown": (request(counts=5), "parameters.counts", ErrorReason.ERROR_REASON_FIELD_UNKNOWN, "count"),
    "unknown payload": (
        request({"pages": Datum(inline_bytes=b"a")}),
        "payloads.pages",
        ErrorReason.ERROR_REASON_FIELD_UNKNOWN,
        "page",
    ),
    "in both": (
        request({"count": Datum(inline_bytes=b"a")}, count=5),
        "payloads.count",
        ErrorReason.ERROR_REASON_FIELD_CONFLICT,
        "",
    ),
    "two spellings": (request(count=5, Count=5), None, ErrorReason.ERROR_REASON_FIELD_CONFLICT, ""),
    "required": (request(), "parameters.count", ErrorReason.ERROR_REASON_FIELD_REQUIRED, ""),
    "fraction": (request(count=1.5), "parameters.count", ErrorReason.ERROR_REASON_FIELD_INVALID, ""),
    "required and null": (request(count=None), "parameters.count", ErrorReason.ERROR_REASON_FIELD_REQUIRED, ""),
    "text": (request(count="five"), "parameters.count", ErrorReason.ERROR_REASON_FIELD_INVALID, ""),
    "too big": (request(count="9223372036854775808"), "parameters.count", ErrorReason.ERROR_REASON_FIELD_INVALID, ""),
    "number as text": (request(count=1, name=5), "parameters.name", ErrorReason.ERROR_REASON_FIELD_INVALID, '"5"'),
    "bytes in parameters": (
        request(count=1, page="YQ=="),
        "parameters.page",
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "",
    ),
    "integer in payloads": (
        request({"count": Datum(inline_bytes=b"5")}),
        "payloads.count",
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "",
    ),
    "tensor for bytes": (
        request({"page": Datum(tensor=TENSOR)}, count=1),
        "payloads.page",
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "",
    ),
    "bytes for tensor": (
        request({"picture": Datum(inline_bytes=b"a")}, count=1),
        "payloads.picture",
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "",
    ),
    "empty payload": (request({"page": Datum()}, count=1), "payloads.page", ErrorReason.ERROR_REASON_FIELD_INVALID, ""),
    "field of a message": (
        request(count=1, corner={"z": 1}),
        "parameters.corner",
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "",
    ),
    "not a message": (request(count=1, corner=5), "parameters.corner", ErrorReason.ERROR_REASON_FIELD_INVALID, ""),
    "not a list": (request(count=1, names="a"), "parameters.names", ErrorReason.ERROR_REASON_FIELD_INVALID, ""),
}


@pytest.mark.parametrize(("asked", "path", "reason", "suggestion"), FAULTS.values(), ids=FAULTS)
def test_a_fault_has_its_path_reason_and_the_nearest_name(
    asked: PostWorkflowExecuteRequest, path: str | None, reason: ErrorReason.ValueType, suggestion: str
) -> None:
    """Each fault of a request is told by its path, its own reason, and the nearest right name."""
    parameters = declared(
        count="integer",
        name="string, optional: true",
        page="bytes, optional: true",
        picture="tensor, optional: true",
        corner="message, type_name: coordinator.postprocessing.v1.Point, optional: true",
        names="string, is_list: true, optional: true",
    )
    error = refused(parameters, asked)
    assert error.reason == reason
    assert path in (None, error.violations[0].field_path)
    assert error.violations[0].suggestion == suggestion


def test_all_faults_come_at_once() -> None:
    """One error has every fault of a request."""
    error = refused(declared(count="integer", page="bytes"), request(countt=5, nothing=1))
    assert {violation.field_path for violation in error.violations} == {
        "parameters.countt",
        "parameters.nothing",
        "parameters.count",
        "payloads.page",
    }
    assert error.message.endswith("(and 3 more)")


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_int64_is_carried(number: int) -> None:
    """An integer within 2^53 goes as a number, any other as decimal text, and none is changed."""
    parameters = declared(count="integer")
    asked = number if abs(number) <= 2**53 else str(number)
    assert parameters.values(request(count=asked)).values == {"count": number}
