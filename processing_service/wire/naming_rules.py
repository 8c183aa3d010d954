"""The rules that keep every name of the contract the same in Python, C#, JSON, Java, Go and TypeScript, as a linter.

    N1  a field or oneof is words of letters, then optional digits
    N2  two one-letter words never follow each other
    N3  within a message, names differ by more than case and `_`
    N4  no name that a language has taken
    N5  no field is called like its message
    N6  no two generated members have one name
    N7  an enum value is ENUM_NAME_ and words
    N8  messages, enums, services, RPCs, packages and files
    N9  no json_name

Run it over a descriptor set: `python -m processing_service.wire.naming_rules SET.binpb`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from processing_service.wire import reserved_names
from processing_service.wire.naming import NAME, fold, rotate, to_camel, to_pascal, words

_SHAPE: Final = re.compile(r"[a-z]+[0-9]*(?:_[a-z]+[0-9]*)*")
_VALUE: Final = re.compile(r"[A-Z]+[0-9]*(?:_[A-Z]+[0-9]*)*")
_COMPOSITE: Final = (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_GROUP)

_SEGMENT: Final = "a segment of a C# namespace of the contract"

_JAVA_SIBLINGS: Final = {
    FieldDescriptorProto.TYPE_STRING: ("_bytes",),
    FieldDescriptorProto.TYPE_MESSAGE: ("_builder", "_or_builder"),
    FieldDescriptorProto.TYPE_ENUM: ("_value",),
}
_JAVA_REPEATED_SIBLINGS: Final = ("_list", "_count")


@dataclass(frozen=True, slots=True)
class Fault:
    """One name that breaks one rule."""

    file: str
    element: str
    """The name with those it stands in, such as `Session.model_id`."""
    rule: str
    """N1 to N9."""
    what: str
    suggestion: str = ""
    """A name that would pass this rule, made mechanically; a reworded one often reads better."""

    def __str__(self) -> str:
        return f"{self.file}: {self.element}: {self.rule}: {self.what}: {self.suggestion or 'choose another name'}"


_Finding = tuple[str, str, str, str]
"""Element, rule, what, suggestion."""


def faults(descriptor_set: FileDescriptorSet) -> list[Fault]:
    """Every fault of the files of the set, in their order; files of google.* are not ours to judge."""
    files = [file for file in descriptor_set.file if not file.package.startswith("google.")]
    segments = {segment for file in files for segment in _namespace(file).split(".")}
    found = [Fault(file.name, *finding) for file in files for finding in _file(file, segments)]
    return found + [Fault(name, *finding) for name, finding in _shared_base_names(files)]


def main(arguments: Sequence[str]) -> int:
    """Prints the faults of the descriptor set at the path given; 1 if there are any, 2 without a path."""
    if len(arguments) != 1:
        print("usage: python -m processing_service.wire.naming_rules DESCRIPTOR_SET", file=sys.stderr)
        return 2
    found = faults(FileDescriptorSet.FromString(Path(arguments[0]).read_bytes()))
    for fault in found:
        print(fault)
    return 1 if found else 0


def _file(file: FileDescriptorProto, segments: set[str]) -> Iterator[_Finding]:
    base = PurePosixPath(file.name).stem
    if not NAME.fullmatch(base):
        yield base, "N8", "a file is named as a field would be", _respelled(base)
    for segment in file.package.split("."):
        if not _SHAPE.fullmatch(segment):
            yield file.package, "N8", f"package segment {segment!r} is not lower-case words", _respelled(segment)
        yield from _taken(file.package, segment, "N8", reserved_names.PACKAGE_SEGMENTS)
    taken = {
        **reserved_names.TYPES,
        **dict.fromkeys(segments, _SEGMENT),
        f"{to_pascal(base)}Reflection": "the C# class that holds the file's descriptor",
    }
    for message in file.message_type:
        yield from _message(message, message.name, taken)
    for enum in file.enum_type:
        yield from _enum(enum, enum.name, taken)
    for service in file.service:
        yield from _service(service, segments)
    for extension in file.extension:
        yield from _field_name(extension.name, extension.name)


def _message(message: DescriptorProto, path: str, taken: Mapping[str, str]) -> Iterator[_Finding]:
    if message.options.map_entry:
        return
    yield from _pascal(path, message.name, "message")
    yield from _taken(path, message.name, "N8", taken)
    names = [field.name for field in message.field] + _oneofs(message)
    for name in [*names, *(extension.name for extension in message.extension)]:
        yield from _field_name(f"{path}.{name}", name)
    yield from _shared_folds(path, names)
    yield from _own_name(message, path)
    yield from _csharp_clashes(message, path)
    yield from _other_clashes(message, path, set(names))
    yield from _json_names(message, path)
    for nested in message.nested_type:
        yield from _message(nested, f"{path}.{nested.name}", taken)
    for enum in message.enum_type:
        yield from _enum(enum, f"{path}.{enum.name}", taken)


def _field_name(element: str, name: str) -> Iterator[_Finding]:
    if not _SHAPE.fullmatch(name):
        yield element, "N1", "not words of lower-case letters, then optional digits", _respelled(name)
        return
    if not NAME.fullmatch(name):
        yield element, "N2", "two one-letter words follow each other", ""
    yield from _taken(element, name, "N4", reserved_names.FIELDS)
    if rotate(name.split("_")) != name:
        yield element, "N4", "a leading `id` is the legacy spelling of an identifier", rotate(name.split("_"))


def _shared_folds(path: str, names: Sequence[str]) -> Iterator[_Finding]:
    first: dict[str, str] = {}
    for name in names:
        if fold(name) in first:
            yield f"{path}.{name}", "N3", f"differs from {first[fold(name)]!r} by no more than case and `_`", ""
        first.setdefault(fold(name), name)


def _own_name(message: DescriptorProto, path: str) -> Iterator[_Finding]:
    for field in message.field:
        if to_pascal(field.name) == message.name:
            yield f"{path}.{field.name}", "N5", "C# appends `_` to a property called like its message", ""


def _csharp_clashes(message: DescriptorProto, path: str) -> Iterator[_Finding]:
    """Members that C# generates from two names, or with the name of the class."""
    owners: dict[str, str] = {}
    for name, members in _csharp_members(message):
        for member in members:
            owner = owners.setdefault(member, name)
            if fold(owner) != fold(name):
                yield f"{path}.{name}", "N6", f"C# makes {member!r} of {owner!r} too", ""
            elif member == message.name and member != to_pascal(name):
                yield f"{path}.{name}", "N6", f"C# makes {member!r} of it, which is the name of the class", ""


