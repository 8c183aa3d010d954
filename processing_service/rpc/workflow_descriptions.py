"""The services that workflows have of their own, as reflection shows them to the tenant who asks."""

from __future__ import annotations

from google.protobuf.descriptor import FileDescriptor

from processing_service.engine.interfaces.interface import Interface
from processing_service.engine.managers.interfaces import Interfaces
from processing_service.wire.callcontext import current
from processing_service.wire.workflow_names import FOLDER, PACKAGE


class DescribedWorkflows:
    """MoreServices of reflection."""

    def __init__(self, interfaces: Interfaces) -> None:
        self._interfaces = interfaces

    def names(self) -> list[str]:
        """Full names."""
        return [f"{PACKAGE}.{service}" for service in self._interfaces.services(current().tenant)]

    def file_of(self, symbol: str) -> FileDescriptor | None:
        """The file that has a symbol: a service, a message, a field or a method of one."""
        if not symbol.startswith(f"{PACKAGE}."):
            return None
        name = symbol.removeprefix(f"{PACKAGE}.").partition(".")[0]
        tenant = current().tenant
        owners = (service for service in self._interfaces.services(tenant) if name in (service, *_messages(service)))
        return _file(self._interfaces.find(tenant, next(owners, "")))

    def file_named(self, path: str) -> FileDescriptor | None:
        """The file of a workflow's service."""
        return _file(self._interfaces.with_file(current().tenant, path)) if path.startswith(FOLDER) else None


def _file(interface: Interface | None) -> FileDescriptor | None:
    return interface.file if interface is not None else None


def _messages(service: str) -> list[str]:
    return [f"{service}{rpc}{kind}" for rpc in ("Execute", "Watch") for kind in ("Request", "Response")]
