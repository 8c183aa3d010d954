"""Values on their way into an expression, within a limit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.message import Message

from processing_service.engine.definitions.paths import Unfit, json_value

MAX_VALUES: Final = 50_000
"""Most items of lists and entries of maps that one evaluation reads, together."""
MAX_CONTENT: Final = 16 << 20
"""Longest text, bytes or message that one evaluation reads, together, in characters or bytes."""


class Intake:
    """Converts the values of one evaluation, which happens on the event loop, as long as they are not too many."""

    __slots__ = ("_content", "_values")

    def __init__(self) -> None:
        self._values, self._content = MAX_VALUES, MAX_CONTENT

    def to_cel(self, value: Any) -> Any:
        """The value as the evaluator takes it. Raises Unfit for more than MAX_VALUES or MAX_CONTENT."""
        value = json_value(value)
        if isinstance(value, Message):
            if not is_known(value.DESCRIPTOR.full_name):
                return self._fields(value)
            self._take_content(value.ByteSize())
            return value
        if isinstance(value, str | bytes):
            self._take_content(len(value))
            return value
        if isinstance(value, int | float | None):
            return value
        self._take_values(len(value))
        if isinstance(value, Mapping) or hasattr(value, "keys"):
            return {key: self.to_cel(value[key]) for key in value}
        return [self.to_cel(item) for item in value]

    def _fields(self, message: Message) -> dict[str, Any]:
        """A message that CEL does not know, as a map."""
        self._take_values(len(message.DESCRIPTOR.fields))
        return {field.name: self.to_cel(getattr(message, field.name)) for field in message.DESCRIPTOR.fields}

    def _take_values(self, count: int) -> None:
        self._values -= count
        if self._values < 0:
            raise Unfit(
                f"reads more than {MAX_VALUES} values, the most that are handed to an expression: "
                "bind the list as it is, without an expression, or read a part of it"
            )

    def _take_content(self, length: int) -> None:
        self._content -= length
        if self._content < 0:
            raise Unfit(
                f"reads more than {MAX_CONTENT} characters or bytes, the most that are handed to an expression: "
                "bind the value as it is, without an expression"
            )


@lru_cache(maxsize=1024)
def is_known(type_name: str) -> bool:
    """True for a message that CEL reads as it is."""
    try:
        descriptor_pool.Default().FindMessageTypeByName(type_name)
    except KeyError:
        return False
    return True
