"""Results that other sessions may take, in SQLite."""

from __future__ import annotations

from processing_service.engine.journal import decode_output, encode_output
from processing_service.engine.store.base import Reusable
from processing_service.engine.store.sqlite.queries import SQL
from processing_service.engine.store.sqlite.readers import Readers


class SqliteReuse:
    """ReuseStore on SQLite."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def find(self, tenant: str, identity: bytes) -> Reusable | None:
        """See ReuseStore.find."""
        asked = (tenant, identity)
        row = await self._readers.run(lambda c: c.execute(SQL["read_reusable"], asked).fetchone())
        return Reusable(tenant, identity, row[0], decode_output(row[1])) if row else None


def reusable_row(result: Reusable, number: int) -> tuple[str, bytes, int, str, bytes]:
    """A result as its row.

    Args:
        number: of the session that it goes with.
    """
    return result.tenant, result.identity, number, result.step_key, encode_output(result.output)
