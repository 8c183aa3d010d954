"""What the Model and Inference domains have of some models: which version, how large, in memory or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1.inference_pb2 import GetInferenceCacheRequest
from coordinator.model.v1.model_pb2 import GetModelRequest, ModelInfo

from instructors.base import not_configured
from instructors.forecast import ModelSize
from instructors.needs import ModelName
from instructors.registry import Instructors
from processing_service.wire.callcontext import CallContext, current
from processing_service.wire.errors import CoordinatorError

_PATIENCE_S: Final = 2.0
"""How long a domain may take for its answer, in seconds."""
_UNUSABLE: Final = (ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, ErrorReason.ERROR_REASON_MODEL_INVALID)
"""Answers by which a model cannot be used; any other tells nothing of it."""


class Stock(NamedTuple):
    """What there is of some models."""

    sizes: Mapping[ModelName, ModelSize]
    """Of those that there are; memory that counts, or that is declared where it was never loaded."""
    missing: Mapping[ModelName, CoordinatorError]
    """Of those that cannot be used, why."""
    resident: Sequence[ModelSize]
    """All that is in memory, least recently used first."""
    budgets: Mapping[str, int]
    """Bytes by device."""
    silent: Mapping[str, CoordinatorError]
    """By domain that could not be asked, why."""


class Inventory:
    """Asks the domains, all at the same time."""

    def __init__(self, instructors: Instructors) -> None:
        self._instructors = instructors

    async def take(self, names: Iterable[ModelName]) -> Stock:
        """What there is of these models; a domain that does not answer is told, not raised."""
        call, until = current(), monotonic() + _PATIENCE_S
        deadline = until if call.deadline is None else min(until, call.deadline)
        context = CallContext(tenant=call.tenant, traceparent=call.traceparent, deadline=deadline)
        wanted = list(dict.fromkeys(names))
        cache, *found = await asyncio.gather(
            self._ask("inference.get_inference_cache", GetInferenceCacheRequest(), context),
            *(self._ask("model.get_model", GetModelRequest(**name._asdict()), context) for name in wanted),
        )
        return _stock(dict(zip(wanted, found, strict=True)), cache)

    async def _ask(self, operation: str, request: Any, context: CallContext) -> Any:
        """The reply, or why there is none."""
        domain = operation.partition(".")[0]
        try:
            if domain not in self._instructors:
                raise not_configured(domain)
            found = self._instructors.domains.operation(operation)
            return await self._instructors[domain].coordinate(found, request, context=context)
        except CoordinatorError as error:
            return error


def _stock(found: Mapping[ModelName, Any], cache: Any) -> Stock:
    silent: dict[str, CoordinatorError] = {}
    resident: list[ModelSize] = []
    if isinstance(cache, CoordinatorError):
        silent["inference"] = cache
    else:
        resident = [ModelSize(each.model_id, each.model_version, each.device, each.size_bytes) for each in cache.models]
    known = {model[:2]: model for model in resident}
    sizes: dict[ModelName, ModelSize] = {}
    missing: dict[ModelName, CoordinatorError] = {}
    for name, reply in found.items():
        if not isinstance(reply, CoordinatorError):
            sizes[name] = known.get((reply.model.model_id, reply.model.model_version)) or _declared(reply.model)
        elif reply.reason in _UNUSABLE:
            missing[name] = reply
        else:
            silent["model"] = reply
            named = [model for model in resident if name in (model[:2], (model.model_id, ""))]
            if named:
                sizes[name] = named[-1]
    budgets = {} if "inference" in silent else {each.device: each.budget_bytes for each in cache.devices}
    return Stock(sizes, missing, resident, budgets, silent)


def _declared(model: ModelInfo) -> ModelSize:
    return ModelSize(model.model_id, model.model_version, model.device, model.declared_size_bytes)
