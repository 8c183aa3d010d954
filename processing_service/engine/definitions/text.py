"""A definition as canonical JSON and its digest, and as YAML for people."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

import rfc8785
import yaml
from coordinator.processing.v1.processing_pb2 import Workflow
from google.protobuf import json_format

from processing_service.engine.definitions.literals import EXACT
from processing_service.engine.definitions.source import BOOLEANS, FLOAT, INTEGER, NULLS

SERVER_FIELDS: Final = ("digest", "revision", "created_at", "updated_at")
"""Fields of a Workflow that the server sets."""

_PEOPLE_FIELDS: Final = ("title", "description")
_VALUE_TYPE: Final = "VALUE_TYPE_"
_WIDTH: Final = 100
_OTHER_BREAKS: Final = re.compile("[\r\x85\u2028\u2029]")
"""Line breaks that do not come back from a block or from plain text as what they were."""


def digest(workflow: Workflow) -> str:
    """SHA-256 over the canonical JSON (RFC 8785) of a normalised definition, 64 hexadecimal digits.

    What is for people (title, descriptions), what the server sets and every unset field are left out.
    """
    return hashlib.sha256(canonical_json(workflow)).hexdigest()


def canonical_json(workflow: Workflow) -> bytes:
    """The canonical JSON that the digest is taken of."""
    values = _values(workflow)
    for name in _PEOPLE_FIELDS:
        values.pop(name, None)
    described = (*values.get("parameters", {}).values(), *values.get("outputs", {}).values(), *values.get("steps", []))
    for value in described:
        value.pop("description", None)
    return bytes(rfc8785.dumps(_with_floats(values)))


def to_source(workflow: Workflow) -> str:
    """YAML that parses to the same definition; without what the server sets."""
    values = _values(workflow)
    for parameter in values.get("parameters", {}).values():
        parameter["value_type"] = parameter["value_type"].removeprefix(_VALUE_TYPE).lower()
    for name in ("parameters", "outputs", "labels"):
        if name in values:
            values[name] = _for_people(values[name])
    for step in values.get("steps", []):
        if "parameters" in step:
            step["parameters"] = _for_people(step["parameters"])
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _values(workflow: Workflow) -> dict[str, Any]:
    values = json_format.MessageToDict(workflow, preserving_proto_field_name=True)
    return {name: value for name, value in values.items() if name not in SERVER_FIELDS}


def _with_floats(value: Any) -> Any:
    """Integers as doubles, which a Struct holds and RFC 8785 writes alike."""
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _for_people(value: Any) -> Any:
    """Keys in order, and whole numbers without a point."""
    if isinstance(value, dict):
        return {key: _for_people(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_for_people(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= EXACT
    return int(value) if whole else value


class _Dumper(yaml.SafeDumper):
    """Writes what the reader of definitions reads: plain scalars of YAML 1.2, long text in blocks, no aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _OTHER_BREAKS.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _anchored(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(f"(?:{'|'.join(map(re.escape, words))})$")


_Dumper.add_representer(str, _write_text)
for _tag, _pattern in (
    ("null", _anchored(NULLS)),
    ("bool", _anchored(BOOLEANS)),
    ("int", re.compile(f"(?:{INTEGER.pattern})$")),
    ("float", re.compile(f"(?:{FLOAT.pattern})$")),
):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, None)
