"""Workflows: what is stored is checked, and compiled once."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Workflow

from processing_service.engine.base import OperationCatalog
from processing_service.engine.completion import complete
from processing_service.engine.definitions import Definition, compile_definition
from processing_service.engine.interfaces.publication import Publication, publish
from processing_service.engine.managers.interfaces import Interfaces
from processing_service.engine.store.base import Published, RequestNote, WorkflowStore
from processing_service.wire.errors import CoordinatorError, not_found

log = logging.getLogger(__name__)

T = TypeVar("T")

_COMPILED: Final = 512
"""Compiled definitions that are kept, by digest."""


class Put(NamedTuple):
    """What became of a put."""

    workflow: Workflow
    """What is stored."""
    changed: bool
    """Whether its meaning changed."""
    warnings: tuple[str, ...]
    """Why it has no service of its own."""


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
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self.interfaces = Interfaces()
        """The services that workflows have of their own."""

    async def put(
        self, tenant: str, definition: Definition, note: RequestNote | None = None, *, allow_breaking: bool = False
    ) -> Put:
        """Stores a checked definition, and publishes its service.

        Raises:
            CoordinatorError: WORKFLOW_BREAKING, unless `allow_breaking`.
        """
        workflow_id = definition.workflow.workflow_id

        async def carry_out() -> Put:
            async with self._turn(tenant, workflow_id):
                made = await self.publication(tenant, definition, allow_breaking=allow_breaking)
                digest = bytes.fromhex(definition.digest)
                stored = self._store.put(tenant, definition.workflow, digest, self._now_us(), note, made.published)
                put = Put(*await stored, made.warnings)
                self.interfaces.keep(tenant, workflow_id, made.published)
                return put

        return await self._change(tenant, workflow_id, carry_out())

    async def publication(self, tenant: str, definition: Definition, *, allow_breaking: bool = False) -> Publication:
        """The service that a definition would have. Raises as `put`."""
        workflow_id = definition.workflow.workflow_id
        before = await self._store.published(tenant, workflow_id)
        replaced = await self._store.get(tenant, workflow_id)
        return await asyncio.to_thread(publish, definition, before, replaced, allow_breaking=allow_breaking)

    async def open_services(self) -> None:
        """Takes up the services that are stored, and makes those of workflows that were put before there were any."""
        for tenant, workflow_id, files in await self._store.services():
            self.interfaces.keep(tenant, workflow_id, Published(files, is_live=True))
        for tenant, workflow in await self._store.unpublished():
            try:
                put = await self.put(tenant, self.compiled(workflow))
            except CoordinatorError as error:
                log.warning("workflow %r has no typed service yet, put it again: %s", workflow.workflow_id, error)
            else:
                for warning in put.warnings:
                    log.warning("workflow %r: %s", workflow.workflow_id, warning)

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

        async def carry_out() -> bool:
            async with self._turn(tenant, workflow_id):
                removed = await self._store.delete(tenant, workflow_id, note)
                if removed:
                    self.interfaces.drop(tenant, workflow_id)
                return removed

        if not await self._change(tenant, workflow_id, carry_out()):
            raise await self._not_found(tenant, workflow_id)

    def _turn(self, tenant: str, workflow_id: str) -> asyncio.Lock:
        """Held while a workflow changes: what its service becomes hangs on what it was."""
        return self._turns.setdefault((tenant, workflow_id), asyncio.Lock())

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
