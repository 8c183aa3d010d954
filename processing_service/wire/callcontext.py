"""What a server knows of the call it serves: read once from its metadata, then carried to handlers, logs and calls.

The names of the keys are a contract with domains that are not ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

SESSION_ID: Final = "coordinator-session-id"
STEP_ID: Final = "coordinator-step-id"
ATTEMPT: Final = "coordinator-attempt"
IDEMPOTENCY_KEY: Final = "coordinator-idempotency-key"
REQUEST_ID: Final = "coordinator-request-id"
TENANT: Final = "coordinator-tenant"
TRACEPARENT: Final = "traceparent"


class CallContext(NamedTuple):
    """Who calls, for which step, until when; empty where the caller did not say.

    A named tuple and not a dataclass because one is made for every call, embedded ones too.
    """

    session_id: str = ""
    """The session that the call is made for."""
    step_id: str = ""
    """The step of that session."""
    attempt: int = 0
    """The step's attempt, from 1."""
    idempotency_key: str = ""
    """The step's key, `session/step[item]#attempt`: the same when a crash makes the call go out again."""
    request_id: str = ""
    """The caller's id of this request."""
    tenant: str = ""
    """For whom the work is done."""
    traceparent: str = ""
    """W3C trace context that outgoing calls carry on."""
    deadline: float | None = None
    """When the caller stops waiting, in seconds of `time.monotonic()`."""
    actor: str = ""
    """The name of the token that the caller showed."""

    def remaining(self) -> float | None:
        """Seconds until the deadline, never negative; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


NO_CALL: Final = CallContext()
"""The context outside of any call."""

CURRENT: Final[ContextVar[CallContext]] = ContextVar("call_context", default=NO_CALL)
"""Set by the server's edge; read it through `current`."""


def current() -> CallContext:
    """The call that is being served here; `NO_CALL` outside of one."""
    return CURRENT.get()


@contextmanager
def serving(call: CallContext) -> Iterator[None]:
    """Logs and outgoing calls inside belong to `call`. Never around a `yield` of an async generator."""
    previous = CURRENT.get()
    CURRENT.set(call)
    try:
        yield
    finally:
        CURRENT.set(previous)


def outgoing_metadata(call: CallContext | None = None) -> tuple[tuple[str, str], ...]:
    """The metadata that a call made on behalf of `call` carries; of the current one if not given.

    Change single fields with `current()._replace(step_id=...)`. The deadline travels as the call's own timeout.
    """
    call = CURRENT.get() if call is None else call
    found: list[tuple[str, str]] = []
    if call.session_id:
        found.append((SESSION_ID, call.session_id))
    if call.step_id:
        found.append((STEP_ID, call.step_id))
    if call.attempt:
        found.append((ATTEMPT, str(call.attempt)))
    if call.idempotency_key:
        found.append((IDEMPOTENCY_KEY, call.idempotency_key))
    if call.request_id:
        found.append((REQUEST_ID, call.request_id))
    if call.tenant:
        found.append((TENANT, call.tenant))
    if call.traceparent:
        found.append((TRACEPARENT, call.traceparent))
    return tuple(found)
