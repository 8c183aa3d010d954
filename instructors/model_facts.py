"""What the Model domain says of models: which version is the newest, what it declares to take, and where it runs."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Final, NamedTuple

from coordinator.model.v1.model_pb2 import GetModelRequest

from instructors.registry import Instructors
from processing_service.wire.callcontext import NO_CALL
from processing_service.wire.errors import CoordinatorError

_FRESH_S: Final = 5.0
"""After that the Model domain is asked again, in the background, in seconds."""
_PATIENCE_S: Final = 2.0
"""How long it may take to answer, in seconds; then nothing is known of the model."""
_MOST: Final = 4096
"""Models that are remembered."""

Name = tuple[str, str]
"""model_id and model_version; an empty version is the newest."""


class Fact(NamedTuple):
    """What is known of a model before it was loaded."""

    model_version: str = ""
    """Empty if nothing is known."""
    size_bytes: int = 0
    """What it declares."""
    device: str = ""
    """Empty if nothing is known."""


NOTHING: Final = Fact()
"""What is known of other models."""


class ModelFacts:
    """Asks the Model domain once for each model, and again from time to time: the newest version changes."""

    def __init__(self, instructors: Instructors) -> None:
        self._instructors = instructors
        self._facts: dict[Name, tuple[Fact, float]] = {}
        self._asking: dict[Name, asyncio.Task[Fact]] = {}

    async def find(self, name: Name) -> Fact:
        """What is known; an empty fact if the Model domain does not know the model, or does not answer in time."""
        known = self._facts.get(name)
        if known is None:
            return await asyncio.shield(self._ask(name))
        if known[1] < monotonic():
            self._ask(name)
        return known[0]

    def close(self) -> None:
        """Asks no more."""
        for task in self._asking.values():
            task.cancel()

    def _ask(self, name: Name) -> asyncio.Task[Fact]:
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.ensure_future(self._read(name))
            task.add_done_callback(lambda _: self._asking.pop(name))
        return task

    async def _read(self, name: Name) -> Fact:
        request = GetModelRequest(model_id=name[0], model_version=name[1])
        try:
            instructor = self._instructors.model
            reply: Any = await instructor.call(
                "get_model", request, deadline=monotonic() + _PATIENCE_S, context=NO_CALL
            )
            fact = Fact(reply.model.model_version, reply.model.declared_size_bytes, reply.model.device)
        except CoordinatorError:
            fact = NOTHING
        if len(self._facts) >= _MOST:
            self._facts.clear()
        self._facts[name] = fact, monotonic() + _FRESH_S
        return fact
