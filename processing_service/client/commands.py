"""Commands: any unary RPC of any domain, through the coordinator; and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from processing_service.client.artifacts import ArtifactCalls
from processing_service.client.retries import new_request_id
from processing_service.client.values import Value, to_duration

Reply = TypeVar("Reply", bound=Message)


class CommandCalls(ArtifactCalls):
    """PostCommandExecute, the domains and the contract."""

    async def post_command_execute(
        self,
        operation: str,
        parameters: Mapping[str, Value] | None = None,
        *,
        timeout: float | None = None,
        request_id: str = "",
        deadline: float | None = None,
    ) -> pb.PostCommandExecuteResponse:
        """Calls one operation, such as `model.get_model`.

        Args:
            operation: `domain.rpc_in_snake_case`.
            parameters: the request by field name; bytes, paths and arrays by field path, such as `inputs.x`.
            timeout: longest time of the call behind the coordinator, in seconds; None = that of this call.
        """
        struct, payloads = await self.to_parameters(parameters or {}, deadline=deadline)
        return await self._command(operation, struct, payloads, timeout, request_id, deadline)

    async def call_operation(
        self, operation: str, request: Message, reply: type[Reply], *, deadline: float | None = None
    ) -> Reply:
        """Calls one operation with its own messages, which must not hold bytes or tensors."""
        struct = Struct()
        struct.update(MessageToDict(request, preserving_proto_field_name=True))
        response = await self._command(operation, struct, {}, None, "", deadline)
        return ParseDict(MessageToDict(response.result), reply(), ignore_unknown_fields=True)

    async def get_processing_domains(self, *, deadline: float | None = None) -> pb.GetProcessingDomainsResponse:
        """The domains with their operations and health."""
        return await self._caller.call(self._stub.GetProcessingDomains, pb.GetProcessingDomainsRequest(), deadline)

    async def get_processing_contract(self, *, deadline: float | None = None) -> pb.GetProcessingContractResponse:
        """Version of the contract, digest of its descriptors, features and limits."""
        return await self._caller.call(self._stub.GetProcessingContract, pb.GetProcessingContractRequest(), deadline)

    async def _command(
        self,
        operation: str,
        struct: Struct,
        payloads: Mapping[str, Datum],
        timeout: float | None,
        request_id: str,
        deadline: float | None,
    ) -> pb.PostCommandExecuteResponse:
        request = pb.PostCommandExecuteRequest(
            operation=operation,
            parameters=struct,
            payloads=payloads,
            timeout=to_duration(timeout),
            request_id=request_id or new_request_id(),
        )
        return await self._caller.call(self._stub.PostCommandExecute, request, deadline)
