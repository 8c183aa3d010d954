"""Batches and items as clients send them, checked before anything is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import BatchItem, PostBatchCreateRequest

from processing_service.engine.batches.plan import BatchPlan
from processing_service.engine.batches.records import DEFAULT_PARALLEL, Canary
from processing_service.engine.batches.rules import FailureLimit
from processing_service.engine.definitions import Definition
from processing_service.engine.definitions.parameters import MODEL_ID
from processing_service.engine.ids import check_id
from processing_service.engine.managers.cells import NAME_CHARACTERS, cell_request
from processing_service.engine.store.batch import Item
from processing_service.wire.errors import Code, CoordinatorError, Violation, invalid, invalid_all

MAX_PARALLEL: Final = 1000
"""Cells of one batch at the same time, at most."""
MAX_PAGE: Final = 10_000
"""Items of one request, at most."""
MAX_CELLS: Final = 1_000_000
"""Of one batch, at most."""
MAX_NAMES: Final = 100
"""Models, and workflows, of one batch, at most."""
_BREATH: Final = 64
"""Items that are checked in one turn of the loop."""

Resolve = Callable[[str], Awaitable[str]]
"""From a model_id to its `version@digest`. Raises CoordinatorError: MODEL_NOT_FOUND."""
KeepPayloads = Callable[[MutableMapping[str, Datum]], Awaitable[list[bytes]]]
"""Stores large content and puts references in its place; the digests of all. Raises CoordinatorError."""


def plan_of(creation: PostBatchCreateRequest) -> BatchPlan:
    """How a batch is to run."""
    limit = FailureLimit()
    match creation.WhichOneof("failure_limit"):
        case "max_failures":
            limit = FailureLimit(cells=creation.max_failures)
        case "max_failure_ratio":
            limit = FailureLimit(ratio=creation.max_failure_ratio)
    canary = None
    if creation.HasField("canary"):
        asked = creation.canary
        canary = Canary(asked.cell_count, asked.max_failures, asked.max_cell_duration.ToMicroseconds())
    return BatchPlan(creation.max_parallel or DEFAULT_PARALLEL, limit, canary)


def check_creation(creation: PostBatchCreateRequest) -> None:
    """Raises CoordinatorError FIELD_INVALID or FIELD_REQUIRED with every fault of a creation but of its items."""
    if not creation.workflow_ids:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "workflow_ids", "name at least one workflow")
    problems = [*_of_names(creation), *_of_numbers(creation)]
    if problems:
        raise invalid_all(ErrorReason.ERROR_REASON_FIELD_INVALID, problems)


def _of_names(creation: PostBatchCreateRequest) -> Iterable[Violation]:
    for name in ("workflow_ids", "model_ids"):
        given = getattr(creation, name)
        if len(given) > MAX_NAMES:
            yield Violation(name, f"{len(given)} are too many; at most {MAX_NAMES}")
        for index, value in enumerate(given):
            if value in given[:index]:
                yield Violation(f"{name}[{index}]", f"{value[:64]!r} is named twice")
    if len(creation.batch_id) > NAME_CHARACTERS:
        text = f"has {len(creation.batch_id)} characters; at most {NAME_CHARACTERS}, its sessions are named after it"
        yield Violation("batch_id", text)


def _of_numbers(creation: PostBatchCreateRequest) -> Iterable[Violation]:
    if not 0 <= creation.max_parallel <= MAX_PARALLEL:
        yield Violation("max_parallel", f"must be from 1 to {MAX_PARALLEL}, or 0 for {DEFAULT_PARALLEL}")
    if creation.max_failures < 0:
        yield Violation("max_failures", "must not be negative; leave it unset for no limit")
    if not 0.0 <= creation.max_failure_ratio <= 1.0:
        yield Violation("max_failure_ratio", "is a share, from 0 to 1")
    if creation.HasField("canary"):
        yield from _of_canary(creation)


def _of_canary(creation: PostBatchCreateRequest) -> Iterable[Violation]:
    canary = creation.canary
    if not 1 <= canary.cell_count <= MAX_PAGE:
        yield Violation("canary.cell_count", f"must be from 1 to {MAX_PAGE}; leave canary unset for none")
    if not canary.max_failures >= 0:
        yield Violation("canary.max_failures", "must not be negative")
    if canary.HasField("max_cell_duration") and canary.max_cell_duration.ToMicroseconds() <= 0:
        yield Violation("canary.max_cell_duration", "must be more than 0 s; leave it unset for any")


def check_canary(creation: PostBatchCreateRequest, total: int) -> None:
    """Raises CoordinatorError FIELD_INVALID for a canary that is larger than its batch."""
    if creation.canary.cell_count > total:
        text = f"{creation.canary.cell_count} is more than the {total} cells of the batch; delete it and create another"
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_FIELD_INVALID,
            f"canary.cell_count: {text}",
            violations=[Violation("canary.cell_count", text)],
        )


class Draft(NamedTuple):
    """Items that may be stored."""

    items: list[Item]
    holds: list[bytes]
    """Digests of the artifacts that they need."""


class Drafting:
    """Checks the items of one batch against what it is to run.

    Args:
        definitions: of its workflows.
        model_ids: of its models.
        resolve: finds a model that an item names.
        keep_payloads: stores large content.
    """

    def __init__(
        self, definitions: Sequence[Definition], model_ids: Sequence[str], resolve: Resolve, keep_payloads: KeepPayloads
    ) -> None:
        self._definitions, self._model_id = definitions, model_ids[0] if model_ids else ""
        self._resolve, self._keep_payloads = resolve, keep_payloads
        self._per_item = max(1, len(model_ids)) * len(definitions)
        self._found = set(model_ids)

    async def draft(self, items: Sequence[BatchItem], there: int) -> Draft:
        """The items, ready to be stored.

        Args:
            there: items that the batch has.

        Raises:
            CoordinatorError: FIELD_*, MODEL_NOT_FOUND, ARTIFACT_NOT_FOUND, PAYLOAD_TOO_LARGE; each with the item's
                place in the request.
        """
        if len(items) > MAX_PAGE:
            text = f"{len(items)} items are too many for one request; at most {MAX_PAGE}, more by PostBatchItems"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "items", text)
        self._check_room(there + len(items))
        draft = Draft([], [])
        for index, item in enumerate(items):
            if index % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            try:
                await self._check(item)
                draft.holds.extend(await self._keep_payloads(item.payloads) if item.payloads else ())
            except CoordinatorError as error:
                raise _placed(error, index) from error
            draft.items.append(Item(index, item.item_id, item.SerializeToString()))
        return draft

    def _check_room(self, items: int) -> None:
        cells = items * self._per_item
        if cells > MAX_CELLS:
            raise CoordinatorError(
                Code.RESOURCE_EXHAUSTED,
                ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
                f"the batch would have {cells} cells; at most {MAX_CELLS}: make several",
                metadata={"cells": str(cells), "max_cells": str(MAX_CELLS)},
            )

    async def _check(self, item: BatchItem) -> None:
        check_id("item_id", item.item_id)
        for definition in self._definitions:
            request = cell_request(item, definition.workflow.workflow_id, self._model_id)
            named = definition.parameter_values(request).values.get(MODEL_ID, "")
            if isinstance(named, str) and named and named not in self._found:
                await self._resolve(named)
                self._found.add(named)


def _placed(error: CoordinatorError, index: int) -> CoordinatorError:
    """The same error with the place of the item that it speaks of."""
    path = f"items[{index}]"
    return CoordinatorError(
        error.code,
        error.reason,
        f"{path}: {error.message}",
        metadata=error.metadata,
        violations=[Violation(f"{path}.{v.field_path}", v.description, v.suggestion) for v in error.violations],
        retry_delay=error.retry_delay,
    )
