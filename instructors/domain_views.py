"""What each domain has of a session, and its cleaning up behind one: every domain is asked at the same time."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Final

from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict

from instructors.domain_list import HealthOf
from instructors.domains import Domain, Operation
from instructors.registry import Instructors
from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.errors import Code, CoordinatorError, to_failure

_PATIENCE_S: Final = 2.0
"""How long a domain may take for its answer, in seconds."""
_SILENT: Final = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)


class DomainViews:
    """Asks the domains about a session.

    A domain that keeps something of sessions has the RPCs Get<Domain>Sessions and Delete<Domain>Session with a field
    `session_id`, as Inference has; of any other only its health is told.

    Args:
        health_of: how a domain was when it was last asked.
    """

    def __init__(self, instructors: Instructors, health_of: HealthOf) -> None:
        self._instructors, self._health_of = instructors, health_of

    async def of(self, session_id: str, tenant: str) -> list[pb.DomainView]:
        """What each domain has of a session, by name of the domain; also of those that could not be asked."""
        return await self._ask_all("get_{}_sessions", session_id, tenant)

    async def clean(self, session_id: str, tenant: str) -> list[pb.DomainView]:
        """Has each domain forget a session; what it did."""
        return await self._ask_all("delete_{}_session", session_id, tenant)

    async def _ask_all(self, rpc: str, session_id: str, tenant: str) -> list[pb.DomainView]:
        call = current()
        until = monotonic() + _PATIENCE_S
        deadline = until if call.deadline is None else min(until, call.deadline)
        context = CallContext(tenant=tenant, traceparent=call.traceparent, deadline=deadline)
        domains = [domain for domain in self._instructors.domains if domain.name != "processing"]
        asked = (self._ask(domain, rpc.format(domain.name), session_id, context) for domain in domains)
        return list(await asyncio.gather(*asked))

    async def _ask(self, domain: Domain, rpc: str, session_id: str, context: CallContext) -> pb.DomainView:
        operation = self._operation(domain, rpc)
        if operation is None:
            serving = self._health_of(domain.name) == pb.DOMAIN_HEALTH_SERVING
            return pb.DomainView(domain=domain.name, reachable=serving)
        request: Any = operation.request_class(session_id=session_id)
        try:
            reply = await self._instructors[domain.name].coordinate(operation, request, context=context)
        except CoordinatorError as error:
            reachable = error.code not in _SILENT
            return pb.DomainView(domain=domain.name, reachable=reachable, failure=to_failure(error))
        view = pb.DomainView(domain=domain.name, reachable=True)
        view.view.update(MessageToDict(reply, preserving_proto_field_name=True))
        return view

    def _operation(self, domain: Domain, rpc: str) -> Operation | None:
        for operation in self._instructors.domains.operations(domain.name):
            if operation.rpc == rpc and "session_id" in operation.kind.request.fields_by_name:
                return operation
        return None
