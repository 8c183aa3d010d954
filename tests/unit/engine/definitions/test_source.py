from __future__ import annotations

import json

import pytest
import yaml
from coordinator.error.v1.error_pb2 import ErrorReason
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing_service.engine.definitions.source import MAX_BYTES, read_source
from processing_service.wire.errors import Code, CoordinatorError

REFUSED = {
    "empty": ("", "must be an object"),
    "a list": ("[1]", "must be an object"),
    "a scalar": ("workflow", "must be an object"),
    "10 MB": ("a: " + "x" * 10_000_000, f"longer than {MAX_BYTES} bytes"),
    "10 MB of JSON": ('{"a": "' + "x" * 10_000_000 + '"}', f"longer than {MAX_BYTES} bytes"),
    "wide characters": ("a: " + "\u20ac" * (MAX_BYTES // 2), f"longer than {MAX_BYTES} bytes"),
    "anchor": ("a: 1\nb: &x [1]\n", "line 2:4: anchors and aliases"),
    "alias": ("a: *x\n", "anchors and aliases"),
    "anchor bomb": (
        "a: &a [x, x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)),
        "line 1:4: anchors and aliases",
    ),
    "merge key": ("a: {<<: *x}\n", "anchors and aliases"),
    "tag": ("a: !!python/object:os.system x\n", "line 1:4: tags"),
    "tagged map": ("a: !thing {b: 1}\n", "tags"),
    "key twice": ("a: 1\nb: 2\na: 3\n", "line 3:1: the key 'a' is given twice"),
    "key twice in JSON": ('{"a": {"b": 1, "b": 2}}', "the key 'b' is given twice"),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2:1: a second document"),
    "deep YAML": ("a: " + "[" * 100 + "]" * 100, "nested deeper"),
    "very deep YAML": ("a: " + "[" * 100_000, "nested deeper"),
    "deep JSON": ('{"a": ' + "[" * 100 + "]" * 100 + "}", "nested deeper"),
    "very deep JSON": ('{"a": ' + "[" * 50_000 + "]" * 50_000 + "}", "nested deeper"),
    "deep JSON with tabs": ('{"a":\t' + "[" * 100 + "]" * 100 + "}", "nested deeper"),
    "many values": ("- x\n" * 60_000, "line 50000:3: holds more than 50000 values"),
    "many values of JSON": (json.dumps({"a": list(range(60_000))}), "holds more than 50000 values"),
    "bracket": ("a: [1\nb: 2\n", "line 2:2: a ',' or a closing bracket is missing"),
    "colon": ("a: b: c\n", "line 1:5: a ':' where no key can stand"),
    "tab": ("a:\n\t- b\n", "line 2:1: a tab"),
    "quote": ('a: "b\n', "is not closed"),
    "indentation": ("a:\n  - b\n c: 1\n", "the indentation does not fit"),
    "control character": ("a: \x07\n", "a character that YAML does not take"),
    "NUL": ("a: b\0", "NUL"),
    "list as key": ("? [1, 2]\n: 3\n", "a key must be text"),
    "surrogate": ('{"a": "\\ud800"}', "half of a surrogate pair"),
}


@pytest.mark.parametrize(("text", "fault"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, fault: str) -> None:
    """Each text that is no definition is WORKFLOW_INVALID and says what is wrong and where."""
    with pytest.raises(CoordinatorError) as caught:
        read_source(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.reason == ErrorReason.ERROR_REASON_WORKFLOW_INVALID
    assert fault in caught.value.violations[0].description


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("10s", "10s"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("007", 7),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("--", "--"),
        (".", "."),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ('"5"', "5"),
        ("'true'", "true"),
        ("!!str 5", "5"),
        ("9" * 400, int("9" * 400)),
        ("9" * 500, "9" * 500),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(scalar: str, value: object) -> None:
    """Words, times and dates of older YAML are text; numbers, true, false and null are what they look like."""
    assert read_source(f"a: {scalar}\n").values == {"a": value}
    assert type(read_source(f"a: {scalar}\n").values["a"]) is type(value)


def test_a_place_is_found_in_every_spelling() -> None:
    """A path in proto names leads to the line of the key, however that was spelled, or to what it stands in."""
    source = read_source("workflowId: w\nsteps:\n  - idStep: a\n    parameters:\n      crop: {maxSide: 5}\n")
    assert source.where("workflow_id") == "line 1:1"
    assert source.where("steps[0].step_id") == "line 3:5"
    assert source.where("steps[0].parameters.crop.max_side") == "line 5:14"
    assert source.where("steps[0].operation") == "line 3:5"
    assert source.where("outputs.x") == ""


@pytest.mark.parametrize("indent", [1, "\t"])
def test_json_has_places_too(indent: int | str) -> None:
    """JSON has line and column, also where it holds escapes and tabs that YAML reads otherwise."""
    values = {"a": [{"b": '\U0001f600 / "'}]}
    source = read_source(json.dumps(values, indent=indent))
    assert source.values == values
    assert source.where("a[0].b") == "line 4:4"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_json_reads_as_json(values: dict[str, object]) -> None:
    """Every JSON object without a NUL reads as the JSON library reads it."""
    text = json.dumps(values)
    assert read_source(text).values == json.loads(text)


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from('ab01 \n\t-:[]{}"&*!|>,#?%@`~.'), max_size=60))
def test_any_text_reads_or_is_refused(text: str) -> None:
    """Whatever the text, the answer is an object or WORKFLOW_INVALID."""
    try:
        values = read_source(text).values
    except CoordinatorError as error:
        values = {"reason": error.reason_name}
    assert isinstance(values, dict)


def test_the_fast_reader_is_there() -> None:
    """The YAML reader is the one of the C library: 1 MiB takes a fraction of a second."""
    assert yaml.__with_libyaml__
