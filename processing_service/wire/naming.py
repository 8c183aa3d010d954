"""Field names on their way through languages, and the legacy spellings that are still accepted where names are text.

A name of the contract is words of letters, then optional digits, joined by `_` (`NAME`). For such names the conversions
below are lossless in both directions in every generated language; `naming_rules.py` keeps the contract to them, so
there is no table of name pairs anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from processing_service.wire.errors import Violation, invalid_all, nearest

NAME: Final = re.compile(r"(?!(?:.*_)?[a-z]_[a-z](?:[0-9_]|\Z))[a-z]+[0-9]*(?:_[a-z]+[0-9]*)*")
"""What a field, oneof, step or parameter may be called; use `fullmatch`.

Two one-letter words never follow each other: System.Text.Json would read `XYCoord` as `xy_coord`.
"""

_MAX_DEPTH: Final = 100
"""Messages inside messages, at most; the same limit as protobuf's own parsers."""

_MAX_FAULTS: Final = 64
_MAX_SHOWN: Final = 64
"""Characters of a caller's key that go into a message."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*")
_OPAQUE: Final = "google.protobuf."
"""Messages of this package have a JSON form of their own; what is inside a Struct belongs to the caller."""


def to_pascal(name: str) -> str:
    """`model_id` -> `ModelId`: the property in C#, the field in Go."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def to_camel(name: str) -> str:
    """`model_id` -> `modelId`: the key in JSON, the property in TypeScript and Java."""
    pascal = to_pascal(name)
    return pascal[:1].lower() + pascal[1:]


def from_pascal_or_camel(name: str) -> str:
    """`ModelId` or `modelId` -> `model_id`: the way back."""
    return name[:1].lower() + re.sub("[A-Z]", lambda capital: "_" + capital[0].lower(), name[1:])


def fold(name: str) -> str:
    """What all spellings of one name share: lower case, without `_`."""
    return name.replace("_", "").lower()


def words(name: str) -> list[str]:
    """The words of a name in whatever spelling: `idModel`, `IDModel`, `id_model` -> `id`, `model`.

    Digits belong to the word before them, and a letter after a digit starts a word, as in the generators.
    """
    return [word.lower() for word in _WORD.findall(re.sub("_+(?=[0-9])", "", name))]


def rotate(spelled: Sequence[str]) -> str:
    """The name that those words make when a leading `id` moves to the end: `id`, `model` -> `model_id`."""
    leads = len(spelled) > 1 and spelled[0] == "id"
    return "_".join([*spelled[1:], "id"] if leads else spelled)


