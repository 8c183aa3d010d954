"""Batches: created, filled, run, controlled, taken up after a restart, removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import BatchItem, PostBatchCreateRequest, Workflow
from google.protobuf.json_format import ParseDict

from processing_service.engine.base import Engine
from processing_service.engine.batches.control import Order, obey, retried
from processing_service.engine.batches.records import (
    BatchAction,
    BatchKind,
    BatchRecord,
    BatchState,
    Standing,
)
from processing_service.engine.batches.rules import check_action, check_created
from processing_service.engine.batches.runner import BatchRunner
from processing_service.engine.definitions import Definition
from processing_service.engine.faults import fault_of
from processing_service.engine.ids import check_id
from processing_service.engine.managers.batch_drafts import (
    Drafting,
    KeepPayloads,
    Resolve,
    check_canary,
    check_creation,
    plan_of,
)
from processing_service.engine.managers.cells import CellStarter
from processing_service.engine.managers.sessions import SessionManager, labels_text
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.priorities import priority_of
from processing_service.engine.refusals import draining
from processing_service.engine.store.base import RequestNote
from processing_service.engine.store.batch import BatchRow, BatchStart, BatchStore
from processing_service.wire.errors import Code, CoordinatorError, Unavailable, not_found

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
"""How often a batch is looked at again that waits for a domain to describe itself, in seconds."""

BatchKey = tuple[str, str]
"""Tenant and batch_id."""


class BatchProcessingManager:
    """Guards the rules of batches and keeps those running that are to.

    Args:
        ids: makes batch ids.
        now_us: microseconds since the Unix epoch.
        resolve: finds a model.
        keep_payloads: stores large content.
        on_priority: told of a batch's new priority, for what waits already.
    """

    def __init__(
        self,
        store: BatchStore,
        workflows: WorkflowManager,
        sessions: SessionManager,
        engine: Engine,
        ids: Callable[[], str],
        now_us: Callable[[], int],
        resolve: Resolve,
        keep_payloads: KeepPayloads,
        on_priority: Callable[[str, str, int], object] = lambda tenant, batch_id, priority: None,
    ) -> None:
        self._store, self._workflows, self._sessions, self._engine = store, workflows, sessions, engine
        self._ids, self._now_us, self._resolve, self._keep_payloads = ids, now_us, resolve, keep_payloads
        self._on_priority = on_priority
        self._runners: dict[BatchKey, BatchRunner] = {}
        self._tasks: dict[BatchKey, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        """Held while a batch that does not run is changed."""
        self._filling: WeakValueDictionary[BatchKey, asyncio.Lock] = WeakValueDictionary()
        """Held by a page of items from its check to its place in the store: what there is room for is known, and what a
        batch that starts has to run."""
        self._left: list[tuple[BatchRow, Sequence[bytes]]] = []
        self._draining = False

    async def execute_batch(self, batch_id: str, batch_config: Mapping[str, Any], tenant: str = "") -> BatchRow:
        """Creates a batch and starts it.

        Args:
            batch_config: the fields of PostBatchCreateRequest by name, as JSON has them.

        Raises:
            CoordinatorError: as `create` and `execute`.
        """
        creation = ParseDict(dict(batch_config), PostBatchCreateRequest(batch_id=batch_id))
        created = await self.create(creation, tenant)
        order = Order(self._now_us())
        return await self.execute(created, tenant, order)

    def name(self, batch_id: str) -> str:
        """The batch_id that is asked for, or a new one. Raises CoordinatorError: FIELD_INVALID."""
        return check_id("batch_id", batch_id) if batch_id else self._ids()

    async def create(self, request: PostBatchCreateRequest, tenant: str, note: RequestNote | None = None) -> str:
        """Stores a batch with its first items; its batch_id.

        Raises:
            CoordinatorError: FIELD_*, WORKFLOW_NOT_FOUND, MODEL_NOT_FOUND, ARTIFACT_NOT_FOUND, BATCH_ALREADY_EXISTS,
                BATCH_ITEM_ALREADY_EXISTS, REQUEST_ID_REUSED, PAYLOAD_TOO_LARGE, STORE_*.
        """
        check_creation(request)
        batch_id, priority = self.name(request.batch_id), priority_of(request.priority)
        if request.HasField("cell_timeout"):
            self._sessions.asked_budget_us(request.cell_timeout, "cell_timeout")
        definitions = [await self._workflows.definition(tenant, workflow_id) for workflow_id in request.workflow_ids]
        pins = [await self._resolve(model_id) for model_id in request.model_ids]
        draft = await self._drafting(definitions, request.model_ids).draft(request.items, 0)
        now_us, creation = self._now_us(), PostBatchCreateRequest()
        creation.CopyFrom(request)
        del creation.items[:]
        start = BatchStart(
            batch_id,
            tenant,
            creation.SerializeToString(),
            tuple(bytes.fromhex(definition.digest) for definition in definitions),
            tuple(pins),
            labels_text(request.labels),
            now_us,
        )
        record = BatchRecord(now_us, BatchKind.BATCH_CREATED, BatchState.CREATED, request_id=request.request_id)
        sources = {bytes.fromhex(definition.digest): definition.source for definition in definitions}
        await self._store.create(start, Standing(priority=priority), record, sources, *draft, note)
        return batch_id

    async def add_items(
        self, batch_id: str, tenant: str, items: Sequence[BatchItem], note: RequestNote | None = None
    ) -> None:
        """Adds items to a batch that has not started. Raises as `create`; BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL."""
        async with self._filled(tenant, batch_id):
            row = await self._store.read(batch_id, tenant)
            check_created(batch_id, row.standing.state, "adding items")
            definitions = self._compiled(await self._store.definitions(row), row)
            model_ids = PostBatchCreateRequest.FromString(row.start.request).model_ids
            draft = await self._drafting(definitions, model_ids).draft(items, row.items)
            await self._store.add(batch_id, tenant, *draft, note)

    def _filled(self, tenant: str, batch_id: str) -> asyncio.Lock:
        return self._filling.setdefault((tenant, batch_id), asyncio.Lock())

    def _drafting(self, definitions: Sequence[Definition], model_ids: Sequence[str]) -> Drafting:
        return Drafting(definitions, model_ids, self._resolve, self._keep_payloads)

    async def execute(self, batch_id: str, tenant: str, order: Order, note: RequestNote | None = None) -> BatchRow:
        """Starts a batch.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL, FIELD_INVALID for a canary that is larger than it.
        """
        async with self._filled(tenant, batch_id), self._turn:
            row = await self._store.read(batch_id, tenant)
            check_created(batch_id, row.standing.state, "EXECUTE")
            _check_size(row)
            standing = row.standing.moved(BatchState.RUNNING, started_us=order.at_us)
            await self._go_on(row, standing, order, note)
        return await self._store.read(batch_id, tenant)

    async def control(self, batch_id: str, tenant: str, order: Order, note: RequestNote | None = None) -> None:
        """Carries out a wish, durable on return. Raises CoordinatorError: BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL."""
        while not await self._control_running(batch_id, tenant, order, note):
            async with self._turn:
                if (tenant, batch_id) in self._runners:  # it was started while this waited for its turn
                    continue
                await self._control_stored(batch_id, tenant, order, note)
                break
        if order.action is BatchAction.REPRIORITIZE:
            self._on_priority(tenant, batch_id, order.priority)

    async def _control_running(self, batch_id: str, tenant: str, order: Order, note: RequestNote | None) -> bool:
        """False if the batch does not run; it has let go of its name by then."""
        key = (tenant, batch_id)
        while (runner := self._runners.get(key)) is not None:
            task = self._tasks[key]
            if await obey(runner, order, note):
                return True
            await asyncio.wait([task])
        return False

    async def _control_stored(self, batch_id: str, tenant: str, order: Order, note: RequestNote | None) -> None:
        """A batch that does not run: it has not started, has ended, or waits for a domain to describe itself."""
        row, order = await self._store.read(batch_id, tenant), order._replace(at_us=self._now_us())
        standing = row.standing
        assert order.action is not None
        check_action(batch_id, standing.state, order.action)
        if standing.state is not BatchState.CREATED and not standing.state.terminal:
            raise draining() if self._draining else _stranded(batch_id)
        if order.action is BatchAction.RETRY_FAILED:
            _check_size(row)  # it may have been cancelled before it was executed
            await self._go_on(row, retried(standing, order.at_us), order, note)
            return
        kind, state = BatchKind.PRIORITY_CHANGED, standing.state
        if order.action is BatchAction.CANCEL:
            kind, state = BatchKind.BATCH_ENDED, BatchState.CANCELLED
        ended_us = order.at_us if state is BatchState.CANCELLED else 0
        standing = standing.moved(state, priority=order.priority or standing.priority, ended_us=ended_us)
        await self._record(row, standing, BatchRecord(order.at_us, kind, state, **order.facts), note)  # type: ignore[arg-type]

    async def _go_on(self, row: BatchRow, standing: Standing, order: Order, note: RequestNote | None) -> None:
        """Records that a batch runs, and runs it."""
        sources = await self._store.definitions(row)
        definitions = self._compiled(sources, row)
        if self._draining:
            raise draining()
        kind = BatchKind.BATCH_STATE_CHANGED
        record = BatchRecord(order.at_us, kind, standing.state, **order.facts)  # type: ignore[arg-type]
        await self._record(row, standing, record, note)
        self._launch(row._replace(standing=standing), definitions)

    async def _record(self, row: BatchRow, standing: Standing, record: BatchRecord, note: RequestNote | None) -> None:
        """Raises CoordinatorError: BATCH_NOT_FOUND, by its name, if it was removed meanwhile."""
        try:
            await self._store.record(row.number, standing, [record], note)
        except CoordinatorError as error:
            if error.reason != ErrorReason.ERROR_REASON_BATCH_NOT_FOUND:
                raise
            raise not_found(error.reason, "batch", row.start.batch_id, hint="it was removed meanwhile") from None

    def _compiled(self, sources: Sequence[bytes], row: BatchRow) -> list[Definition]:
        """Raises CoordinatorError: WORKFLOW_INVALID, DOMAIN_UNAVAILABLE."""
        compiled = []
        for source, digest in zip(sources, row.start.definitions, strict=True):
            workflow = Workflow.FromString(source)
            workflow.digest = digest.hex()
            compiled.append(self._workflows.compiled(workflow))
        return compiled

    def _launch(self, row: BatchRow, definitions: Sequence[Definition]) -> None:
        """Runs a batch, unless it is too late: then it goes on at the next start."""
        if self._draining:
            return
        creation = PostBatchCreateRequest.FromString(row.start.request)
        starter = CellStarter(row, creation, definitions, self._sessions, self._engine)
        runner = BatchRunner(row, plan_of(creation), starter, self._store, self._engine, self._now_us)
        runner.adopt()
        key = (row.start.tenant, row.start.batch_id)
        self._runners[key] = runner
        self._tasks[key] = asyncio.ensure_future(self._run(key, runner))

    async def _run(self, key: BatchKey, runner: BatchRunner) -> None:
        try:
            await runner.run()
        except Exception:
            log.exception("batch %s stopped; it goes on at the next start", key[1])
        finally:
            del self._runners[key], self._tasks[key]

    async def find_unfinished(self) -> None:
        """Reads what the process before this one left, before its sessions are taken up."""
        rows = await self._store.unfinished()
        self._left = [(row, await self._store.definitions(row)) for row in rows]

    def take_up(self) -> None:
        """Runs what was left; to be called in the turn of the loop in which the sessions were taken up."""
        left, self._left = self._left, []
        for row, sources in left:
            try:
                self._launch(row, self._compiled(sources, row))
            except Unavailable:
                self._left.append((row, sources))
            except CoordinatorError as error:
                log.warning("batch %s cannot go on: %s", row.start.batch_id, error)
                asyncio.ensure_future(self._abandon(row, error))  # noqa: RUF006  # it lasts one transaction

    async def _abandon(self, row: BatchRow, error: CoordinatorError) -> None:
        now_us = self._now_us()
        standing = row.standing.moved(BatchState.FAILED, ended_us=now_us, fault=fault_of(error))
        record = BatchRecord(now_us, BatchKind.BATCH_ENDED, BatchState.FAILED, message=error.message)
        await self._store.record(row.number, standing, [record])

    async def delete(self, batch_id: str, tenant: str, order: Order | None, note: RequestNote | None = None) -> int:
        """Removes a batch with its sessions; how many these were.

        Args:
            order: a CANCEL that comes first if it runs; None = it may not run.

        Raises:
            CoordinatorError: BATCH_NOT_FOUND, BATCH_STATE_ILLEGAL.
        """
        row = await self._store.read(batch_id, tenant)
        if order is not None and not row.standing.state.terminal:
            if row.standing.state is not BatchState.CANCELLING:
                await self._cancel(batch_id, tenant, order)
            if (task := self._tasks.get((tenant, batch_id))) is not None:
                await asyncio.wait([task])
            row = await self._store.read(batch_id, tenant)
        return await self._store.delete(row, note)

    async def _cancel(self, batch_id: str, tenant: str, order: Order) -> None:
        """Cancels a batch, unless it ends by itself meanwhile."""
        try:
            await self.control(batch_id, tenant, order)
        except CoordinatorError as error:
            if error.reason != ErrorReason.ERROR_REASON_BATCH_STATE_ILLEGAL:
                raise

    async def drain(self) -> None:
        """Begins no further cell; what runs is the engine's to end, and the rest goes on at the next start."""
        self._draining = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check_size(row: BatchRow) -> None:
    """Raises CoordinatorError for a batch that has no items, or fewer cells than its canary."""
    if not row.items:
        raise _empty(row.start.batch_id)
    check_canary(PostBatchCreateRequest.FromString(row.start.request), row.matrix.total)


def _empty(batch_id: str) -> CoordinatorError:
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_FIELD_REQUIRED,
        f"batch {batch_id!r} has no items; add some with PostBatchItems",
        metadata={"batch_id": batch_id},
    )


def _stranded(batch_id: str) -> Unavailable:
    text = f"batch {batch_id!r} waits for a domain that has not described itself since the start; see to that domain"
    return Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, text, retry_delay=_RETRY_S)
