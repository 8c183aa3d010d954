"""Workflow definitions in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Workflow

from processing_service.engine.store.base import NEVER, Published, RequestNote
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers
from processing_service.engine.store.sqlite.requests import write_note
from processing_service.engine.store.sqlite.writer import Writer
from processing_service.wire.errors import invalid


class SqliteWorkflows:
    """WorkflowStore on SQLite."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers, self._writer = readers, writer

    async def put(
        self,
        tenant: str,
        workflow: Workflow,
        digest: bytes,
        now_us: int,
        note: RequestNote | None = None,
        service: Published | None = None,
    ) -> tuple[Workflow, bool]:
        """See WorkflowStore.put."""

        def write(connection: sqlite3.Connection) -> tuple[Workflow, bool]:
            write_note(connection, note)
            if service is not None:
                connection.execute(SQL["put_interface"], (tenant, workflow.workflow_id, *service))
            return _put(connection, tenant, workflow, digest, now_us)

        return await self._writer.run(write)

    async def published(self, tenant: str, workflow_id: str) -> Published:
        """See WorkflowStore.published."""
        row = await self._readers.run(lambda c: c.execute(SQL["read_interface"], (tenant, workflow_id)).fetchone())
        return Published(row[0], bool(row[1])) if row else NEVER

    async def services(self) -> Sequence[tuple[str, str, bytes]]:
        """See WorkflowStore.services."""
        return await self._readers.run(lambda c: c.execute(SQL["list_interfaces"]).fetchall())

    async def unpublished(self) -> Sequence[tuple[str, Workflow]]:
        """See WorkflowStore.unpublished."""
        rows = await self._readers.run(lambda c: c.execute(SQL["list_workflows_without_interface"]).fetchall())
        return [(tenant, Workflow.FromString(row)) for tenant, row in rows]

    async def get(self, tenant: str, workflow_id: str) -> Workflow | None:
        """See WorkflowStore.get."""
        row = await self._readers.run(lambda c: c.execute(SQL["read_workflow"], (tenant, workflow_id)).fetchone())
        return Workflow.FromString(row[0]) if row else None

    async def ids(self, tenant: str) -> Sequence[str]:
        """All workflow ids."""
        rows = await self._readers.run(lambda c: c.execute(SQL["list_workflow_ids"], (tenant,)).fetchall())
        return [workflow_id for (workflow_id,) in rows]

    async def page(self, tenant: str, after: str, limit: int, labels: Mapping[str, str]) -> Sequence[Workflow]:
        """See WorkflowStore.page."""

        def read(connection: sqlite3.Connection) -> list[Workflow]:
            found: list[Workflow] = []
            for (row,) in connection.execute(SQL["list_workflows"], (tenant, after, -1)):
                workflow = Workflow.FromString(row)
                if labels.items() <= dict(workflow.labels).items():
                    found.append(workflow)
                if len(found) == limit:
                    break
            return found

        return await self._readers.run(read)

    async def count(self, tenant: str) -> int:
        """See WorkflowStore.count."""
        rows = await self._readers.run(lambda c: c.execute(SQL["count_workflows"], (tenant,)).fetchone())
        return int(rows[0])

    async def delete(self, tenant: str, workflow_id: str, note: RequestNote | None = None) -> bool:
        """See WorkflowStore.delete."""

        def write(connection: sqlite3.Connection) -> bool:
            removed = connection.execute(SQL["delete_workflow"], (tenant, workflow_id)).rowcount > 0
            if removed:
                write_note(connection, note)
                connection.execute(SQL["end_interface"], (tenant, workflow_id))
            return removed

        return await self._writer.run(write)


def _put(
    connection: sqlite3.Connection, tenant: str, workflow: Workflow, digest: bytes, now_us: int
) -> tuple[Workflow, bool]:
    fold = workflow.workflow_id.replace("-", "")
    before = connection.execute(SQL["read_workflow_row"], (tenant, fold)).fetchone()
    first_digest, revision, created_us, workflow_id = before or (b"", 0, now_us, workflow.workflow_id)
    if workflow_id != workflow.workflow_id:
        text = f"is the same as {workflow_id!r} but for hyphens; choose another"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "workflow_id", text)
    changed = first_digest != digest
    stored = Workflow()
    stored.CopyFrom(workflow)
    stored.digest, stored.revision = digest.hex(), revision + changed
    stored.created_at.FromMicroseconds(created_us)
    updated_us = now_us if changed else _updated_us(connection, tenant, workflow_id)
    stored.updated_at.FromMicroseconds(updated_us)
    row = (tenant, workflow_id, fold, digest, stored.SerializeToString(), stored.revision, created_us, updated_us)
    connection.execute(SQL["put_workflow"], row)
    return stored, changed


def _updated_us(connection: sqlite3.Connection, tenant: str, workflow_id: str) -> int:
    (row,) = connection.execute(SQL["read_workflow"], (tenant, workflow_id)).fetchone()
    return Workflow.FromString(row).updated_at.ToMicroseconds()