def _csharp_members(message: DescriptorProto) -> Iterator[tuple[str, list[str]]]:
    for field in message.field:
        pascal = to_pascal(field.name)
        members = [pascal, f"{pascal}FieldNumber", f"{to_camel(field.name)}_"]
        if field.HasField("oneof_index") and field.type not in _COMPOSITE:
            members += [f"Has{pascal}", f"Clear{pascal}"]
        if field.proto3_optional and field.type not in _COMPOSITE:
            members.append(f"{pascal}DefaultValue")
        yield field.name, members
    for oneof in _oneofs(message):
        pascal, camel = to_pascal(oneof), to_camel(oneof)
        yield oneof, [f"{pascal}OneofCase", f"{pascal}Case", f"Clear{pascal}", f"{camel}_", f"{camel}Case_"]


def _other_clashes(message: DescriptorProto, path: str, names: set[str]) -> Iterator[_Finding]:
    """Siblings that Java or Go rename or refuse, and the oneof case that C# renames."""
    for field in message.field:
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        for suffix in _JAVA_REPEATED_SIBLINGS if repeated else _JAVA_SIBLINGS.get(field.type, ()):
            if field.name + suffix in names:
                yield f"{path}.{field.name}{suffix}", "N6", f"Java has this accessor from {field.name!r}", ""
        if f"get_{field.name}" in names:
            yield f"{path}.get_{field.name}", "N6", f"Go has this getter from {field.name!r}", ""
        if field.name == "none" and field.HasField("oneof_index") and not field.proto3_optional:
            yield f"{path}.none", "N6", "C# calls the case of an unset oneof None", ""


