"""Messages with every field set, each to a value that no other field has."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

_SIGNED = {FieldDescriptor.CPPTYPE_INT32: -1, FieldDescriptor.CPPTYPE_INT64: -(2**40)}
_UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32: 2**31, FieldDescriptor.CPPTYPE_UINT64: 2**63}
_FRACTIONS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def files() -> list[FileDescriptor]:
    """Every file of the contract, as Python has it."""
    generated = Path(__file__).parents[2] / "generated" / "python" / "coordinator"
    modules = [(*path.parts[-3:-1], path.stem) for path in sorted(generated.rglob("*_pb2.py"))]
    return [import_module(".".join(["coordinator", *module])).DESCRIPTOR for module in modules]


def messages() -> list[Descriptor]:
    """Every message of the contract, also those inside others, without the entries of maps."""
    return [message for file in files() for message in _with_nested(list(file.message_types_by_name.values()))]


def _with_nested(declared: Sequence[Descriptor]) -> Iterator[Descriptor]:
    for message in declared:
        if not message.GetOptions().map_entry:
            yield message
            yield from _with_nested(message.nested_types)


def samples(descriptor: Descriptor) -> Iterator[Message]:
    """Messages that together set every field; one for each member of the largest oneof.

    A message inside itself is set once, not for ever.
    """
    numbers = count(1)
    for choice in range(max((len(oneof.fields) for oneof in descriptor.oneofs), default=1)):
        message = message_factory.GetMessageClass(descriptor)()
        _fill(message, choice, numbers, ())
        yield message


def _fill(message: Message, choice: int, numbers: Iterator[int], outer: tuple[str, ...]) -> None:
    outer = (*outer, message.DESCRIPTOR.full_name)
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        chosen = oneof is None or oneof.fields[choice % len(oneof.fields)] == field
        inner = field.message_type
        if chosen and (inner is None or outer.count(inner.full_name) <= 1):
            _set(message, field, choice, numbers, outer)


def _set(message: Message, field: FieldDescriptor, choice: int, numbers: Iterator[int], outer: tuple[str, ...]) -> None:
    target, inner = getattr(message, field.name), field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        key, value = _scalar(inner.fields_by_name["key"], next(numbers)), inner.fields_by_name["value"]
        if value.message_type is None:
            target[key] = _scalar(value, next(numbers))
        else:
            _message(target[key], choice, numbers, outer)
    elif inner is not None:
        _message(target.add() if field.is_repeated else target, choice, numbers, outer)
    elif field.is_repeated:
        target.extend([_scalar(field, next(numbers)), _scalar(field, next(numbers))])
    else:
        setattr(message, field.name, _scalar(field, next(numbers)))


def _message(message: Message, choice: int, numbers: Iterator[int], outer: tuple[str, ...]) -> None:
    message.SetInParent()
    number = next(numbers)
    match message:
        case Timestamp():
            message.seconds, message.nanos = 1_700_000_000 + number, number * 1000
        case Duration():
            message.seconds, message.nanos = number, number * 1_000_000
        case Struct():
            message.update(_json(number))
        case Value():
            whole: list[object] = [None, *_json(number).values(), _json(number)]
            message.CopyFrom(_value(whole[number % len(whole)]))
        case _:
            _fill(message, choice, numbers, outer)


def _scalar(field: FieldDescriptor, number: int) -> object:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(field.enum_type, number)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return True
    if kind == FieldDescriptor.CPPTYPE_STRING:
        is_bytes = field.type == FieldDescriptor.TYPE_BYTES
        return b"\x00\xff" + number.to_bytes(4, "little") if is_bytes else f'"text" {number} \\ é 🖼'
    if kind in _FRACTIONS:
        return number + 0.5
    return _SIGNED[kind] * number if kind in _SIGNED else _UNSIGNED[kind] + number


def _enum(declared: EnumDescriptor, number: int) -> int:
    values = [value.number for value in declared.values if value.number]
    return values[number % len(values)]


def _json(number: int) -> dict[str, object]:
    return {
        "fraction": number + 0.25,
        "idModel": f"text {number}",
        "yes": True,
        "list": [None, number, {"a_b": number}],
    }


def _value(value: object) -> Value:
    holder = Struct()
    holder.update({"value": value})
    return holder.fields["value"]
