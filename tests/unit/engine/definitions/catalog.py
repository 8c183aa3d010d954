"""The operations of the contract, for tests of definitions."""

from __future__ import annotations

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.model.v1 import model_pb2
from coordinator.postprocessing.v1 import postprocessing_pb2
from coordinator.processing.v1 import processing_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FileDescriptor

from processing_service.engine.base import OperationType
from processing_service.wire.errors import invalid, not_found
from processing_service.wire.naming import words

CONTRACT = {
    "processing": processing_pb2.DESCRIPTOR,
    "model": model_pb2.DESCRIPTOR,
    "inference": inference_pb2.DESCRIPTOR,
    "postprocessing": postprocessing_pb2.DESCRIPTOR,
}


class Catalog:
    """Operations of the services of some files, by domain."""

    def __init__(self, files: dict[str, FileDescriptor] | None = None) -> None:
        self.operations: dict[str, OperationType] = {}
        for domain, file in (files or CONTRACT).items():
            for service in file.services_by_name.values():
                for method in service.methods:
                    name = f"{domain}.{'_'.join(words(method.name))}"
                    streams = method.client_streaming or method.server_streaming
                    self.operations[name] = OperationType(
                        operation=name,
                        request=method.input_type,
                        response=method.output_type,
                        idempotent=method.GetOptions().idempotency_level != 0,
                        callable=not streams and name != "processing.post_command_execute",
                    )

    def find(self, operation: str) -> OperationType:
        if operation not in self.operations:
            reason = ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND
            raise not_found(reason, "operation", operation, self.operations)
        return self.operations[operation]

    def message(self, type_name: str) -> Descriptor:
        try:
            return descriptor_pool.Default().FindMessageTypeByName(type_name)
        except KeyError:
            reason = ErrorReason.ERROR_REASON_FIELD_INVALID
            raise invalid(reason, "type_name", f"there is no message {type_name!r}") from None
