"""Batches made from any number of items, that need not be in memory at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.artifacts import ArtifactCalls
from processing_service.client.batch_items import Item, Items, each, pages, placed
from processing_service.client.batches import BatchCalls
from processing_service.client.retries import new_request_id
from processing_service.wire.errors import CoordinatorError

OnPage = Callable[[pb.Batch], None]

_CLEANUP_S: Final = 5.0
"""How long the removal of a batch may take that could not be filled, in seconds."""


def _ignore(batch: pb.Batch) -> None:
    """Tells nobody."""


class BatchFilling(BatchCalls, ArtifactCalls):
    """Creates batches page by page."""

    async def create_batch(
        self,
        creation: pb.PostBatchCreateRequest,
        items: Items,
        *,
        on_page: OnPage = _ignore,
        deadline: float | None = None,
    ) -> pb.Batch:
        """Creates a batch of all items, whole or not at all; it runs nothing.

        Items are taken when there is room for them in a request and given up behind it, so there may be a million.

        Args:
            creation: what the batch is to be, without its items. Its request_id makes the whole call repeatable with
                the same items; a batch that could not be filled then stays for the repeat. Without one it is removed.
            items: each a BatchItem, or an item_id with parameters as Python values: bytes, paths and arrays go as
                payloads, as artifacts where they are large.
            on_page: told of the batch behind each page.
            deadline: seconds for each call; None = that of the settings.

        Raises:
            CoordinatorError: as PostBatchCreate and PostBatchItems; places such as `items[12000]` count all items.
        """
        asked = creation.request_id or new_request_id()
        filling = pages(self._messages(items, deadline))
        first: list[pb.BatchItem] = await anext(filling, [])
        request = pb.PostBatchCreateRequest(items=first)
        request.MergeFrom(creation)
        request.request_id = asked
        try:
            batch = (await self.post_batch_create(request, deadline=deadline)).batch
        except CoordinatorError as error:
            raise placed(error, first, 0) from error
        on_page(batch)
        try:
            return await self._fill(batch, filling, len(first), asked, on_page, deadline)
        except (Exception, asyncio.CancelledError):
            if not creation.request_id:
                await self._remove(batch.batch_id)
            raise

    async def add_items(
        self,
        batch_id: str,
        items: Items,
        *,
        request_id: str = "",
        on_page: OnPage = _ignore,
        deadline: float | None = None,
    ) -> pb.Batch:
        """Adds items to a batch that has not started, page by page; a page that was added stays if a later one fails.

        Args:
            request_id: makes the whole call repeatable with the same items.

        Further arguments as `create_batch`.

        Raises:
            CoordinatorError: as PostBatchItems; places such as `items[12000]` count all items of this call.
        """
        batch = (await self.get_processing_batch(batch_id, deadline=deadline)).batch
        filling = pages(self._messages(items, deadline))
        return await self._fill(batch, filling, 0, request_id or new_request_id(), on_page, deadline)

    async def _fill(
        self,
        batch: pb.Batch,
        filling: AsyncIterator[list[pb.BatchItem]],
        sent: int,
        request_id: str,
        on_page: OnPage,
        deadline: float | None,
    ) -> pb.Batch:
        """Adds the pages that are left. Each has a request_id of its own that is the same in a repeat."""
        async for page in filling:
            place = f"{request_id}.{sent}"
            try:
                reply = await self.post_batch_items(batch.batch_id, page, request_id=place, deadline=deadline)
            except CoordinatorError as error:
                raise placed(error, page, sent) from error
            batch, sent = reply.batch, sent + len(page)
            on_page(batch)
        return batch

    async def _messages(self, items: Items, deadline: float | None) -> AsyncIterator[pb.BatchItem]:
        async for item in each(items):
            yield item if isinstance(item, pb.BatchItem) else await self._message(item, deadline)

    async def _message(self, item: Item, deadline: float | None) -> pb.BatchItem:
        assert not isinstance(item, pb.BatchItem)
        item_id, values = item
        parameters, payloads = await self.to_parameters(values, deadline=deadline)
        return pb.BatchItem(item_id=item_id, parameters=parameters, payloads=payloads)

    async def _remove(self, batch_id: str) -> None:
        """What could not be filled is nobody's; where it cannot be removed it stays, and runs nothing."""
        with suppress(CoordinatorError):
            await self.delete_processing_batch(batch_id, deadline=_CLEANUP_S)
