"""Workflows: what is stored is checked, and compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Workflow

from processing_service.engine.base import OperationCatalog
from processing_service.engine.completion import complete
from processing_service.engine.definitions import Definition, compile_definition
from processing_service.engine.store.base import RequestNote, WorkflowStore
from processing_service.wire.errors import not_found

T = TypeVar("T")

_COMPILED: Final = 512
"""Compiled definitions that are kept, by digest."""


class WorkflowManager:
    """Stores definitions that passed their checks, and compiles what sessions start with.

    Args:
        catalog: operations that definitions may name.
        now_us: microseconds since the Unix epoch.
    """

    def __init__(self, store: WorkflowStore, catalog: OperationCatalog, now_us: Callable[[], int]) -> None:
        self._store, self._catalog, self._now_us = store, catalog, now_us
        self._compiled: OrderedDict[bytes, Definition] = OrderedDict()
        self._current: dict[tuple[str, str], Definition] = {}
        self._changes = 0

    async def put(self, tenant: str, definition: Definition, note: RequestNote | None = None) -> tuple[Workflow, bool]:
        """Stores a checked definition; what is stored then, and whether its meaning changed."""
        digest = bytes.fromhex(definition.digest)
        putting = self._store.put(tenant, definition.workflow, digest, self._now_us(), note)
        return await self._change(tenant, definition.workflow.workflow_id, putting)

    async def read(self, tenant: str, workflow_id: str) -> Workflow:
        """The stored definition. Raises CoordinatorError: WORKFLOW_NOT_FOUND, with the nearest workflow_id."""
        workflow = await self._store.get(tenant, workflow_id)
        if workflow is None:
            raise await self._not_found(tenant, workflow_id)
        return workflow

    async def definition(self, tenant: str, workflow_id: str) -> Definition:
        """The definition that a session would start with now, compiled. Raises as `read`."""
        current = self._current.get((tenant, workflow_id))
        if current is None:
            changes = self._changes
            current = self.compiled(await self.read(tenant, workflow_id))
            if changes == self._changes:  # else it may be what was there before the change
                self._current[tenant, workflow_id] = current
        return current

    def compiled(self, workflow: Workflow) -> Definition:
        """A definition, compiled once. Raises CoordinatorError: WORKFLOW_INVALID if an operation is gone."""
        digest = bytes.fromhex(workflow.digest)
        definition = self._compiled.get(digest)
        if definition is None:
            definition = self._compiled[digest] = compile_definition(workflow, self._catalog)
            if len(self._compiled) > _COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(digest)
        return definition

    async def page(self, tenant: str, after: str, limit: int, labels: Mapping[str, str]) -> Sequence[Workflow]:
        """Definitions behind that workflow_id, by workflow_id."""
        return await self._store.page(tenant, after, limit, labels)

    async def count(self, tenant: str) -> int:
        """How many there are."""
        return await self._store.count(tenant)

    async def delete(self, tenant: str, workflow_id: str, note: RequestNote | None = None) -> None:
        """Removes a definition; sessions that run keep theirs. Raises CoordinatorError: WORKFLOW_NOT_FOUND."""
        if not await self._change(tenant, workflow_id, self._store.delete(tenant, workflow_id, note)):
            raise await self._not_found(tenant, workflow_id)

    async def _change(self, tenant: str, workflow_id: str, change: Coroutine[Any, Any, T]) -> T:
        """Carries out a change and forgets what it replaces, also if the caller leaves in between."""

        async def carry_out() -> T:
            try:
                return await change
            finally:
                self._changes += 1
                self._current.pop((tenant, workflow_id), None)

        return await complete(carry_out(), f"a change of workflow {workflow_id!r}")

    async def _not_found(self, tenant: str, workflow_id: str) -> Exception:
        known = await self._store.ids(tenant)
        reason = ErrorReason.ERROR_REASON_WORKFLOW_NOT_FOUND
        return not_found(reason, "workflow", workflow_id, known, hint="PutProcessingWorkflow stores one")
