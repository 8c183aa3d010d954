"""The services that workflows have of their own, as they are served now."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from processing_service.engine.interfaces.interface import Interface
from processing_service.engine.store.base import Published
from processing_service.wire.workflow_names import path_of, service_of

OPENED: Final = 128
"""Services whose pools are kept; each has the descriptors of the contract in it, some hundred kilobytes."""

Key = tuple[str, str]
"""Tenant, and name of the service."""


class Interfaces:
    """Finds a service by its name at the time of the call, so that none needs a restart. Each tenant has its own.

    Args:
        opened: services whose pools are kept.
    """

    def __init__(self, opened: int = OPENED) -> None:
        self._limit = opened
        self._stored: dict[Key, tuple[str, bytes]] = {}
        self._opened: OrderedDict[Key, Interface] = OrderedDict()
        self._tenants: dict[str, set[str]] = {}

    def keep(self, tenant: str, workflow_id: str, published: Published) -> None:
        """Serves a workflow's service as it is from now on, or no more."""
        self.drop(tenant, workflow_id)
        if published.is_live:
            service = service_of(workflow_id)
            self._stored[tenant, service] = workflow_id, published.files
            self._tenants.setdefault(service, set()).add(tenant)

    def drop(self, tenant: str, workflow_id: str) -> None:
        """Serves a workflow's service no more."""
        service = service_of(workflow_id)
        self._stored.pop((tenant, service), None)
        self._opened.pop((tenant, service), None)
        tenants = self._tenants.get(service, set())
        tenants.discard(tenant)
        if not tenants:
            self._tenants.pop(service, None)

    def is_served(self, service: str) -> bool:
        """Whether any tenant has a service of that name."""
        return service in self._tenants

    def find(self, tenant: str, service: str) -> Interface | None:
        """A service, ready to be called; None if there is none."""
        key = tenant, service
        if key not in self._stored:
            return None
        interface = self._opened.get(key)
        if interface is None:
            interface = self._opened[key] = Interface(*self._stored[key])
            if len(self._opened) > self._limit:
                self._opened.popitem(last=False)
        self._opened.move_to_end(key)
        return interface

    def services(self, tenant: str) -> list[str]:
        """The names of a tenant's services."""
        return sorted(service for owner, service in self._stored if owner == tenant)

    def with_file(self, tenant: str, path: str) -> Interface | None:
        """The service in the file of that name; None if there is none."""
        owned = (stored for (owner, _), stored in self._stored.items() if owner == tenant)
        found = next((workflow_id for workflow_id, _ in owned if path_of(workflow_id) == path), "")
        return self.of(tenant, found) if found else None

    def of(self, tenant: str, workflow_id: str) -> Interface | None:
        """The service of a workflow; None if it has none."""
        return self.find(tenant, service_of(workflow_id))
