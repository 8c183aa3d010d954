"""Server reflection under both of its names, so that grpcurl and its like need no files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1: Final = "grpc.reflection.v1.ServerReflection"
"""Equal to v1alpha on the wire. It is served and never listed: its descriptor is in no pool, and clients that are told
of it look for that."""


class _Reflection(reflection.aio.ReflectionServicer):
    """Also finds methods, which the pool of upb does not know by name: they are in the file of their service."""

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        found = super()._file_containing_symbol(request, fully_qualified_name)  # type: ignore[misc]  # not in the stubs
        parent = fully_qualified_name.rpartition(".")[0]
        if not found.HasField("error_response") or not parent:
            return found
        of_parent = super()._file_containing_symbol(request, parent)  # type: ignore[misc]
        return found if of_parent.HasField("error_response") else of_parent


def add_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Lets clients read the descriptors of the services, given by their full names."""
    servicer = _Reflection([*services, reflection.SERVICE_NAME])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (reflection.SERVICE_NAME, V1):
        generic = grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
        server.add_generic_rpc_handlers((generic,))