def _json_names(message: DescriptorProto, path: str) -> Iterator[_Finding]:
    for field in message.field:
        default = re.sub("_+(.?)", lambda letter: letter[1].upper(), field.name)
        if field.json_name not in ("", default):
            yield f"{path}.{field.name}", "N9", f"json_name {field.json_name!r} is not {default!r}", field.name


def _enum(enum: EnumDescriptorProto, path: str, taken: Mapping[str, str]) -> Iterator[_Finding]:
    yield from _pascal(path, enum.name, "enum")
    yield from _taken(path, enum.name, "N8", taken)
    prefix = "_".join(words(enum.name)).upper() + "_"
    for value in enum.value:
        rest = value.name.removeprefix(prefix)
        if rest == value.name or not _VALUE.fullmatch(rest):
            suggestion = prefix + _respelled(rest).upper() if _respelled(rest) else ""
            yield f"{path}.{value.name}", "N7", f"not {prefix} and words of capitals, then optional digits", suggestion


def _service(service: ServiceDescriptorProto, segments: set[str]) -> Iterator[_Finding]:
    yield from _pascal(service.name, service.name, "service")
    if not service.name.endswith("Service"):
        yield service.name, "N8", "a service ends in Service", f"{service.name}Service"
    services = {**reserved_names.SERVICES, **dict.fromkeys(segments, _SEGMENT)}
    yield from _taken(service.name, service.name, "N8", services)
    stub = "a class that C# makes of the service"
    rpcs = {**reserved_names.RPCS, f"{service.name}Client": stub, f"{service.name}Base": stub}
    for method in service.method:
        element = f"{service.name}.{method.name}"
        yield from _pascal(element, method.name, "RPC")
        yield from _taken(element, method.name, "N8", rpcs)
        if method.name.endswith("Async"):
            yield element, "N8", "C# adds Async by itself", method.name.removesuffix("Async")
    yield from (
        (element, "N8", what, suggestion)
        for element, _, what, suggestion in _shared_folds(service.name, [method.name for method in service.method])
    )


def _shared_base_names(files: Sequence[FileDescriptorProto]) -> Iterator[tuple[str, _Finding]]:
    first: dict[str, str] = {}
    for file in files:
        base = PurePosixPath(file.name).stem
        if first.setdefault(to_pascal(base), file.name) != file.name:
            what = f"C# makes one file of it and of {first[to_pascal(base)]}"
            yield file.name, (base, "N8", what, "")


def _pascal(element: str, name: str, kind: str) -> Iterator[_Finding]:
    spelled = "_".join(words(name))
    if to_pascal(spelled) != name:
        yield element, "N8", f"a {kind} is PascalCase, acronyms too", to_pascal(spelled)


def _taken(element: str, name: str, rule: str, names: Mapping[str, str]) -> Iterator[_Finding]:
    if name in names:
        yield element, rule, f"{name!r} is {names[name]}", ""


def _oneofs(message: DescriptorProto) -> list[str]:
    """The oneofs that were written; an `optional` field has one of its own that no language shows."""
    own = {field.oneof_index for field in message.field if field.proto3_optional}
    return [oneof.name for index, oneof in enumerate(message.oneof_decl) if index not in own]


def _respelled(name: str) -> str:
    """The name in the right shape, as the generators split it; empty if it cannot be had mechanically."""
    spelled = rotate(words(name))
    kept = len(fold(spelled)) == len(fold(name))
    return spelled if kept and spelled != name else ""


def _namespace(file: FileDescriptorProto) -> str:
    return file.options.csharp_namespace or ".".join(map(to_pascal, file.package.split(".")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
