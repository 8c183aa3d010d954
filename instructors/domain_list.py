"""Use case: which domains there are, what they can do and how they are."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.processing.v1 import processing_pb2 as pb

from instructors.domains import Domain
from instructors.registry import Instructors

HealthOf = Callable[[str], pb.DomainHealth.ValueType]


class DomainInstructor:
    """Lists the domains.

    Args:
        health_of: how a domain was when it was last asked.
    """

    def __init__(self, instructors: Instructors, health_of: HealthOf) -> None:
        self._instructors, self._health_of = instructors, health_of

    def describe(self) -> pb.GetProcessingDomainsResponse:
        """All domains, by name."""
        return pb.GetProcessingDomainsResponse(domains=[self._describe(domain) for domain in self._instructors.domains])

    def _describe(self, domain: Domain) -> pb.DomainInfo:
        operations = [
            pb.DomainOperation(
                operation=operation.name,
                request_type_name=operation.kind.request.full_name,
                response_type_name=operation.response_name,
                callable=operation.kind.callable,
            )
            for operation in self._instructors.domains.operations(domain.name)
        ]
        return pb.DomainInfo(
            domain=domain.name,
            service_name=domain.service.full_name if domain.service is not None else "",
            address=domain.address,
            domain_health=self._health_of(domain.name),
            operations=operations,
            in_flight_count=self._instructors[domain.name].turns.out,
        )
