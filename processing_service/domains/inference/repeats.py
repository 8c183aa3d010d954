"""Requests that come twice: the same request_id with the same content gets the first answer again."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.message import Message

from processing_service.wire.callcontext import current
from processing_service.wire.errors import Code, CoordinatorError

KEEP_SECONDS: Final = 86_400.0
"""How long an answer is kept."""

MAX_ENTRIES: Final = 10_000
"""Answers that are kept at the same time; the oldest goes first."""


class _Repeatable(Protocol):
    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


Reply = TypeVar("Reply", bound=Message)


class Repeats:
    """Answers by tenant, method and request_id, in this process's memory.

    Args:
        now: seconds of any clock that only goes forward.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._answers: OrderedDict[tuple[str, str, str], tuple[float, str, Message]] = OrderedDict()

    async def once(self, method: str, request: _Repeatable, answer: Callable[[], Awaitable[Reply]]) -> Reply:
        """The first answer to this request_id, or a new one.

        Raises:
            CoordinatorError: REQUEST_ID_REUSED if the request_id came before with other content.
        """
        if not request.request_id:
            return await answer()
        key = current().tenant, method, request.request_id
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
        self._forget()
        known = self._answers.get(key)
        if known is None:
            reply = await answer()
            self._answers[key] = self._now(), digest, reply
            return reply
        if known[1] != digest:
            raise _reused(request.request_id, known[1], digest)
        return known[2]  # type: ignore[return-value]  # the method is part of the key

    def _forget(self) -> None:
        oldest = self._now() - KEEP_SECONDS
        while self._answers and (len(self._answers) >= MAX_ENTRIES or next(iter(self._answers.values()))[0] < oldest):
            self._answers.popitem(last=False)


def _reused(request_id: str, first: str, second: str) -> CoordinatorError:
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_REQUEST_ID_REUSED,
        f"request_id {request_id!r} was used with other content; take a new one",
        metadata={"request_id": request_id, "first_digest": first, "digest": second},
    )
