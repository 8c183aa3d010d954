"""What a command prints: tables for people, JSON for programs. Colour only on a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import IO, Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from processing_service.cli.flags import Format
from processing_service.client.values import whole


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    of: Callable[[Any], object]
    """The cell of a row; shown by `str`."""


class Output:
    """Prints to stdout in the format that was asked for."""

    def __init__(self, form: Format) -> None:
        self.form = form

    @property
    def for_people(self) -> bool:
        """Whether the format is the one for people."""
        return self.form is Format.TABLE

    async def rows(self, items: AsyncIterable[Any], columns: Sequence[Column], limit: int = 0) -> None:
        """A list; at most `limit` items, 0 = all. JSON lines are printed as they come."""
        if self.form is Format.JSONL:
            async for item in _first(items, limit):
                self.json_line(item)
            return
        self.table([item async for item in _first(items, limit)], columns)

    def table(self, items: Sequence[Any], columns: Sequence[Column]) -> None:
        """A list that is there as a whole."""
        if self.form is Format.JSON:
            self.json([to_plain(item) for item in items])
        elif self.form is Format.JSONL:
            for item in items:
                self.json_line(item)
        else:
            self.lines(table_lines(items, columns))

    def one(self, item: Any, lines: Iterable[str]) -> None:
        """One thing: as JSON, or as the lines for people."""
        if self.form is Format.JSON:
            self.json(to_plain(item))
        elif self.form is Format.JSONL:
            self.json_line(item)
        else:
            self.lines(lines)

    def lines(self, lines: Iterable[str]) -> None:
        """Lines of text."""
        for line in lines:
            print(line)

    def json(self, value: object) -> None:
        """One JSON document over several lines."""
        print(json.dumps(value, indent=2, ensure_ascii=False))

    def json_line(self, item: Any) -> None:
        """One JSON document on one line, at once."""
        print(json.dumps(to_plain(item), ensure_ascii=False), flush=True)


def to_plain(item: Any) -> Any:
    """The item as JSON has it; messages by their proto names."""
    if isinstance(item, Message):
        return whole(MessageToDict(item, preserving_proto_field_name=True))
    if is_dataclass(item) and not isinstance(item, type):
        return {name: to_plain(value) for name, value in asdict(item).items()}
    if isinstance(item, Path):
        return str(item)
    return item


def table_lines(items: Iterable[Any], columns: Sequence[Column]) -> Iterator[str]:
    """Aligned columns below their titles; nothing is cut, so that it can be piped."""
    rows = [[column.title.upper() for column in columns]]
    rows += [[_one_line(column.of(item)) for column in columns] for item in items]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def fact_lines(facts: Iterable[tuple[str, object]]) -> Iterator[str]:
    """`name: value` lines, aligned; empty values are left out."""
    known = [(name, str(value)) for name, value in facts if value not in (None, "", 0, {})]
    width = max((len(name) for name, _ in known), default=0) + 1
    return (f"{name + ':':<{width}} {value}" for name, value in known)


def is_terminal(stream: IO[str]) -> bool:
    """Whether the stream is a terminal that can do more than plain lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _one_line(cell: object) -> str:
    return "" if cell is None else " ".join(str(cell).split())


async def _first(items: AsyncIterable[Any], limit: int) -> AsyncIterable[Any]:
    count = 0
    async for item in items:
        yield item
        count += 1
        if count == limit:
            return
