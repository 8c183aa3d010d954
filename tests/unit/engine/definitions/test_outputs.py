from __future__ import annotations

from typing import Any

import pytest
from coordinator.payload.v1.payload_pb2 import Artifact, DataType, Datum, Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteResponse, Session
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from processing_service.engine.definitions import Definition, parse_definition
from processing_service.engine.definitions.bindings import Scope
from processing_service.wire.errors import CoordinatorError
from tests.unit.engine.definitions.catalog import Catalog

CATALOG = Catalog()
TENSOR = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"a")
Response = pb.PostPostprocessingExecuteResponse


def defined(outputs: str) -> Definition:
    """A workflow with those outputs."""
    source = f"""
workflow_id: w
parameters:
  page: {{value_type: bytes, optional: true}}
  count: {{value_type: integer, optional: true}}
steps:
  - {{step_id: run, operation: postprocessing.post_postprocessing_execute}}
  - {{step_id: child, operation: processing.post_workflow_execute, parameters: {{workflow_id: v}}}}
  - {{step_id: each, operation: postprocessing.post_postprocessing_execute, foreach: {{items: "${{[1]}}"}}}}
outputs:
{outputs}
"""
    return parse_definition(source, CATALOG)[0]


def concluded(output: str, steps: dict[str, Any] | None = None, **parameters: Any) -> Any:
    """What one output comes to: its JSON value, its Datum, or None if it is left out."""
    definition = defined(f"  x: {{value: {output}}}")
    values, payloads = definition.outputs.conclude(Scope(parameters, steps or {}))
    json_format.ParseDict(values, Struct())
    assert not values.keys() & payloads.keys()
    return (values | payloads).get("x")


def test_readable_values_go_to_json() -> None:
    """Scalars, lists and messages without bytes are JSON; a float has the digits that it was written with."""
    line = pb.TextLine(region=pb.Region(corners=[pb.Point(x=1, y=0.1)], score=0.3), text="a", confidence=0.9)
    steps = {"run": Response(collect_lines=pb.CollectLinesResult(lines=[line], text="a"))}
    assert concluded("'${steps.run.collect_lines.text}'", steps) == "a"
    assert concluded("'${steps.run.collect_lines.lines}'", steps) == [
        {"region": {"corners": [{"x": 1, "y": 0.1}], "score": 0.3}, "text": "a", "confidence": 0.9}
    ]
    assert concluded("'${steps.run.collect_lines.lines.confidence}'", steps) == [0.9]
    assert concluded("'${steps.run.collect_lines.lines[0].confidence}'", steps) == 0.9
    assert concluded("'${parameters.count}'", count=2**60) == str(2**60)
    assert concluded("'${parameters.count * 2}'", count=4) == 8


def test_an_empty_message_shows_its_fields() -> None:
    """Fields without presence are shown with their defaults, so that an object has one shape."""
    steps = {"run": Response(collect_lines=pb.CollectLinesResult(lines=[pb.TextLine()]))}
    assert concluded("'${steps.run.collect_lines}'", steps) == {"lines": [{"text": "", "confidence": 0}], "text": ""}


def test_names_of_enums_and_numbers_without_json() -> None:
    """An enum value goes by its name, and a number that JSON lacks as text."""
    session = Session(state=6, durability=1)  # type: ignore[arg-type]  # SUCCEEDED, FULL
    steps = {
        "child": PostWorkflowExecuteResponse(session=session),
        "run": Response(echo=pb.EchoResult(value=float("inf"))),
    }
    assert concluded("'${steps.child.session.state}'", steps) == "SESSION_STATE_SUCCEEDED"
    assert concluded("'${steps.run.echo.value}'", steps) == "Infinity"


def test_bytes_tensors_and_artifacts_go_to_payloads() -> None:
    """A Datum keeps its media type; bytes and tensors become one; an artifact stays a reference."""
    png = Datum(inline_bytes=b"x", media_type="image/png")
    far = Datum(artifact=Artifact(digest="d", media_type="image/png"))
    steps = {
        "run": Response(encode=pb.EncodeResult(file=png)),
        "each": [Response(decode=pb.DecodeResult(image=TENSOR))],
        "child": PostWorkflowExecuteResponse(session=Session(payloads={"page": far})),
    }
    assert concluded("'${steps.run.encode.file}'", steps) == png
    assert concluded("'${parameters.page}'", page=far) == far
    assert concluded("'${parameters.page}'", page=b"y") == Datum(inline_bytes=b"y")
    assert concluded("'${steps.each[0].decode.image}'", steps) == Datum(tensor=TENSOR)
    assert concluded("'${steps.child.session.payloads.page}'", steps) == far
    assert concluded("\"${b'z'}\"") == Datum(inline_bytes=b"z")


def test_what_is_absent_is_left_out() -> None:
    """An output of a step that was skipped is not there; inside of JSON the key is not there."""
    assert concluded("'${steps.run.echo.text}'") is None
    assert concluded("{a: '${steps.run.echo.text}', b: [1, '${parameters.count}'], c: '$${x}'}") == {
        "b": [1],
        "c": "${x}",
    }


def test_json_is_built_of_bindings() -> None:
    """An output may be an object or list with bindings at any depth, or a literal."""
    steps = {"run": Response(echo=pb.EchoResult(text="t", value=2))}
    assert concluded("{a: {b: ['${steps.run.echo.text}', 1, null, true]}}", steps) == {"a": {"b": ["t", 1, None, True]}}
    assert concluded("5") == 5
    assert concluded("text") == "text"


def test_a_struct_of_a_child_is_json() -> None:
    """Outputs of a child session are read by path, and carried as they are."""
    session = Session()
    session.outputs.update({"lines": [{"text": "a"}, {"text": "b"}], "total": 2})
    steps = {"child": PostWorkflowExecuteResponse(session=session)}
    assert concluded("'${steps.child.session.outputs}'", steps) == {"lines": [{"text": "a"}, {"text": "b"}], "total": 2}
    assert concluded("'${steps.child.session.outputs.lines.text}'", steps) == ["a", "b"]
    assert concluded("'${steps.child.session.outputs.lines[1].text}'", steps) == "b"


def test_an_output_that_fails_says_which() -> None:
    """A failure names the output and its expression; so does one inside of JSON."""
    with pytest.raises(CoordinatorError, match=r"output 'x': outputs\.x\.value: \$\{1 / parameters\.count\}: divide"):
        concluded("'${1 / parameters.count}'", count=0)
    with pytest.raises(CoordinatorError, match=r"output 'x': outputs\.x\.value\.a\[0\]: .*divide"):
        concluded("{a: ['${1 / parameters.count}']}", count=0)


def test_outputs_know_what_they_read() -> None:
    """Steps, parameters and artifacts that the outputs need are known before they are evaluated."""
    definition = defined("  x: {value: '${steps.run.echo.text}'}\n  y: {value: {z: '${size(parameters.page)}'}}")
    assert definition.outputs.steps == {"run"}
    assert definition.outputs.parameters == {"page"}
    far = Datum(artifact=Artifact(digest="d"))
    assert definition.outputs.wanted(Scope({"page": far}, {})) == [far.artifact]
    scope = Scope({"page": far}, {}, contents={"d": b"abc"})
    assert definition.outputs.conclude(scope)[0] == {"y": {"z": 3}}
