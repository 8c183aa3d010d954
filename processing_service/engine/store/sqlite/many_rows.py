"""Rows that are written together.

One statement takes many: the interpreter is given back once for all of them. Row by row, as `executemany` does it, the
writer's thread waits after each until the busy event loop lets go: 1.5 ms a session instead of 90 us, measured with 100
of them a transaction beside a loop that never rests.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

from processing_service.engine.store.sqlite.queries import SQL

_MOST: Final = 128
"""Rows of one statement; SQLite binds 32,766 values."""
_FEW: Final = 16
"""So many rows and less are one statement. The thread has to get the interpreter back after each."""
_ROW: Final = re.compile(r"(?<=VALUES)\s*(\([?, ]+\))")


def write_rows(connection: sqlite3.Connection, name: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Runs the statement of that name, which has `VALUES (?, ...)` for one row, for all; how many it wrote."""
    written = begin = 0
    while left := len(rows) - begin:
        some = rows[begin : begin + _size(left)]
        written += connection.execute(_statement(name, len(some)), list(chain.from_iterable(some))).rowcount
        begin += len(some)
    return written


def _size(left: int) -> int:
    """All that is left, or the largest power of two: few different statements, so that they stay prepared."""
    return left if left <= _FEW else min(_MOST, 1 << left.bit_length() - 1)


@cache
def _statement(name: str, rows: int) -> str:
    return _ROW.sub(lambda row: " " + ", ".join([row[1]] * rows), SQL[name])
