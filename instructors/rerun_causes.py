"""Why a step runs again: what of its computation is another than before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from instructors.computations import Computation
from instructors.field_paths import LEAVES, entry, is_map
from instructors.formers import Former
from instructors.inputs import SessionRun
from instructors.model_versions import model_of
from instructors.plans import PlannedStep
from instructors.reuse import Asked
from processing_service.wire.errors import CoordinatorError

_NAMED: Final = 3
"""Inputs that a cause names, at most."""


class Cause:
    """Says why a step cannot take what was computed before.

    Args:
        former: the session that this one is started from; None if there is none, or if it is gone.
    """

    def __init__(self, run: SessionRun, step: PlannedStep, former: Former | None) -> None:
        self._run, self._step, self._former = run, step, former

    async def of(self, asked: Sequence[Asked]) -> str:
        """The cause, for people.

        Args:
            asked: the calls of the step, at least one of which has to be made.
        """
        if self._step.is_child:
            return "it starts a session of its own; such steps always run"
        if self._run.seed is None:
            return self._without_former(asked)
        if self._former is None:
            return f"session {self._run.seed.session_id!r} cannot be read any more"
        if not (was := self._former.operation(self._step.step_id)):
            return f"session {self._former.session_id!r} has no step of that name"
        if was != self._step.operation.name:
            return f"its operation changed: it was {was}"
        return await self._of_inputs(asked, self._former)

    def _without_former(self, asked: Sequence[Asked]) -> str:
        if not self._run.planned.definition.workflow.reuse_enabled:
            return "its workflow does not set reuse_enabled"
        if not self._step.is_reusable:
            return "it is not marked pure"
        if any(one.computation.model is None for one in asked):
            return _untold(asked[0].computation)
        return "no session has computed it from these inputs"

    async def _of_inputs(self, asked: Sequence[Asked], former: Former) -> str:
        missing = [one for one in asked if one.taken is None]
        try:
            made = (await former.made(self._step.step_id)).all
            if len(asked) == len(made) == 1:
                return difference(await former.computation(self._step.step_id, made[0]), missing[0].computation)
        except CoordinatorError as error:
            return f"what it gave cannot be read any more: {error.message}"
        if not made:
            return f"it is {former.state(self._step.step_id).name} in session {former.session_id!r}"
        some = f"{len(missing)} of {len(asked)} calls"
        return f"{some}: {_untold(missing[0].computation) if missing[0].computation.model is None else 'new inputs'}"


def difference(then: Computation, now: Computation) -> str:
    """What makes them two: inputs by path, else the model."""
    if now.model is None or then.model is None:
        return _untold(now)
    changed = list(_changed(dict(_inputs(then.request, "")), dict(_inputs(now.request, ""))))
    if changed:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        return "; ".join(changed[:_NAMED]) + more
    if then.model != now.model:
        return model_change(then, now.model)
    return "what it gave cannot be read any more"


def model_change(then: Computation, now: str) -> str:
    """That a model is another now than it was then."""
    return f"model {model_of(then.request)!r} changed: {_short_model(now)}, was {_short_model(then.model or '')}"


def _untold(computation: Computation) -> str:
    return f"which version of model {model_of(computation.request)!r} it ran on, or would, cannot be told"


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for path in sorted(then.keys() | now.keys()):
        if path not in then:
            yield f"input {path} is new (SHA-256 {now[path]})"
        elif path not in now:
            yield f"input {path} is gone"
        elif then[path] != now[path]:
            yield f"input {path} changed (SHA-256 {now[path]}, was {then[path]})"


def _inputs(message: Message, path: str) -> Iterator[tuple[str, str]]:
    """The fields that are set, by path, each with the beginning of a digest."""
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        values: list[tuple[str, Any]]
        if is_map(field):
            values = [(entry(here, key), value[key]) for key in value]
        elif field.is_repeated:
            values = [(f"{here}[{index}]", each) for index, each in enumerate(value)]
        else:
            values = [(here, value)]
        for where, each in values:
            if isinstance(each, Message) and each.DESCRIPTOR.full_name not in LEAVES:
                yield from _inputs(each, where)
            else:
                yield where, _digest(each)


def _digest(value: Any) -> str:
    if isinstance(value, Message):
        value = value.SerializeToString(deterministic=True)
    data = value if isinstance(value, bytes) else repr(value).encode()
    return hashlib.sha256(data).hexdigest()[:12]


def _short_model(text: str) -> str:
    version, _, digest = text.partition("@")
    return f"{version}@{digest[:12]}"