def to_plural(noun: str) -> str:
    """The regular English plural: `model` -> `models`, `batch` -> `batches`, `entry` -> `entries`."""
    if re.search("[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search("(?:s|x|z|ch|sh)$", noun) else "s")


@dataclass(frozen=True, slots=True)
class Spellings:
    """Known names, and which of them a spelling means."""

    current: Mapping[str, str]
    """Name by each spelling that needs no warning: the name itself and its JSON form."""
    folded: Mapping[str, str]
    """Name by fold; a fold that two names share is left out."""
    listed: Mapping[str, str]
    """Name of a list of identifiers, `model_ids`, by the folds of the legacy plurals: `idmodels` and `idsmodel`."""

    @classmethod
    def of(cls, names: Iterable[str], json_names: Iterable[str] = ()) -> Spellings:
        """Spellings of these names; `json_names`, in the same order, default to the camel case of each."""
        known = list(names)
        folds = [fold(name) for name in known]
        alone = {key: name for key, name in zip(folds, known, strict=True) if folds.count(key) == 1}
        json_forms = dict(zip(list(json_names) or map(to_camel, known), known, strict=True))
        return cls(json_forms | {name: name for name in known}, alone, _listed(known))

    def find(self, spelling: str) -> str:
        """The name that `spelling` means; empty if there is none.

        In this order: the exact name, its JSON form, the same fold (`ModelId`, `modelID`, `MODEL_ID`), the same fold
        with a leading `id` moved to the end (`idModel`, `IdModel`, `id_model`), and for a list the same with the plural
        at either word (`idModels`, `ids_model` and `idsModels` for `model_ids`).
        """
        if spelling in self.current:
            return self.current[spelling]
        folded = fold(spelling)
        found = self.folded.get(folded) or self.folded.get(fold(rotate(words(spelling))))
        return found or self.listed.get(folded, "")

    def is_legacy(self, spelling: str) -> bool:
        """True for a spelling that is accepted but should be rewritten."""
        return spelling not in self.current


def _listed(names: Iterable[str]) -> dict[str, str]:
    """Each list of identifiers by its legacy plurals; one that two share is left out."""
    found: dict[str, str] = {}
    for name in names:
        noun, _, end = name.rpartition("_")
        if end != "ids" or not noun:
            continue
        for legacy in (f"id_{to_plural(noun)}", f"ids_{noun}", f"ids_{to_plural(noun)}"):
            found[fold(legacy)] = "" if fold(legacy) in found else name
    return found


@lru_cache(maxsize=1024)
def spellings_of(descriptor: Descriptor) -> Spellings:
    """The spellings of the fields of a message."""
    return Spellings.of(
        [declared.name for declared in descriptor.fields], [declared.json_name for declared in descriptor.fields]
    )


@dataclass(frozen=True, slots=True)
class Resolved:
    """Values under the names of the contract, and what callers should rewrite."""

    values: dict[str, object]
    """By proto name, at every depth."""
    warnings: tuple[str, ...]
    """One sentence for each legacy spelling of a field, with the path where it stood first."""


def resolve_keys(
    values: Mapping[str, object],
    descriptor: Descriptor,
    path: str = "",
    on_legacy: Callable[[str, str], None] = lambda full_field_name, spelling: None,
) -> Resolved:
    """Renames the keys of a JSON-like value to the proto names of `descriptor`, in nested messages too.

    Keys of maps, and all that stands inside a Struct, Value or another google.protobuf message, are left alone. Values
    are not checked.

    Args:
        values: the value of one message: mappings for messages and maps, sequences for repeated fields.
        descriptor: the message.
        path: where the value stands in a larger one, for messages; such as `steps[2].parameters`.
        on_legacy: called for each legacy spelling met, with the field's full name and the spelling.

    Raises:
        CoordinatorError: INVALID_ARGUMENT with a violation for every fault: FIELD_UNKNOWN with the nearest name,
            FIELD_CONFLICT for two keys that mean one field, FIELD_INVALID for messages nested too deep.
    """
    walk = _Walk(on_legacy)
    resolved = walk.message(values, descriptor, path, 0)
    if walk.faults:
        raise invalid_all(walk.faults[0][0], [violation for _, violation in walk.faults])
    return Resolved(resolved, tuple(walk.warnings.values()))


_Fault = tuple[ErrorReason.ValueType, Violation]


@dataclass(slots=True)
class _Walk:
    on_legacy: Callable[[str, str], None]
    warnings: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[_Fault] = field(default_factory=list)

    def message(self, values: Mapping[str, object], descriptor: Descriptor, path: str, depth: int) -> dict[str, object]:
        if depth > _MAX_DEPTH:
            self.fault(ErrorReason.ERROR_REASON_FIELD_INVALID, path, f"messages are nested deeper than {_MAX_DEPTH}")
            return {}
        resolved: dict[str, object] = {}
        given: dict[str, str] = {}
        for key, value in values.items():
            if len(self.faults) >= _MAX_FAULTS:
                break
            name = self.name(str(key), descriptor, path)
            if name in given:
                self.conflict(_join(path, name), given[name], str(key))
            elif name:
                given[name] = str(key)
                resolved[name] = self.value(value, descriptor.fields_by_name[name], _join(path, name), depth)
        return resolved

    def name(self, key: str, descriptor: Descriptor, path: str) -> str:
        spellings = spellings_of(descriptor)
        name = spellings.find(key)
        if not name:
            near = nearest("_".join(words(key[:_MAX_SHOWN])), descriptor.fields_by_name)
            description = f"{descriptor.name} has no such field"
            self.fault(ErrorReason.ERROR_REASON_FIELD_UNKNOWN, _join(path, key), description, near)
        elif spellings.is_legacy(key):
            self.legacy(descriptor.fields_by_name[name], key, path)
        return name

    def value(self, value: object, declared: FieldDescriptor, path: str, depth: int) -> object:
        inner = declared.message_type
        if inner is None:
            return value
        if inner.GetOptions().map_entry:
            return self.entries(value, inner.fields_by_name["value"], path, depth)
        if inner.full_name.startswith(_OPAQUE):
            return value
        if declared.is_repeated and isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [self.nested(item, inner, f"{path}[{index}]", depth) for index, item in enumerate(value)]
        return self.nested(value, inner, path, depth)

    def entries(self, value: object, declared: FieldDescriptor, path: str, depth: int) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: self.value(item, declared, _join(path, str(key)), depth) for key, item in value.items()}

    def nested(self, value: object, inner: Descriptor, path: str, depth: int) -> object:
        return self.message(value, inner, path, depth + 1) if isinstance(value, Mapping) else value

    def legacy(self, declared: FieldDescriptor, spelling: str, path: str) -> None:
        self.on_legacy(declared.full_name, spelling)
        sentence = f"{_join(path, spelling)}: a legacy spelling, write {declared.name}"
        self.warnings.setdefault((declared.full_name, spelling), sentence)

    def conflict(self, path: str, first: str, second: str) -> None:
        description = f"given twice, as {first[:_MAX_SHOWN]!r} and as {second[:_MAX_SHOWN]!r}"
        self.fault(ErrorReason.ERROR_REASON_FIELD_CONFLICT, path, description)

    def fault(self, reason: ErrorReason.ValueType, path: str, description: str, suggestion: str = "") -> None:
        self.faults.append((reason, Violation(path, description, suggestion)))


def _join(path: str, name: str) -> str:
    shown = name[:_MAX_SHOWN]
    return f"{path}.{shown}" if path else shown
