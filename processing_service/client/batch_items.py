"""Items of a batch on their way to the coordinator: in pages that fit a request, and their places in errors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.values import Value
from processing_service.wire.errors import CoordinatorError, Violation

Item: TypeAlias = "pb.BatchItem | tuple[str, Mapping[str, Value]]"
"""What an item can be: the message, or its item_id and its parameters as Python values."""
Items: TypeAlias = "Iterable[Item] | AsyncIterable[Item]"

PAGE_ITEMS: Final = 10_000
"""Items of one request, at most: the server takes no more."""
PAGE_BYTES: Final = 2 << 20
"""Items of one request together, in bytes, unless the first alone has more: half of the largest message."""

_ENTRY_BYTES: Final = 6
"""Tag and length of an entry, at most."""
_PLACE: Final = re.compile(r"\bitems\[(\d+)\]")


async def each(items: Items) -> AsyncIterator[Item]:
    """The items, whichever way they come."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def pages(messages: AsyncIterable[pb.BatchItem]) -> AsyncIterator[list[pb.BatchItem]]:
    """The items in their order, cut where a request is full. No page is empty."""
    page: list[pb.BatchItem] = []
    room = PAGE_BYTES
    async for message in messages:
        size = message.ByteSize() + _ENTRY_BYTES
        if page and (size > room or len(page) == PAGE_ITEMS):
            yield page
            page, room = [], PAGE_BYTES
        page.append(message)
        room -= size
    if page:
        yield page


def placed(error: CoordinatorError, page: Sequence[pb.BatchItem], sent: int) -> CoordinatorError:
    """The same error with the places of items among all that were given, and the item_id of the first.

    Args:
        sent: items before this page.
    """
    found = _PLACE.search(error.message)
    if found is None or int(found[1]) >= len(page):
        return error
    item_id = page[int(found[1])].item_id
    return CoordinatorError(
        error.code,
        error.reason,
        f"item {item_id!r}: {_moved(error.message, sent)}",
        metadata={**error.metadata, "item_id": item_id},
        violations=[Violation(_moved(v.field_path, sent), v.description, v.suggestion) for v in error.violations],
        retry_delay=error.retry_delay,
        reason_name=error.reason_name,
    )


def _moved(text: str, sent: int) -> str:
    return _PLACE.sub(lambda found: f"items[{int(found[1]) + sent}]", text)
