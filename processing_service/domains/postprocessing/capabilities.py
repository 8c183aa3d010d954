"""What the service can do, told in the words of the contract."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from processing_service.domains.postprocessing.registry import OPERATIONS
from processing_service.domains.postprocessing.settings import PostprocessingSettings

_DESCRIPTOR_SET: Final = "coordinator.binpb"


def describe(settings: PostprocessingSettings) -> pb.GetPostprocessingCapabilitiesResponse:
    """The operations by name, and the limits."""
    return pb.GetPostprocessingCapabilitiesResponse(
        operations=[_describe_operation(name) for name in sorted(OPERATIONS)],
        max_pixels=settings.max_pixels,
        max_image_bytes=settings.max_image_bytes,
    )


def _describe_operation(name: str) -> pb.OperationInfo:
    request, reply = pb.PostPostprocessingExecuteRequest.DESCRIPTOR, pb.PostPostprocessingExecuteResponse.DESCRIPTOR
    message, result = _message_of(request, name), _message_of(reply, name)
    return pb.OperationInfo(
        name=name,
        description=_comments().get(message.full_name, ""),
        parameters=[_describe_parameter(field) for field in message.fields],
        result_type_name=result.full_name,
    )


def _message_of(envelope: Descriptor, name: str) -> Descriptor:
    message = envelope.fields_by_name[name].message_type
    assert message is not None
    return message


def _describe_parameter(field: FieldDescriptor) -> pb.ParameterInfo:
    named = field.message_type or field.enum_type
    type_name = named.full_name if named else _scalar_name(field)
    return pb.ParameterInfo(
        name=field.name,
        type_name=f"repeated {type_name}" if field.is_repeated else type_name,
        description=_comments().get(field.full_name, ""),
    )


def _scalar_name(field: FieldDescriptor) -> str:
    """The type as a .proto file spells it: `int32`."""
    types = {value: name for name, value in vars(FieldDescriptor).items() if name.startswith("TYPE_")}
    return types[field.type].removeprefix("TYPE_").lower()


@cache
def _comments() -> dict[str, str]:
    """Comments of the contract by full name of message and field; empty where its descriptor set is not installed."""
    packaged = resources.files("coordinator") / _DESCRIPTOR_SET
    if not packaged.is_file():
        return {}
    comments: dict[str, str] = {}
    for file in FileDescriptorSet.FromString(packaged.read_bytes()).file:
        for location in file.source_code_info.location:
            match list(location.path):  # field numbers of FileDescriptorProto and DescriptorProto
                case [4, message]:
                    name = file.message_type[message].name
                case [4, message, 2, field]:
                    name = f"{file.message_type[message].name}.{file.message_type[message].field[field].name}"
                case _:
                    continue
            comments[f"{file.package}.{name}"] = " ".join(location.leading_comments.split())
    return comments
