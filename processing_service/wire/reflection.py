"""Server reflection under both of its names, so that grpcurl and its like need no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1: Final = "grpc.reflection.v1.ServerReflection"
"""Equal to v1alpha on the wire. It is served and never listed: its descriptor is in no pool, and clients that are told
of it look for that."""


class MoreServices(Protocol):
    """Services that come and go while the server runs, with descriptors in pools of their own."""

    def names(self) -> Sequence[str]:
        """Full names, as the caller of the moment may see them."""

    def file_of(self, symbol: str) -> FileDescriptor | None:
        """The file that has a symbol; None if none of theirs has it."""

    def file_named(self, path: str) -> FileDescriptor | None:
        """The file of that name; None if it is none of theirs."""


class _Reflection(reflection.aio.ReflectionServicer):
    """Also finds methods, which the pool of upb does not know by name: they are in the file of their service.

    Args:
        services: full names.
        more: those that come and go; None if there are none.
    """

    def __init__(self, services: Iterable[str], more: MoreServices | None) -> None:
        super().__init__(services)
        self._more = more

    def _list_services(self, request: Any) -> Any:
        listed = super()._list_services(request)  # type: ignore[misc]  # not in the stubs
        for name in self._more.names() if self._more is not None else ():
            listed.list_services_response.service.add(name=name)
        return listed

    def _file_by_filename(self, request: Any, filename: str) -> Any:
        file = self._more.file_named(filename) if self._more is not None else None
        return super()._file_by_filename(request, filename) if file is None else _found(request, file)  # type: ignore[misc]

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        file = self._more.file_of(fully_qualified_name) if self._more is not None else None
        if file is not None:
            return _found(request, file)
        found = super()._file_containing_symbol(request, fully_qualified_name)  # type: ignore[misc]  # not in the stubs
        parent = fully_qualified_name.rpartition(".")[0]
        if not found.HasField("error_response") or not parent:
            return found
        of_parent = super()._file_containing_symbol(request, parent)  # type: ignore[misc]
        return found if of_parent.HasField("error_response") else of_parent


def _found(request: Any, file: FileDescriptor) -> Any:
    """A file of a pool of its own and all that it imports."""
    servicer = reflection.aio.ReflectionServicer((), file.pool)
    return servicer._file_by_filename(request, file.name)  # type: ignore[attr-defined]  # not in the stubs


def add_reflection(services: Iterable[str], server: grpc.aio.Server, more: MoreServices | None = None) -> None:
    """Lets clients read the descriptors of the services, given by their full names, and of those that come and go."""
    servicer = _Reflection([*services, reflection.SERVICE_NAME], more)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (reflection.SERVICE_NAME, V1):
        generic = grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
        server.add_generic_rpc_handlers((generic,))
