"""What an expression may cost: what is evaluated, and what is refused before it begins."""

from __future__ import annotations

from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.engine.definitions import parse_definition
from processing_service.engine.definitions.bindings import Scope
from processing_service.engine.definitions.compiled import CompiledStep
from processing_service.wire.errors import Code, CoordinatorError
from tests.unit.engine.definitions.catalog import Catalog

CATALOG = Catalog()
HEAD = """\
workflow_id: w
parameters:
  numbers: {value_type: integer, is_list: true, optional: true}
  words: {value_type: string, is_list: true, optional: true}
  text: {value_type: string, optional: true}
  any: {value_type: message, type_name: google.protobuf.Struct, optional: true}
steps:
  - {step_id: find, operation: postprocessing.post_postprocessing_execute}
"""
NUMBERS = list(range(9000))
CORNERS = [pb.Point(x=1, y=2)] * 4
REGIONS = [pb.Region(corners=CORNERS, score=0.5)] * 1000


def step(condition: str) -> CompiledStep:
    """A step with that condition."""
    line = (
        f"  - {{step_id: subject, operation: postprocessing.post_postprocessing_execute, condition: {condition!r}}}\n"
    )
    return parse_definition(HEAD + line, CATALOG)[0].steps[-1]


def scope(**parameters: Any) -> Scope:
    """Values of a session in which some regions were found."""
    found = pb.DetectRegionsResult(regions=REGIONS)
    return Scope(parameters, {"find": pb.PostPostprocessingExecuteResponse(detect_regions=found)})


def refusal(condition: str, **parameters: Any) -> CoordinatorError:
    """How that condition fails on those values."""
    subject = step(condition)
    with pytest.raises(CoordinatorError) as caught:
        subject.condition(scope(**parameters))
    return caught.value


@pytest.mark.parametrize(
    "condition",
    [
        "size(parameters.numbers) == 9000",
        "parameters.numbers.all(n, n >= 0)",
        "parameters.numbers.exists(n, n == 8999)",
        "8999 in parameters.numbers && parameters.numbers == parameters.numbers",
        "parameters.numbers[8999] + 1 == 9000",
        "parameters.words.all(w, w.startsWith('w') && w.size() == 50)",
        "size(parameters.text) == 1000000 && parameters.text.contains('b')",
        "parameters.text.matches('a+b$')",
        "size(steps.find.detect_regions.regions) == 1000",
        "steps.find.detect_regions.regions.filter(r, r.score > 0.4).size() == 1000",
        "steps.find.detect_regions.regions.filter(r, r.score > 0.4).map(r, r.score).all(s, s < 1.0)",
        "steps.find.detect_regions.regions.map(r, r.corners.map(c, c.x)).all(xs, xs[0] == 1.0)",
    ],
)
def test_what_workflows_ask_of_large_values_is_evaluated(condition: str) -> None:
    """One pass over thousands of values, a search, a filter of a thousand messages and what stands in them."""
    values = scope(numbers=NUMBERS, words=["w" * 50] * 9000, text="a" * 999_999 + "b")

    assert step(condition).condition(values) is True


