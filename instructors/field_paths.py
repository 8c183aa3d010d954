"""Field paths: where in a message a value stands, such as `echo.datum`, `inputs.x`, `crops[2]`.

After a map field comes its key: `inputs.x`, or quoted, `inputs["x.y"]`. Where the values of a map are bytes, tensors or
data, all that follows is the key, so that names of tensors may have dots.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from processing_service.wire.errors import CoordinatorError, invalid, nearest
from processing_service.wire.naming import spellings_of

LEAVES: Final = frozenset(kind.DESCRIPTOR.full_name for kind in (Tensor, Datum, Artifact))
"""Messages that are moved whole."""

_PART: Final = re.compile(r'\.?(?P<name>[^.\[\]"]+)|\[(?P<index>\d{1,6})\]|\[(?P<key>"(?:[^"\\]|\\.)*")\]')
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_TENSOR: Final = Tensor.DESCRIPTOR.full_name
_DATUM: Final = Datum.DESCRIPTOR.full_name


def is_leaf(field: FieldDescriptor) -> bool:
    """True for bytes, tensors, data and artifacts, one or many of them."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        field = field.message_type.fields_by_name["value"]
    if field.message_type is not None:
        return field.message_type.full_name in LEAVES
    return field.type == FieldDescriptor.TYPE_BYTES


def is_map(field: FieldDescriptor) -> bool:
    """True for a map field."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def entry(path: str, key: object) -> str:
    """Path of an entry of a map."""
    text = str(key)
    return f"{path}.{text}" if _PLAIN_KEY.fullmatch(text) else f"{path}[{json.dumps(text)}]"


def put(message: Message, path: str, value: bytes | Message) -> None:
    """Puts a value in at its path; data give what the field takes.

    Raises:
        CoordinatorError: FIELD_UNKNOWN, with the nearest name; FIELD_CONFLICT if something stands there; FIELD_INVALID.
    """
    _Walk(path, value).message(message, path)


class _Walk:
    """One value on its way in."""

    def __init__(self, path: str, value: bytes | Message) -> None:
        self.path, self.value = path, value

    def message(self, message: Any, rest: str) -> None:
        part, rest = self.next(rest)
        field = self.field(message.DESCRIPTOR, part["name"] or "")
        if is_map(field):
            self.entry(getattr(message, field.name), field, rest)
        elif field.is_repeated:
            self.element(getattr(message, field.name), field, rest)
        elif rest:
            self.inside(message, field, rest)
        else:
            self.single(message, field)

    def inside(self, message: Any, field: FieldDescriptor, rest: str) -> None:
        if field.message_type is None:
            raise self.invalid(f"{field.name} has no fields")
        self.message(getattr(message, field.name), rest)

    def single(self, message: Any, field: FieldDescriptor) -> None:
        if message.HasField(field.name) if field.has_presence else getattr(message, field.name):
            raise self.conflict()
        if field.message_type is None:
            setattr(message, field.name, self.scalar(field))
        else:
            self.fill(getattr(message, field.name))

    def entry(self, container: Any, field: FieldDescriptor, rest: str) -> None:
        assert field.message_type is not None
        value = field.message_type.fields_by_name["value"]
        quoted = rest.startswith('["')
        if is_leaf(value) and rest and not quoted:
            key, rest = rest.removeprefix("."), ""
        else:
            part, rest = self.next(rest)
            key = json.loads(part["key"]) if quoted else (part["name"] or part["index"])
        if field.message_type.fields_by_name["key"].type != FieldDescriptor.TYPE_STRING:
            raise self.invalid("only entries of maps by text have a path")
        if rest:
            self.message(container[key], rest)
        elif key in container:
            raise self.conflict()
        elif value.message_type is None:
            container[key] = self.scalar(value)
        else:
            self.fill(container[key])

    def element(self, container: Any, field: FieldDescriptor, rest: str) -> None:
        part, rest = self.next(rest)
        if part["index"] is None:
            raise self.invalid(f"{field.name} is a list: write {field.name}[0]")
        index = int(part["index"])
        if index > len(container):
            raise self.invalid(f"{field.name} has {len(container)} elements; give those before this one first")
        if index < len(container) and not rest:
            raise self.conflict()
        if field.message_type is None:
            container.append(self.scalar(field))
            return
        inner = container.add() if index == len(container) else container[index]
        if rest:
            self.message(inner, rest)
        else:
            self.fill(inner)

    def scalar(self, field: FieldDescriptor) -> bytes:
        value = self.value
        if isinstance(value, Datum) and value.WhichOneof("content") == "inline_bytes":
            value = value.inline_bytes
        if field.type != FieldDescriptor.TYPE_BYTES or not isinstance(value, bytes):
            raise self.invalid(f"{field.name} is not a field for {_kind(value)}")
        return value

    def fill(self, message: Any) -> None:
        """Sets a message that is still empty."""
        value, wanted = self.value, message.DESCRIPTOR.full_name
        if isinstance(value, Message) and value.DESCRIPTOR.full_name == wanted:
            message.SetInParent()
            message.MergeFromString(value.SerializeToString())
        elif wanted == _DATUM and isinstance(value, bytes):
            message.inline_bytes = value
        elif wanted == _DATUM and isinstance(value, Tensor):
            message.tensor.CopyFrom(value)
        elif isinstance(value, Datum) and wanted == _TENSOR and value.HasField("tensor"):
            message.CopyFrom(value.tensor)
        elif isinstance(value, Datum) and value.HasField("inline_bytes"):
            self.decode(message, value.inline_bytes)
        else:
            raise self.invalid(f"wants a {wanted}, not {_kind(value)}")

    def decode(self, message: Message, data: bytes) -> None:
        message.SetInParent()
        try:
            message.MergeFromString(data)
        except DecodeError as error:
            raise self.invalid(f"the bytes are not a {message.DESCRIPTOR.full_name}") from error

    def field(self, descriptor: Descriptor, spelling: str) -> FieldDescriptor:
        name = spellings_of(descriptor).find(spelling)
        if not name:
            near = nearest(spelling[:64], descriptor.fields_by_name)
            reason = ErrorReason.ERROR_REASON_FIELD_UNKNOWN
            raise invalid(reason, self.path[:256], f"{descriptor.name} has no such field", near)
        return descriptor.fields_by_name[name]

    def next(self, rest: str) -> tuple[dict[str, str], str]:
        match = _PART.match(rest)
        if match is None:
            raise self.invalid("is not a field path; write it as in inputs.x or crops[0]")
        return match.groupdict(), rest[match.end() :]

    def conflict(self) -> CoordinatorError:
        text = "given in parameters and in payloads; give it once"
        return invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, self.path[:256], text)

    def invalid(self, text: str) -> CoordinatorError:
        return invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, self.path[:256], text)


def _kind(value: bytes | Message) -> str:
    if isinstance(value, Datum):
        return f"a datum with {value.WhichOneof('content') or 'nothing in it'}"
    return "bytes" if isinstance(value, bytes) else f"a {value.DESCRIPTOR.full_name}"
