"""The .proto that a workflow's service is exported as."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from processing_service.engine.interfaces.proto_text import proto_text
from processing_service.engine.interfaces.publication import own_file, publish
from processing_service.engine.store.base import NEVER
from tests.unit.engine.interfaces.test_publication import defined


def test_a_description_never_leaves_its_comment() -> None:
    """Whatever breaks its lines; and what ends a file for some compilers is left out."""
    description = "one\r\ntwo\rthree\u2028four\x00\x07 */ five"
    definition = defined(parameters={"text": {"value_type": "STRING", "description": description}})
    files = FileDescriptorSet.FromString(publish(definition, NEVER, None).published.files)
    text = proto_text(own_file(files), definition.workflow)

    words = [line for line in text.splitlines() if any(word in line for word in ("two", "three", "four", "five"))]
    assert len(words) == 3
    assert all(line.startswith("  // ") for line in words)
    assert all(letter.isprintable() or letter == "\n" for letter in text)