@pytest.mark.parametrize(
    ("condition", "parameters"),
    [
        pytest.param("parameters.numbers.map(n, n).size() > 0", {"numbers": NUMBERS}, id="a copy an item"),
        pytest.param("parameters.numbers.filter(n, n > 0).size() > 0", {"numbers": NUMBERS}, id="filter"),
        pytest.param("parameters.numbers.all(n, n in parameters.numbers)", {"numbers": NUMBERS}, id="search an item"),
        pytest.param(
            "parameters.numbers.all(n, parameters.numbers == parameters.numbers)", {"numbers": NUMBERS}, id="comparison"
        ),
        pytest.param(
            "parameters.numbers.all(n, size(parameters.text + parameters.text) > 0)",
            {"numbers": NUMBERS, "text": "a" * 100_000},
            id="long text an item",
        ),
        pytest.param(
            "parameters.numbers.map(n, parameters.numbers).map(l, l + l).size() > 0",
            {"numbers": NUMBERS[:2000]},
            id="a list that holds lists",
        ),
        pytest.param("parameters.any.a.all(n, n in parameters.any.a)", {"any": {"a": NUMBERS}}, id="any value"),
        pytest.param("parameters.text.matches('[ab]*a[ab]{900}c')", {"text": "ab" * 100_000}, id="pattern"),
        pytest.param("parameters.text.matches(parameters.text)", {"text": "ab" * 100_000}, id="pattern of a caller"),
        pytest.param(
            "steps.find.detect_regions.regions.all(r, steps.find.detect_regions.regions.exists(o, o == r))",
            {},
            id="messages",
        ),
    ],
)
def test_what_would_take_too_long_is_refused_before_it_begins(condition: str, parameters: dict[str, Any]) -> None:
    """The step fails with what it may take, the limit, and what to do."""
    error = refusal(condition, **parameters)

    assert error.code is Code.INVALID_ARGUMENT
    assert error.reason == ErrorReason.ERROR_REASON_EXPRESSION_FAILED
    assert error.message.startswith("step 'subject': steps[1].condition: ${")
    assert "operations, at most 4000000 are made for one expression" in error.message
    assert "read less, or let a step do it" in error.message
    assert error.violations[0].field_path == "steps[1].condition"


def test_the_same_condition_goes_on_with_less() -> None:
    """It is the values that are too large, not the expression."""
    condition = "parameters.numbers.all(n, n in parameters.numbers)"
    assert "operations" in refusal(condition, numbers=NUMBERS).message

    assert step(condition).condition(scope(numbers=NUMBERS[:1500])) is True


@pytest.mark.parametrize(
    ("condition", "parameters", "limit"),
    [
        ("size(parameters.numbers) > 0", {"numbers": [0] * 50_001}, "more than 50000 values"),
        ("size(parameters.any.a) > 0", {"any": {"a": [[0] * 100] * 500}}, "more than 50000 values"),
        ("size(parameters.text) > 0", {"text": "a" * ((16 << 20) + 1)}, "more than 16777216 characters or bytes"),
        (
            "size(parameters.numbers) + size(parameters.words) > 0",
            {"numbers": [0] * 30_000, "words": [""] * 30_000},
            "more than 50000 values",
        ),
    ],
)
def test_more_values_than_an_expression_may_read_are_refused(
    condition: str, parameters: dict[str, Any], limit: str
) -> None:
    """They are counted while they are handed over, all that one evaluation reads together."""
    error = refusal(condition, **parameters)

    assert error.reason == ErrorReason.ERROR_REASON_EXPRESSION_FAILED
    assert limit in error.message
    assert "bind the " in error.message


def test_a_path_takes_a_list_of_any_length() -> None:
    """Only expressions are limited."""
    line = (
        "  - {step_id: subject, operation: postprocessing.post_postprocessing_execute,"
        " parameters: {top_k: {labels: '${parameters.words}'}}}\n"
    )
    subject = parse_definition(HEAD + line, CATALOG)[0].steps[-1]

    built: Any = subject.build(scope(words=["w"] * 60_000))

    assert len(built.top_k.labels) == 60_000


def test_what_is_too_costly_whatever_it_reads_is_refused_when_it_is_put() -> None:
    """A definition with it is not taken."""
    row = "[" + ",".join("1" * 90) + "]"
    nested = f"{row}.all(a, {row}.all(b, {row}.all(c, a + b + c > 0)))"

    with pytest.raises(CoordinatorError) as caught:
        step(nested)

    assert caught.value.reason == ErrorReason.ERROR_REASON_WORKFLOW_INVALID
    assert "whatever it reads; make it simpler" in caught.value.violations[0].description
    assert caught.value.violations[0].field_path == "steps[1].condition"
