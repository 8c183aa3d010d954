"""A stored service of a workflow, with a descriptor pool of its own: a file cannot be added to a pool twice."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from processing_service.engine.interfaces.publication import own_file
from processing_service.wire.workflow_names import EXECUTE, WATCH


class Interface:
    """One revision of a workflow's service.

    Args:
        workflow_id: the workflow.
        files: as they are stored.
    """

    def __init__(self, workflow_id: str, files: bytes) -> None:
        self.workflow_id = workflow_id
        self._files = FileDescriptorSet.FromString(files)

    @property
    def proto(self) -> FileDescriptorProto:
        """The service's file."""
        return own_file(self._files)

    @cached_property
    def file(self) -> FileDescriptor:
        """The service's file in a pool of its own, with all that it needs."""
        pool, given = DescriptorPool(), {file.name: file for file in self._files.file}
        _add(pool, self.proto.name, given, set())
        return pool.FindFileByName(self.proto.name)

    @cached_property
    def request_class(self) -> Any:
        """Of Execute."""
        return GetMessageClass(self._method(EXECUTE).input_type)

    @cached_property
    def response_class(self) -> Any:
        """Of Execute."""
        return GetMessageClass(self._method(EXECUTE).output_type)

    @cached_property
    def watch_request_class(self) -> Any:
        """Of Watch."""
        return GetMessageClass(self._method(WATCH).input_type)

    @cached_property
    def watch_response_class(self) -> Any:
        """Of Watch."""
        return GetMessageClass(self._method(WATCH).output_type)

    def _method(self, name: str) -> Any:
        services: dict[str, ServiceDescriptor] = dict(self.file.services_by_name)
        return services[self.proto.service[0].name].methods_by_name[name]


def _add(pool: DescriptorPool, name: str, given: dict[str, FileDescriptorProto], added: set[str]) -> None:
    """Adds a file behind what it imports: one that is given, else that of the contract."""
    if name in added:
        return
    added.add(name)
    proto = given.get(name)
    if proto is None:
        proto = FileDescriptorProto()
        Default().FindFileByName(name).CopyToProto(proto)
    for dependency in proto.dependency:
        _add(pool, dependency, given, added)
    pool.Add(proto)
