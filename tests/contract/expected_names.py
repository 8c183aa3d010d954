"""What C# should call each element of the contract, by the rule; what it should call each vector, by its columns."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor

from processing_service.wire.naming import to_camel, to_pascal, words
from tests.contract import vectors
from tests.contract.every_field import files, messages


def of_contract() -> dict[str, str]:
    """What the rule makes of each name of the contract."""
    enums = [enum for file in files() for enum in file.enum_types_by_name.values()]
    enums += [enum for message in messages() for enum in message.enum_types]
    names: dict[str, str] = {}
    for message in messages():
        names |= by_rule((field.full_name, field.name) for field in message.fields) | _oneofs(message)
    for enum in enums:
        names |= _values(enum)
    return names


def by_rule(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What the rule makes of fields, given by full name and name; System.Text.Json finds the way back by itself."""
    return {
        f"{full_name} {element}": made
        for full_name, name in fields
        for element, made in {
            "property": to_pascal(name),
            "json": to_camel(name),
            "CamelCase": to_camel(name),
            "SnakeCaseLower": name,
        }.items()
    }


def of_vectors() -> dict[str, str]:
    """What the columns of the vectors say that generators and policies made of them."""
    return {
        f"{vectors.field_of(vector)} {element}": made
        for vector in vectors.VECTORS
        for element, made in _columns(vector).items()
    }


def _columns(vector: dict[str, Any]) -> dict[str, str]:
    """A policy that agrees with the JSON key, or with the name, has no column."""
    return {
        "property": vector["pascal_csharp"],
        "json": vector["camel_json"],
        "CamelCase": vector.get("stj_camel_case", vector["camel_json"]),
        "SnakeCaseLower": vector.get("stj_snake_case_lower", vector["snake"]),
    }


def _oneofs(message: Descriptor) -> dict[str, str]:
    written = [oneof for oneof in message.oneofs if oneof.name != f"_{oneof.fields[0].name}"]
    return {
        f"{message.full_name} {to_pascal(oneof.name)}Case": f"{to_pascal(oneof.name)}OneofCase: "
        + ", ".join(["None", *(to_pascal(field.name) for field in oneof.fields)])
        for oneof in written
    }


def _values(enum: EnumDescriptor) -> dict[str, str]:
    prefix = "_".join(words(enum.name)).upper() + "_"
    return {
        f"{enum.full_name}.{value.name} value": to_pascal(value.name.removeprefix(prefix).lower())
        for value in enum.values
    }
