"""Requests that come twice: the same request_id with the same content gets the first answer again."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

from google.protobuf.message import Message

from processing_service.wire.callcontext import current
from processing_service.wire.request_ids import request_id_reused

MAX_ENTRIES: Final = 10_000
"""Answers that are kept at the same time; the oldest goes first."""


class _Repeatable(Protocol):
    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


Reply = TypeVar("Reply", bound=Message)


class Repeats:
    """Answers by tenant, method and request_id, in this process's memory.

    Args:
        keep: how long an answer is kept, in seconds.
        now: seconds of any clock that only goes forward.
    """

    def __init__(self, keep: float, now: Callable[[], float] = time.monotonic) -> None:
        self._keep, self._now = keep, now
        self._answers: OrderedDict[tuple[str, str, str], tuple[float, bytes, Message]] = OrderedDict()
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        """Held by the call that is answered; equal ones that come at the same time wait for its answer."""

    async def once(self, method: str, request: _Repeatable, answer: Callable[[], Awaitable[Reply]]) -> Reply:
        """The first answer to this request_id, or a new one.

        Raises:
            CoordinatorError: REQUEST_ID_REUSED if the request_id came before with other content.
        """
        if not request.request_id:
            return await answer()
        key = current().tenant, method, request.request_id
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            self._forget()
            known = self._answers.get(key)
            if known is None:
                reply = await answer()
                self._answers[key] = self._now(), digest, reply
                return reply
        if known[1] != digest:
            raise request_id_reused(request.request_id, known[1], digest)
        return known[2]  # type: ignore[return-value]  # the method is part of the key

    def _forget(self) -> None:
        oldest = self._now() - self._keep
        while self._answers and (len(self._answers) >= MAX_ENTRIES or next(iter(self._answers.values()))[0] < oldest):
            self._answers.popitem(last=False)
