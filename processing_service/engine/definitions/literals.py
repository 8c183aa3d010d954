"""Values of JSON, YAML and expressions as single values of fields, and back in one canonical form.

As proto JSON reads them: an integer may be written as 5, 5.0 or "5", an enum value by its name, with or without its
prefix, bytes as base64.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from processing_service.engine.definitions.paths import Unfit
from processing_service.wire.errors import nearest
from processing_service.wire.naming import words

EXACT: Final = 1 << 53
"""Integers beyond this travel as decimal strings: a double cannot tell them apart."""

MAX_INT64: Final = (1 << 63) - 1

_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][-+]?[0-9]{1,3})?|NaN|-?Infinity")
_DURATION: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s")
_FREE_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|millis\w*|s|sec\w*|m|min\w*|h|hour\w*|d|day\w*|)")
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_FLOAT: Final = 3.4028235677973366e38
_MAX_SHOWN: Final = 40

_BOUNDS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), MAX_INT64),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}

Convert = Callable[[Any], Any]


def scalar(field: FieldDescriptor) -> Convert:
    """What makes one value of a field that is no message; it raises Unfit."""
    if field.enum_type is not None:
        return enum_value(field.enum_type)
    if field.cpp_type in _BOUNDS:
        return integer(*_BOUNDS[field.cpp_type])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes
    return _BY_TYPE[field.cpp_type]


def integer(low: int = -MAX_INT64 - 1, high: int = MAX_INT64) -> Convert:
    """What makes an integer between two others."""

    def convert(value: Any) -> int:
        if type(value) is not int:
            whole = isinstance(value, float) and value.is_integer()
            if not whole and not (isinstance(value, str) and _DECIMAL.fullmatch(value)):
                raise Unfit(f"must be an integer, not {shown(value)}")
            value = int(value)
        if not low <= value <= high:
            raise Unfit(f"must be from {low} to {high}, not {value}")
        return int(value)

    return convert


def number(value: Any) -> float:
    """A double. Raises Unfit."""
    if type(value) is float:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    raise Unfit(f"must be a number, not {shown(value)}")


def boolean(value: Any) -> bool:
    """A bool. Raises Unfit."""
    if isinstance(value, bool):
        return value
    raise Unfit(f"must be true or false, not {shown(value)}")


def text(value: Any) -> str:
    """A string. Raises Unfit."""
    if isinstance(value, str):
        return value
    raise Unfit(f"must be text, not {shown(value)}", _quoted(value))


def enum_value(enum: EnumDescriptor) -> Convert:
    """What makes a number of an enum from its name, its name without prefix in any case, or its number."""
    prefix = "_".join(words(enum.name)).upper() + "_"
    by_name = {name.removeprefix(prefix): value.number for name, value in enum.values_by_name.items()}

    def convert(value: Any) -> int:
        if isinstance(value, str):
            named = by_name.get(value.upper().removeprefix(prefix))
            if named is not None:
                return named
            known = [name for name, number in by_name.items() if number]
            suggestion = nearest(value.upper().removeprefix(prefix), known)
            raise Unfit(f"must be one of {', '.join(known)}, not {shown(value)}", suggestion)
        numbered: int = integer()(value)
        if numbered not in enum.values_by_number:
            raise Unfit(f"{enum.name} has no value {numbered}")
        return numbered

    return convert


def duration(value: Any) -> Duration:
    """A Duration from `10s`, `0.5s` or a timedelta. Raises Unfit."""
    made = Duration()
    if isinstance(value, timedelta):
        made.FromTimedelta(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        made.FromJsonString(value)
    else:
        raise Unfit(f"must be a duration in seconds such as 10s or 0.5s, not {shown(value)}", _seconds(value))
    return made


def canonical(field: FieldDescriptor, value: Any) -> Any:
    """A field's value in JSON; one form for one value."""
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return exact_float(value)
    return exact_integer(value) if isinstance(value, int) and not isinstance(value, bool) else value


def exact_integer(value: int) -> int | str:
    """The integer, as a decimal string if a double cannot hold it."""
    return value if -EXACT <= value <= EXACT else str(value)


def exact_float(value: float) -> float | str:
    """The number, as text if JSON has none for it."""
    if math.isfinite(value):
        return value + 0.0  # one zero
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def shown(value: Any) -> str:
    """The value as a message shows it."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return repr(value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "...")
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        value = int(value)  # all numbers of a Struct are floats, whatever was written
    return str(value)[:_MAX_SHOWN] if isinstance(value, int | float) else f"{type(value).__name__}"


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Unfit(f"must be base64, not {shown(value)}")
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise Unfit(f"must be base64, not {shown(value)}") from None


def _float(value: Any) -> float:
    converted = number(value)
    if math.isfinite(converted) and abs(converted) > _MAX_FLOAT:
        raise Unfit(f"{converted} does not fit a float")
    return converted


def _quoted(value: Any) -> str:
    return f'"{shown(value)}"' if isinstance(value, bool | int | float) else ""


def _seconds(value: Any) -> str:
    """The duration that was probably meant, in the form that is read."""
    found = _FREE_DURATION.fullmatch(str(value).strip().lower()) if isinstance(value, str | int | float) else None
    if found is None:
        return ""
    unit = found[2]
    factor = 0.001 if unit.startswith(("ms", "mil")) else _SECONDS[unit[:1]]
    return f"{float(found[1]) * factor:.9f}".rstrip("0").rstrip(".") + "s"


_BY_TYPE: Final[dict[int, Convert]] = {
    FieldDescriptor.CPPTYPE_BOOL: boolean,
    FieldDescriptor.CPPTYPE_STRING: text,
    FieldDescriptor.CPPTYPE_DOUBLE: number,
    FieldDescriptor.CPPTYPE_FLOAT: _float,
}
