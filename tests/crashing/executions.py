"""What a domain that counts has executed, by its log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Execution(NamedTuple):
    """One execution of a call, as the domain saw it."""

    number: int
    key: str
    """Its idempotency key."""
    session_id: str
    left: float
    """Time that it was given, in seconds."""
    answer: str
    """Its greeting; empty without one."""
    lasted: float | None
    """In seconds; None if it has not ended."""
    began: float
    """By the clock of the domain, in seconds."""


async def executions(log: Path, start: int, patience: float) -> dict[int, Execution]:
    """What a counting domain has seen since its log had that many bytes, by number; the last may need time to end.

    Args:
        patience: how long that may be, in seconds.
    """
    end, found = time.monotonic() + patience, _read(log, start)
    while time.monotonic() < end and any(each.lasted is None for each in found.values()):
        await asyncio.sleep(0.05)  # another process is awaited
        found = _read(log, start)
    return found


def _read(log: Path, start: int) -> dict[int, Execution]:
    notes: dict[int, list[dict[str, Any]]] = {}
    for line in log.read_bytes()[start:].splitlines():
        note = json.loads(line)
        notes.setdefault(note["number"], []).append(note)
    return {number: _execution(*both) for number, both in notes.items() if "key" in both[0]}


def _execution(begin: Mapping[str, Any], end: Mapping[str, Any] | None = None) -> Execution:
    lasted = None if end is None else end["at"] - begin["at"]
    answer = "" if end is None else end.get("answer", "")
    return Execution(begin["number"], begin["key"], begin["session_id"], begin["left"], answer, lasted, begin["at"])
