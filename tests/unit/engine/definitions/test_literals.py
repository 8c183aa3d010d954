from __future__ import annotations

import struct
from datetime import timedelta

import pytest
from coordinator.payload.v1.payload_pb2 import Tensor
from coordinator.postprocessing.v1.postprocessing_pb2 import DecodeOperation, Interpolation, ResizeOperation
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from processing_service.engine.definitions.literals import canonical, duration, enum_value, scalar, shown
from processing_service.engine.definitions.paths import Unfit
from processing_service.engine.definitions.values import short_float

WIDTH = ResizeOperation.DESCRIPTOR.fields_by_name["width"]
SHAPE = Tensor.DESCRIPTOR.fields_by_name["shape"]
DATA = Tensor.DESCRIPTOR.fields_by_name["data"]
IMAGE_BYTES = DecodeOperation.DESCRIPTOR.fields_by_name["image_bytes"]


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_come_back_from_their_canonical_form(number: int) -> None:
    """A form is read as what it was made of, and has no second form."""
    form = canonical(SHAPE, number)
    assert scalar(SHAPE)(form) == number
    assert canonical(SHAPE, scalar(SHAPE)(str(number))) == form


@given(st.binary(max_size=50))
def test_bytes_come_back_from_their_canonical_form(data: bytes) -> None:
    """Base64 is read in both alphabets, with or without padding, and written in one."""
    form = canonical(DATA, data)
    assert scalar(DATA)(form) == data
    assert scalar(DATA)(form.replace("+", "-").replace("/", "_").rstrip("=")) == data


@given(st.integers(-315_576_000_000, 315_576_000_000), st.integers(0, 999_999_999))
def test_durations_are_read_as_proto_json_reads_them(seconds: int, nanos: int) -> None:
    """Every form that proto JSON writes gives the same Duration."""
    written = Duration(seconds=seconds, nanos=nanos if seconds >= 0 else -nanos)
    assert duration(json_format.MessageToDict(written)) == written


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        ("2m", "120s"),
        ("1.5 h", "5400s"),
        ("250ms", "0.25s"),
        ("10 seconds", "10s"),
        ("1d", "86400s"),
        (5, "5s"),
        (0.5, "0.5s"),
        ("soon", ""),
        (True, ""),
        (None, ""),
    ],
)
def test_other_durations_are_refused_with_the_right_spelling(value: object, suggestion: str) -> None:
    """Minutes, bare numbers and the like are refused, and what was meant is suggested."""
    with pytest.raises(Unfit) as caught:
        duration(value)
    assert caught.value.suggestion == suggestion


def test_a_timedelta_is_a_duration() -> None:
    """What an expression gives for duration('1.5s') is one."""
    assert duration(timedelta(seconds=1.5)).ToMilliseconds() == 1500


@pytest.mark.parametrize("value", [1.5, "1.5", "a", True, None, [], "", 2**31, -(2**31) - 1, float("nan")])
def test_what_is_no_int32_is_refused(value: object) -> None:
    """Fractions, text, booleans and what is out of range are no integers."""
    with pytest.raises(Unfit):
        scalar(WIDTH)(value)


@pytest.mark.parametrize("value", ["AREA", "area", "Area", "INTERPOLATION_AREA", "interpolation_area", 4, 4.0])
def test_an_enum_value_has_many_spellings(value: object) -> None:
    """A value goes by its name with or without prefix, in any case, or by its number."""
    assert enum_value(Interpolation.DESCRIPTOR)(value) == Interpolation.INTERPOLATION_AREA


def test_an_unknown_enum_value_is_refused_with_the_nearest() -> None:
    """A number that the enum lacks, and a name that is misspelled, are refused."""
    with pytest.raises(Unfit, match="has no value 99"):
        enum_value(Interpolation.DESCRIPTOR)(99)
    with pytest.raises(Unfit) as caught:
        enum_value(Interpolation.DESCRIPTOR)("lanzcos")
    assert caught.value.suggestion == "LANCZOS"


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.0, "1"), (-0.0, "0"), (0.5, "0.5"), (1e300, "1e+300"), (float("nan"), "nan")]
)
def test_numbers_are_shown_as_they_were_written(value: float, text: str) -> None:
    """A Struct makes each number a float; a whole one is shown as whole."""
    assert shown(value) == text


@given(st.floats(width=32, allow_nan=False))
def test_a_short_float_is_the_same_float(value: float) -> None:
    """Fewer digits, the same 32 bits."""
    assert struct.pack("f", short_float(value)) == struct.pack("f", value)
    assert len(repr(short_float(value))) <= len(repr(value))


def test_base64_that_is_none_is_refused() -> None:
    """Text that is no base64 is no bytes."""
    with pytest.raises(Unfit, match="base64"):
        scalar(IMAGE_BYTES)("?")
