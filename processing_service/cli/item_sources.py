"""Items of a batch as people have them: words of the command line, rows of a table, JSON lines, files."""

from __future__ import annotations

import csv
import glob
import itertools
import json
import os
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import typer

from processing_service.cli.arguments import parse, put, refuse, to_values

Named = tuple[str, dict[str, Any]]
"""item_id and parameters."""

_ITEM_ID: Final = "item_id"
_DELIMITERS: Final = "\t;,"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID: Final = 128


@dataclass(frozen=True, slots=True)
class ItemSources:
    """What the options of a command say of items."""

    words: Sequence[str] = ()
    """Of --item."""
    tables: Sequence[str] = ()
    """Files of --items."""
    files: Sequence[str] = ()
    """Paths, folders and patterns of --files."""
    file_parameters: Sequence[str] = ()
    """Of --as: parameters that are the content of files."""

    def __post_init__(self) -> None:
        if self.files and len(self.file_parameters) != 1:
            raise typer.BadParameter("name the parameter that a file is: --as PARAMETER", param_hint="--files")
        if self.file_parameters and not self.files and not self.tables:
            raise typer.BadParameter("says what --files or a column of --items is; give one of them", param_hint="--as")

    def items(self, texts: Collection[str] = ()) -> Iterator[Named]:
        """All items, read as they are taken.

        Args:
            texts: parameters whose columns are text as they stand.

        Raises:
            typer.BadParameter: for what cannot be read, with its line.
        """
        yield from map(_of_words, self.words, itertools.count(1))
        for table in self.tables:
            yield from _of_table(table, self.file_parameters, texts)
        if self.files:
            yield from of_files(self.files, self.file_parameters[0])

    @property
    def given(self) -> bool:
        """Whether there is any source."""
        return bool(self.words or self.tables or self.files)


def _of_words(text: str, number: int) -> Named:
    """`ID key=value ...`; without an ID it is item-1 and so on."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint="--item") from None
    named = bool(words) and "=" not in words[0]
    return (words[0] if named else f"item-{number}"), to_values(words[named:])


def _of_table(name: str, file_parameters: Collection[str], texts: Collection[str]) -> Iterator[Named]:
    """JSON lines if the first of them begins an object, else a table with a header."""
    with _reading(name) as file:
        first = next((line for line in file if line.strip()), "")
        lines = itertools.chain([first], file)
        if first.lstrip().startswith("["):
            raise _fault(name, 1, "is a JSON array; give one object a line (`jq -c '.[]'` makes them)")
        read = _of_json if first.lstrip().startswith("{") else _of_rows
        yield from read(name, lines, file_parameters, texts)


@contextmanager
def _reading(name: str) -> Iterator[IO[str]]:
    """A file as text; - is standard input."""
    try:
        descriptor: int | str = os.dup(sys.stdin.fileno()) if name == "-" else name
        with open(descriptor, encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{name} is no text in UTF-8", param_hint="--items") from None
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}", param_hint="--items") from None


def _of_json(
    name: str, lines: Iterator[str], file_parameters: Collection[str], texts: Collection[str]
) -> Iterator[Named]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, parse_constant=refuse)
        except ValueError as error:
            raise _fault(name, number, f"is no JSON: {error}") from None
        if not isinstance(values, dict):
            raise _fault(name, number, "is no JSON object")
        item_id = str(values.pop(_ITEM_ID, f"line-{number}"))
        values |= {key: Path(str(values[key])) for key in file_parameters if values.get(key) is not None}
        yield item_id, values


def _of_rows(
    name: str, lines: Iterator[str], file_parameters: Collection[str], texts: Collection[str]
) -> Iterator[Named]:
    header = next(lines, "")
    delimiter = next((mark for mark in _DELIMITERS if mark in header), ",")
    rows = csv.reader(itertools.chain([header], lines), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip() for column in next(rows, [])]
        _check_columns(name, columns, file_parameters)
        for row in filter(None, rows):
            if len(row) > len(columns):
                raise _fault(name, rows.line_num, f"has {len(row)} cells, the header {len(columns)}")
            yield _of_row(row, columns, f"line-{rows.line_num}", file_parameters, texts)
    except csv.Error as error:
        raise _fault(name, rows.line_num, str(error)) from None


def _check_columns(name: str, columns: Sequence[str], file_parameters: Collection[str]) -> None:
    if not columns:
        raise _fault(name, 1, "is empty; its first line names the parameters")
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None or "" in columns:
        raise _fault(name, 1, f"names column {twice!r} twice" if twice else "has a column without a name")
    lost = next((parameter for parameter in file_parameters if parameter not in columns), None)
    if lost is not None:
        raise _fault(name, 1, f"has no column {lost!r}, which --as names")


def _of_row(
    row: Sequence[str], columns: Sequence[str], name: str, file_parameters: Collection[str], texts: Collection[str]
) -> Named:
    """An empty cell leaves its parameter out."""
    values: dict[str, Any] = {}
    for column, cell in zip(columns, row, strict=False):
        if not cell:
            continue
        if column == _ITEM_ID:
            name = cell
        elif column in file_parameters:
            values[column] = Path(cell)
        else:
            put(values, column, cell if column in texts else parse(cell))
    return name, values


def of_files(patterns: Sequence[str], parameter: str) -> Iterator[Named]:
    """An item a file, named after it: by its stem, or by as much of its path as tells the files apart.

    Raises:
        typer.BadParameter: for a pattern that matches no file.
    """
    paths = list(dict.fromkeys(itertools.chain.from_iterable(map(_matches, patterns))))
    for naming in (_stem, _name, _whole):
        names = list(map(naming, paths))
        if len(set(names)) == len(names):
            break
    return ((name, {parameter: path}) for name, path in zip(names, paths, strict=True))


def _matches(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_file():
        return [path]
    found = path.iterdir() if path.is_dir() else map(Path, glob.iglob(pattern, recursive=True))
    files = sorted(one for one in found if one.is_file() and not one.name.startswith("."))
    if not files:
        raise typer.BadParameter(f"{pattern!r} matches no file", param_hint="--files")
    return files


def _stem(path: Path) -> str:
    return _fit(path.stem)


def _name(path: Path) -> str:
    return _fit(path.name)


def _whole(path: Path) -> str:
    return _fit("-".join(path.parts))


def _fit(text: str) -> str:
    """The nearest text that is an id."""
    return _UNFIT.sub("-", text).lstrip("._-")[-_LONGEST_ID:].lstrip("._-") or "file"


def _fault(name: str, line: int, text: str) -> typer.BadParameter:
    return typer.BadParameter(f"{name}, line {line}: {text}", param_hint="--items")
