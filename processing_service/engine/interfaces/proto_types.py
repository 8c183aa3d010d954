"""Types as they are written in a .proto."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from processing_service.wire.workflow_names import PACKAGE

_ROOTS: Final = ("coordinator.", "google.")


def type_text(field: FieldDescriptorProto) -> str:
    """`int64`, `ReadTextServiceExecuteRequest`, `coordinator.payload.v1.Datum`.

    Other packages keep their leading dot: `workflows.x` would be looked for inside of `coordinator` first.
    """
    if not field.type_name:
        return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    name = field.type_name.removeprefix(".")
    if name.startswith(f"{PACKAGE}."):
        return name.removeprefix(f"{PACKAGE}.")
    return name if name.startswith(_ROOTS) else f".{name}"
