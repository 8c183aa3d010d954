"""Names that a generated language, or its neighbourhood, has taken: each with who took it."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Final


def _taken(why: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), why)


FIELDS: Final[Mapping[str, str]] = (
    dict.fromkeys((word.lower() for word in keyword.kwlist), "a Python keyword")
    | _taken("the receiver of Python methods", "self")
    | _taken("a member of TypeScript objects", "constructor to_string value_of")
    | _taken(
        "a method of Go messages",
        "reset string proto_message proto_reflect marshal unmarshal extension_range_array extension_map descriptor",
    )
    | _taken(
        "an accessor of Java messages",
        "class default_instance_for_type parser_for_type serialized_size all_fields descriptor_for_type "
        "initialization_error_string unknown_fields cached_size",
    )
    | _taken(
        "a member of C# messages",
        "types descriptor equals to_string get_hash_code write_to clone calculate_size merge_from on_construction "
        "parser get_type memberwise_clone reference_equals",
    )
)
"""Fields and oneofs."""

TYPES: Final[Mapping[str, str]] = (
    _taken(
        "a member of C# messages",
        "Descriptor Parser Clone Equals ToString GetHashCode WriteTo CalculateSize MergeFrom OnConstruction Types",
    )
    | _taken(
        "a type of the implicit usings of C#",
        "Task Action Version Range Index Lock Timer Path File Type Timeout Buffer Monitor Stream Environment Random "
        "Math Host Route Results Endpoint EventId",
    )
    | _taken("a type of Grpc.Core", "Metadata Status")
    | _taken("a type of Google.Protobuf.WellKnownTypes", "Any Value Method Api Enum Field Mixin Option")
)
"""Messages and enums."""

SERVICES: Final[Mapping[str, str]] = _taken("a member of C# services", "Descriptor BindService")

RPCS: Final[Mapping[str, str]] = (
    dict.fromkeys(keyword.kwlist, "a Python keyword")
    | _taken("a member of C# clients", "CallInvoker")
    | _taken("a member of C# objects", "Equals ToString GetHashCode GetType MemberwiseClone ReferenceEquals")
)

PACKAGE_SEGMENTS: Final[Mapping[str, str]] = dict.fromkeys(keyword.kwlist, "a Python keyword") | _taken(
    "a root namespace of the libraries that C# and Java callers use", "system grpc google microsoft pb"
)
