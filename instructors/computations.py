"""What a call computes: an operation, on a request, with a model; and the digest that stands for all of it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final, NamedTuple

from instructors.plans import PlannedStep

_FORMAT: Final = b"coordinator.reuse.v1"
"""Changes with what an identity is made of."""
_LARGE: Final = 1 << 20
"""Requests above this many bytes are hashed beside the event loop."""


class Computation(NamedTuple):
    """What a call computes."""

    request: Any
    """As its bindings made it: references by digest, nothing of the session itself."""
    model: str | None
    """`version@digest` of the model that it runs on; empty if it names none, None if that cannot be told."""
    identity: bytes
    """Equal for equal computations, 32 bytes; empty if the model cannot be told."""


async def computation(step: PlannedStep, request: Any, model: str | None) -> Computation:
    """What that call computes; its identity is SHA-256 over the parts, each behind its length.

    Not part of it: whose session it is, step and attempt, retries and time-outs.
    """
    if model is None:
        return Computation(request, None, b"")
    if request.ByteSize() > _LARGE:
        return Computation(request, model, await asyncio.to_thread(_identity, step, request, model))
    return Computation(request, model, _identity(step, request, model))


def _identity(step: PlannedStep, request: Any, model: str) -> bytes:
    operation = step.operation
    names = (operation.name, operation.kind.request.full_name, operation.response_name, model)
    whole = hashlib.sha256()
    for part in (_FORMAT, *(name.encode() for name in names), request.SerializeToString(deterministic=True)):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()
