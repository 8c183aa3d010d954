"""Begins the sessions of a batch's cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coordinator.processing.v1.processing_pb2 import AdmissionClass, BatchItem, PostBatchCreateRequest
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest as Request

from processing_service.engine.base import Engine
from processing_service.engine.batches.cursor import Task
from processing_service.engine.definitions import Definition
from processing_service.engine.live import Follower
from processing_service.engine.managers.sessions import CellOrigin, SessionManager
from processing_service.engine.records import Durability
from processing_service.engine.store.batch import BatchRow, Item

NAME_CHARACTERS: Final = 112
"""Longest batch_id: the session_id of a cell is made of it, and has 128."""


class CellStarter:
    """Begins cells of one batch.

    Args:
        definitions: of its workflows, as they were when it was created.
        creation: what it was created with.
    """

    def __init__(
        self,
        row: BatchRow,
        creation: PostBatchCreateRequest,
        definitions: Sequence[Definition],
        sessions: SessionManager,
        engine: Engine,
    ) -> None:
        self._row, self._creation, self._sessions, self._engine = row, creation, sessions, engine
        self._matrix = row.matrix
        self._common: dict[tuple[int, int, int], bytes] = {}
        """By model, workflow and priority."""
        self._workflows = [
            (definition, bytes.fromhex(definition.digest), _durability(definition)) for definition in definitions
        ]

    async def __call__(self, task: Task, priority: int, follower: Follower) -> None:
        """See StartCell."""
        item, (_, model, workflow) = task.item, self._matrix.place(task.cell)
        assert item is not None
        definition, digest, durability = self._workflows[workflow]
        request = self._request(task.cell, item, model, workflow, priority)
        start, number = self._row.start, self._row.number
        pin = start.model_pins[model] if start.model_pins else ""
        origin = CellOrigin(start.tenant, start.batch_id, number, task.cell, item.item_id, pin, durability)
        beginning = self._sessions.begin_cell(request, definition, digest, origin)
        holds = _held(request) if request.payloads else ()
        if durability is Durability.RESULT:
            await self._engine.carry_out(*beginning, holds, follower)
        else:
            await self._engine.submit(*beginning, holds, follower=follower)

    def _request(self, cell: int, item: Item, model: int, workflow: int, priority: int) -> Request:
        common = self._common.get((model, workflow, priority))
        if common is None:
            common = self._common[model, workflow, priority] = self._shared(model, workflow, priority)
        request = Request.FromString(common)
        _fill(request, BatchItem.FromString(item.data))
        request.session_id = f"{self._row.start.batch_id}.{cell}"
        return request

    def _shared(self, model: int, workflow: int, priority: int) -> bytes:
        """What the requests of all such cells have in common, serialised."""
        creation = self._creation
        request = Request(
            workflow_id=creation.workflow_ids[workflow],
            model_id=creation.model_ids[model] if creation.model_ids else "",
            background=True,
            priority=priority,
            admission_class=AdmissionClass.ADMISSION_CLASS_BATCH,
        )
        if creation.HasField("cell_timeout"):
            request.timeout.CopyFrom(creation.cell_timeout)
        return request.SerializeToString()


def cell_request(item: BatchItem, workflow_id: str, model_id: str) -> Request:
    """What a cell executes."""
    request = Request(workflow_id=workflow_id, model_id=model_id, background=True)
    _fill(request, item)
    return request


def _fill(request: Request, item: BatchItem) -> None:
    """Puts in what an item gives; handed to the constructor it would be copied as text and back."""
    request.parameters.CopyFrom(item.parameters)
    if item.payloads:
        request.payloads.MergeFrom(item.payloads)


def _held(request: Request) -> list[bytes]:
    """Digests of the artifacts that it names."""
    return [bytes.fromhex(datum.artifact.digest) for datum in request.payloads.values() if datum.artifact.digest]


def _durability(definition: Definition) -> Durability:
    """What may be called again after a crash need not wait until its start is durable: the batch is."""
    idempotent = all(step.operation.idempotent for step in definition.steps)
    return Durability.RESULT if idempotent else Durability.FULL
