"""What steps read, and the requests that are made of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from instructors.model import Pin
from instructors.payloads import put_contents_in
from instructors.plans import Planned, PlannedStep
from instructors.results import Key, ResultCache, Results
from processing_service.engine.base import SessionContext, StepCall
from processing_service.engine.definitions.bindings import Scope
from processing_service.engine.records import Output, StepState
from processing_service.engine.store.base import ArtifactStore

if TYPE_CHECKING:
    from instructors.formers import Former

_ITEMS: Final = -2
"""In place of an item: the items themselves."""


class Seed:
    """A session whose outputs another may take, read when that is first asked for."""

    __slots__ = ("former", "is_read", "lock", "session_id")

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.lock = asyncio.Lock()
        self.is_read = False
        self.former: Former | None = None
        """None also if it is gone."""

    def forget(self) -> None:
        """Lets go of the results that were parsed of it."""
        if self.former is not None:
            self.former.forget()


class SessionRun:
    """What the dispatch has of a session while it is live."""

    __slots__ = ("has_references", "lock", "parameters", "pin", "planned", "results", "seed")

    def __init__(self, planned: Planned, session: SessionContext) -> None:
        request = session.request
        self.planned = planned
        self.parameters = session.parameters
        self.results = Results()
        self.has_references = planned.has_references or (
            bool(request.payloads) and any(datum.HasField("artifact") for datum in request.payloads.values())
        )
        self.pin: Pin | None = None
        self.lock = asyncio.Lock() if request.model_id else None
        """Held while its model is pinned; None if it has none."""
        self.seed = Seed(request.from_session_id) if request.from_session_id else None
        """The session whose outputs it may take; None if it names none."""


class Inputs:
    """Reads results and contents from the cache, or from where they are stored.

    Args:
        artifacts: where large results are kept.
        cache: of parsed results.
    """

    def __init__(self, artifacts: ArtifactStore, cache: ResultCache) -> None:
        self._artifacts, self._cache = artifacts, cache

    def simple_request(self, run: SessionRun, step: PlannedStep, call: StepCall) -> Any:
        """The request, if everything that it needs is at hand and nothing has to be put into it; else None."""
        if not step.is_simple or call.item >= 0 or run.pin is not None or (step.takes_data and run.has_references):
            return None
        values: dict[str, Any] = {}
        for index in step.needs:
            value = run.results.values.get((index, -1))
            if value is None:
                return None
            values[run.planned.steps[index].step_id] = value
        return step.compiled.build(Scope(run.parameters, values))

    async def request(self, run: SessionRun, step: PlannedStep, call: StepCall) -> Any:
        """The request with everything in it. Raises CoordinatorError: EXPRESSION_FAILED, ARTIFACT_NOT_FOUND."""
        return await self.complete(run, step, await self.bound(run, step, call), run.pin)

    async def bound(self, run: SessionRun, step: PlannedStep, call: StepCall) -> Any:
        """The request as its bindings make it, without the content of references and without a pin. Raises alike."""
        items: list[Any] | None = self._cache.get(run.results, (call.step, _ITEMS)) if call.item >= 0 else None
        scope = await self.scope(run, call, step.needs if items is None else step.request_needs)
        if call.item >= 0:
            if items is None:
                await self.open(scope, step.compiled.wanted_first(scope))
                items = self.items(run, step, call, scope)
            scope.item, scope.item_index = items[call.item], call.item
        await self.open(scope, step.compiled.wanted(scope))
        return step.compiled.build(scope)

    async def complete(self, run: SessionRun, step: PlannedStep, request: Any, pin: Pin | None) -> Any:
        """Puts into a bound request what is still missing. Raises CoordinatorError: ARTIFACT_NOT_FOUND."""
        if step.takes_data and run.has_references:
            await put_contents_in(request, self._artifacts)
        if pin is not None and step.pins and request.model_id == pin.model_id:
            _fill(request, step.pins, pin)
        return request

    async def scope(self, run: SessionRun, call: StepCall, needs: tuple[int, ...]) -> Scope:
        """What bindings read; steps that were skipped or failed are left out."""
        values: dict[str, Any] = {}
        for index in needs:
            step = call.steps[index]
            if step.state is not StepState.SUCCEEDED:
                continue
            if step.items is None:
                value = self._cache.get(run.results, (index, -1))
                values[run.planned.steps[index].step_id] = value or await self.read(run, (index, -1), step.output)
            else:
                outputs = sorted(step.items.outputs)
                values[run.planned.steps[index].step_id] = [
                    self._cache.get(run.results, (index, item)) or await self.read(run, (index, item), output)
                    for item, output in outputs
                ]
        return Scope(run.parameters, values)

    def scope_at_hand(self, run: SessionRun, call: StepCall, needs: tuple[int, ...]) -> Scope | None:
        """The same without waiting, if all succeeded without items and what they left is small and kept; else None."""
        if run.results.large:
            return None
        values: dict[str, Any] = {}
        for index in needs:
            value = run.results.values.get((index, -1))
            if value is None or call.steps[index].state is not StepState.SUCCEEDED:
                return None
            values[run.planned.steps[index].step_id] = value
        return Scope(run.parameters, values)

    async def read(self, run: SessionRun, key: Key, output: Output | None) -> Any:
        """A result from its stored bytes. Raises CoordinatorError: ARTIFACT_NOT_FOUND, DIGEST_MISMATCH."""
        assert output is not None
        data = await self._artifacts.get(output.digest.hex()) if output.digest else output.data
        message = run.planned.steps[key[0]].operation.response_class.FromString(data)
        self._cache.put(run.results, key, message, len(data))
        return message

    def items(self, run: SessionRun, step: PlannedStep, call: StepCall, scope: Scope) -> list[Any]:
        """The items of a foreach, evaluated once as long as they are kept."""
        key = (call.step, _ITEMS)
        items: list[Any] | None = self._cache.get(run.results, key)
        if items is None:
            items = step.compiled.items(scope)
            size = sum(run.results.large.get((index, -1), 0) for index in step.needs)
            self._cache.put(run.results, key, items, size)
        return items

    def forget(self, run: SessionRun) -> None:
        """Lets go of the results that are kept of a session."""
        self._cache.drop_all(run.results)

    async def open(self, scope: Scope, wanted: Any) -> None:
        """Reads the content that bindings want as bytes."""
        for artifact in wanted:
            scope.contents[artifact.digest] = await self._artifacts.get(artifact.digest)

    def release(self, run: SessionRun, call: StepCall) -> None:
        """Forgets large results that nobody needs any more."""
        steps, followers = call.steps, run.planned.definition.plan.followers
        for key in tuple(run.results.large):
            index = key[0]
            needed = not steps[index].ended if key[1] == _ITEMS else index in run.planned.output_needs
            if not needed and all(steps[follower].ended for follower in followers[index]):
                self._cache.drop(run.results, key)


def _fill(request: Any, names: tuple[str, ...], pin: Pin) -> None:
    """Fills fields that are not set."""
    if request.model_version in ("", pin.model_version):
        for name in names:
            setattr(request, name, getattr(request, name) or getattr(pin, name))
