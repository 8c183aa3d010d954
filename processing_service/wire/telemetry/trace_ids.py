"""Ids of traces and spans as they travel in W3C `traceparent`, given out before any span is made."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

_FORMAT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1


class TraceParent(NamedTuple):
    """The parts of a traceparent, as hexadecimal text."""

    trace_id: str
    span_id: str
    sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-0{int(self.sampled)}"


def parse(text: str) -> TraceParent | None:
    """The parts of a traceparent; None if it is not one (https://www.w3.org/TR/trace-context/#traceparent-header)."""
    match = _FORMAT.match(text)
    if match is None or match[1] == "ff" or not match[2].strip("0") or not match[3].strip("0"):
        return None
    if match[1] == "00" and match.end() != len(text):
        return None
    return TraceParent(match[2], match[3], bool(int(match[4], 16) & _SAMPLED))


def trace_id_of(text: str) -> str:
    """The trace id of a traceparent; empty if it is not one."""
    found = parse(text)
    return found.trace_id if found else ""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where spans go."""

    exporter: Literal["none", "console", "otlp"] = "none"
    """`none` makes no spans and passes a caller's traceparent on."""
    endpoint: str = ""
    """Address of the OTLP collector, `http://host:4317`; empty leaves it to the exporter's own environment."""
    ratio: float = 1.0
    """Share of the traces begun here that are sampled, 0 to 1."""


class TraceIds:
    """Gives out ids and decides which traces are sampled.

    Args:
        ratio: share of the traces begun here that are sampled, 0 to 1; those begun elsewhere are as their callers said.
    """

    def __init__(self, ratio: float = 1.0) -> None:
        self._limit = round(ratio * (1 << 64))
        self._random = random.Random()  # noqa: S311  # ids, not secrets

    def child(self, traceparent: str, key: str = "") -> str:
        """A span under `traceparent`; the same for the same key. A trace that is not sampled needs no span ids."""
        parent = parse(traceparent)
        if parent is None:
            return str(self._root(key))
        return str(parent._replace(span_id=self._id(16, parent.trace_id, key))) if parent.sampled else traceparent

    def _root(self, key: str) -> TraceParent:
        trace_id = self._id(32, "", key)
        return TraceParent(trace_id, self._id(16, trace_id, key), int(trace_id[16:], 16) < self._limit)

    def _id(self, digits: int, trace_id: str, key: str) -> str:
        if key:
            return blake2b(f"{trace_id} {key}".encode(), digest_size=digits // 2).hexdigest()
        return f"{self._random.getrandbits(digits * 4) or 1:0{digits}x}"
