"""Reads JSON-like values into a template: names, types and bindings are checked against the descriptor.

Gathers every fault. Beside the template it gives the values in one canonical form: proto names, full enum names,
trimmed bindings, no defaults. Legacy spellings of field names are resolved with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from processing_service.engine.definitions.bindings import Scope, written
from processing_service.engine.definitions.faults import Faults, join
from processing_service.engine.definitions.json_template import JsonReader
from processing_service.engine.definitions.kinds import ANY, LOOSE, Kind, element_kind, fits, kind_of, map_entry
from processing_service.engine.definitions.literals import canonical, duration, scalar, shown
from processing_service.engine.definitions.paths import ABSENT, Unfit
from processing_service.engine.definitions.template_context import MAX_DEPTH, TemplateContext
from processing_service.engine.definitions.templates import (
    Place,
    Put,
    Slot,
    Template,
    put_appended,
    put_entry,
    put_list,
    put_map,
    put_single,
    wants_content,
)
from processing_service.engine.definitions.values import put_json, same

_DURATION: Final = "google.protobuf.Duration"
_VALUE: Final = "google.protobuf.Value"
_MAX_SHOWN: Final = 64


class TemplateReader:
    """Reads the values of one message."""

    def __init__(self, context: TemplateContext) -> None:
        self._context, self._faults = context, context.faults
        self._slots: list[Slot] = []

    def template(self, descriptor: Descriptor, values: Mapping[str, Any], path: str) -> tuple[Template, dict[str, Any]]:
        """The template of a message, and its values in canonical form."""
        literals = GetMessageClass(descriptor)()
        form = self.fill(literals, values, path)
        return self._template(literals), form

    def fill(self, message: Message, values: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Sets the literals of a message; its values in canonical form."""
        return self._message(message, values, path, Place(), 0)

    def _template(self, literals: Message) -> Template:
        return Template(self._context.owner, literals, tuple(self._slots), tuple(self._context.openings))

    def _message(
        self, message: Message, values: Mapping[str, Any], path: str, place: Place, depth: int
    ) -> dict[str, Any]:
        form: dict[str, Any] = {}
        given: dict[str, str] = {}
        chosen: dict[str, str] = {}
        descriptor: Any = message.DESCRIPTOR
        for key, value in values.items():
            if self._faults.full:
                break
            field = self._context.field(descriptor, str(key), path)
            if field is None:
                continue
            at = join(path, field.name)
            if given.setdefault(field.name, str(key)) != str(key):
                first, second = given[field.name][:_MAX_SHOWN], str(key)[:_MAX_SHOWN]
                self._faults.add(at, f"given twice, as {first!r} and as {second!r}")
            elif first := self._other_choice(field, value, chosen):
                self._faults.add(at, f"{first!r} is set too, and only one of them can be; make it a step of its own")
            else:
                found = self._value(message, field, value, at, place, depth)
                if found is not ABSENT:
                    form[field.name] = found
        return form

    @staticmethod
    def _other_choice(field: FieldDescriptor, value: Any, chosen: dict[str, str]) -> str:
        """The field of the same oneof that was set before; empty if there is none."""
        oneof = field.containing_oneof
        first = chosen.setdefault(oneof.name, field.name) if oneof is not None and value is not None else field.name
        return "" if first == field.name else first

    def _value(self, message: Message, field: FieldDescriptor, value: Any, path: str, place: Place, depth: int) -> Any:
        """Sets a field; its canonical form, ABSENT if it is unset or faulty."""
        if value is None and (field.message_type is None or field.message_type.full_name != _VALUE):
            return ABSENT
        if depth > MAX_DEPTH:
            self._faults.add(path, f"values are nested deeper than {MAX_DEPTH}")
            return ABSENT
        entry = map_entry(field)
        text = self._context.binding_text(value)
        if text is not None and kind_of(field) is not ANY:
            return self._bind(text, kind_of(field), path, place, _put(field, entry))
        if entry is not None:
            return self._map(message, field, entry, value, path, place, depth)
        if field.is_repeated:
            return self._list(message, field, value, path, place, depth)
        return self._single(message, field, value, path, place, depth)

    def _single(self, message: Message, field: FieldDescriptor, value: Any, path: str, place: Place, depth: int) -> Any:
        if field.message_type is not None:
            return self._nested(getattr(message, field.name), value, path, place.field(field.name), depth)
        return self._scalar(message, field, value, path)

    def _scalar(self, message: Message, field: FieldDescriptor, value: Any, path: str) -> Any:
        converted = self._literal(field, value, path)
        if converted is ABSENT or (not field.has_presence and converted == field.default_value):
            return ABSENT
        setattr(message, field.name, converted)
        return self._form(field, converted, value)

    def _literal(self, field: FieldDescriptor, value: Any, path: str) -> Any:
        """One scalar; ABSENT if it is faulty."""
        value = self._context.literal(value, path)
        try:
            return value if value is ABSENT else scalar(field)(value)
        except Unfit as fault:
            self._faults.add_unfit(path, fault)
            return ABSENT

    @staticmethod
    def _form(field: FieldDescriptor, converted: Any, written_as: Any) -> Any:
        """The canonical form; text stays as written, escaped."""
        return written_as if isinstance(converted, str) else canonical(field, converted)

    def _nested(self, message: Message, value: Any, path: str, place: Place, depth: int) -> Any:
        name = message.DESCRIPTOR.full_name
        if name in LOOSE:
            return self._loose(message, value, path, place, depth)
        if name.startswith("google.protobuf."):
            return self._known(message, value, path)
        if not isinstance(value, Mapping):
            wrapped = "{value: ...}" if "value" in message.DESCRIPTOR.fields_by_name else ""
            text = f"must be an object with fields of {message.DESCRIPTOR.name}, not {shown(value)}"
            self._faults.add(path, text, wrapped)
            return ABSENT
        message.SetInParent()
        return self._message(message, value, path, place, depth + 1)

    def _known(self, message: Message, value: Any, path: str) -> Any:
        """A message with a JSON form of its own, such as a Duration."""
        descriptor: Any = message.DESCRIPTOR
        try:
            if descriptor.full_name == _DURATION:
                message.MergeFrom(same(descriptor, duration(value)))
            else:
                json_format.ParseDict(value, message)
        except Unfit as fault:
            self._faults.add_unfit(path, fault)
            return ABSENT
        except (json_format.ParseError, TypeError, ValueError):
            self._faults.add(path, f"cannot be read as a {descriptor.name}: {shown(value)}")
            return ABSENT
        return json_format.MessageToDict(message)

    def _list(self, message: Message, field: FieldDescriptor, values: Any, path: str, place: Place, depth: int) -> Any:
        if not isinstance(values, list | tuple):
            self._faults.add(path, f"must be a list, not {shown(values)}")
            return ABSENT
        if any(self._context.binding_text(value) is not None for value in values):
            return [self._append(field, value, f"{path}[{i}]", place, depth) for i, value in enumerate(values)]
        form = []
        for index, value in enumerate(values):
            at = f"{path}[{index}]"
            if field.message_type is not None:
                item = getattr(message, field.name).add()
                form.append(self._nested(item, value, at, place.field(field.name).entry(index), depth))
            elif (converted := self._literal(field, value, at)) is not ABSENT:
                getattr(message, field.name).append(converted)
                form.append(self._form(field, converted, value))
        return form or ABSENT

    def _append(self, field: FieldDescriptor, value: Any, path: str, place: Place, depth: int) -> Any:
        """An item of a list in which bindings stand: each item is appended when the message is built."""
        text, put = self._context.binding_text(value), put_appended(field, fill_fields)
        if text is not None:
            return self._bind(text, element_kind(field), path, place, put)
        if field.message_type is None:
            converted = self._literal(field, value, path)
            self._slots.append(Slot(path, "", lambda _: converted, place.reach(), put))
            return ABSENT if converted is ABSENT else self._form(field, converted, value)
        inner = TemplateReader(self._context)
        literals = GetMessageClass(field.message_type)()
        form = inner._nested(literals, value, path, Place(), depth)
        self._slots.append(Slot(path, "", inner._template(literals).build, place.reach(), put))
        return form

    def _map(
        self,
        message: Message,
        field: FieldDescriptor,
        entry: Descriptor,
        values: Any,
        path: str,
        place: Place,
        depth: int,
    ) -> Any:
        if not isinstance(values, Mapping):
            self._faults.add(path, f"must be an object, not {shown(values)}")
            return ABSENT
        inner, puts = entry.fields_by_name["value"], put_entry(entry, fill_fields)
        container, within = getattr(message, field.name), place.field(field.name)
        form = {}
        for key, value in values.items():
            at = join(path, str(key))
            name = self._literal(entry.fields_by_name["key"], key, at)
            if name is ABSENT:
                continue
            if (text := self._context.binding_text(value)) is not None:
                form[str(key)] = self._bind(text, kind_of(inner), at, within, puts(name))
            elif inner.message_type is not None:
                form[str(key)] = self._nested(container[name], value, at, within.entry(name), depth)
            elif (converted := self._literal(inner, value, at)) is not ABSENT:
                container[name] = converted
                form[str(key)] = self._form(inner, converted, value)
        return form or ABSENT

    def _bind(self, text: str, kind: Kind, path: str, place: Place, put: Put) -> Any:
        binding = self._context.compile(text, path, opened=wants_content(kind))
        if binding is not None:
            self._slots.append(Slot(path, text, binding.read, place.reach(), put))
            if not fits(binding.kind, kind):
                self._faults.add(path, f"takes {kind}, and {written(text)} is {binding.kind}")
        return written(text)

    def _loose(self, message: Message, value: Any, path: str, place: Place, depth: int) -> Any:
        """A Struct, Value or ListValue: any JSON, with bindings at any depth."""
        reader = JsonReader(self._context)
        form, read = reader.value(value, path, depth)
        if reader.bound:
            self._slots.append(Slot(path, self._context.binding_text(value) or "", read, place.reach(), _put_json))
            return form
        try:
            put_json(message, read(_NOTHING))
        except Unfit as fault:
            self._faults.add_unfit(path, fault)
        return form


def _put(field: FieldDescriptor, entry: Descriptor | None) -> Put:
    if entry is not None:
        return put_map(field, entry, fill_fields)
    return (put_list if field.is_repeated else put_single)(field, fill_fields)


def _put_json(message: Message, value: Any, scope: Scope) -> None:
    put_json(message, value)


def fill_fields(message: Message, values: Mapping[str, Any]) -> None:
    """Fills a message from the JSON-like values of a session. Raises Unfit."""
    faults = Faults()
    TemplateReader(TemplateContext(faults)).fill(message, values, "")
    if faults.violations:
        first = faults.violations[0]
        raise Unfit(f"{first.field_path}: {first.description}", first.suggestion)


_NOTHING: Final = Scope({}, {})
