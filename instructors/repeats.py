"""Calls that come twice: the same request_id with the same content gives the first answer again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from google.protobuf.message import Message

from processing_service.engine.completion import complete
from processing_service.engine.ids import check_id
from processing_service.engine.managers.sessions import request_digest
from processing_service.engine.store.base import RequestLog, RequestNote

Reply = TypeVar("Reply", bound=Message)


class Repeatable(Protocol):
    """A request that has a request_id."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = False) -> bytes: ...


class Repeats:
    """Looks a request up before it is carried out, and has it noted with what it does."""

    def __init__(self, log: RequestLog, now_us: Callable[[], int]) -> None:
        self._log, self._now_us = log, now_us
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        """Held by the call that is carried out; equal ones that come at the same time wait for its answer."""

    async def once(
        self,
        tenant: str,
        method: str,
        request: Repeatable,
        subject: str,
        act: Callable[[RequestNote | None], Awaitable[Reply]],
        again: Callable[[str], Awaitable[Reply]],
    ) -> Reply:
        """The reply of `act`, or of `again` if the request was carried out before.

        What was begun is carried out, also if the caller leaves.

        Args:
            method: name of the RPC.
            subject: what the request is about.
            act: carries it out and writes the note in the same transaction, so that a crash leaves both or neither.
            again: gets the subject that was noted.

        Raises:
            CoordinatorError: REQUEST_ID_REUSED if the content was another; FIELD_INVALID.
        """
        if not request.request_id:
            return await act(None)
        check_id("request_id", request.request_id)
        key = (tenant, method, request.request_id)
        digest = request_digest(request.SerializeToString(deterministic=True))
        turn = self._turns.setdefault(key, asyncio.Lock())

        async def carry_out() -> Reply:
            async with turn:
                if (first := await self._log.find(*key, digest)) is not None:
                    return await again(first)
                return await act(RequestNote(*key, digest, subject, self._now_us()))

        return await complete(carry_out(), method)

    async def note(self, note: RequestNote) -> None:
        """Notes a request of many transactions after the last of them: a crash before it carries it out once more."""
        await self._log.note(note)
