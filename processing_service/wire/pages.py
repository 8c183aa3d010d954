"""Pages of lists: a size within bounds and a token that belongs to one list and filter."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Final, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.message import Message

from processing_service.wire.errors import CoordinatorError, invalid

DEFAULT_SIZE: Final = 100
MAX_SIZE: Final = 1000
PAGE_BYTES: Final = 3 << 20
"""Entries of a page together, in bytes, unless the first alone has more: a message of 4 MiB has room for it."""
_FILTER_DIGITS: Final = 12
_NUMBER_DIGITS: Final = 19

Entry = TypeVar("Entry", bound=Message)


def page_size(asked: int) -> int:
    """Entries of a page: 100 if nothing was asked, at most 1000. Raises CoordinatorError: FIELD_INVALID."""
    if asked < 0:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "page_size", "must not be negative")
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


def fit(entries: Iterable[Entry], size: int) -> list[Entry]:
    """The first entries, at most `size` of them, as far as they fit a page together; at least one if there is any."""
    fitting: list[Entry] = []
    room = PAGE_BYTES
    for entry in entries:
        room -= entry.ByteSize()
        if len(fitting) == size or (fitting and room < 0):
            break
        fitting.append(entry)
    return fitting


def list_of(asked: Message) -> bytes:
    """What a list is to its tokens: its request, with the fields that filter and no others."""
    return asked.DESCRIPTOR.full_name.encode() + asked.SerializeToString(deterministic=True)


def make_token(which: bytes, key: str) -> str:
    """Opaque token of the page behind `key`, bound to the list and filter that `which` stands for."""
    return base64.urlsafe_b64encode(f"{_fold(which)}{key}".encode()).decode().rstrip("=")


def read_token(which: bytes, token: str) -> str:
    """The key in a token; empty for the first page. Raises CoordinatorError: PAGE_TOKEN_INVALID."""
    if not token:
        return ""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = ""
    if text[:_FILTER_DIGITS] != _fold(which):
        raise _not_ours()
    return text[_FILTER_DIGITS:]


def read_number(which: bytes, token: str) -> int:
    """The key in a token of a list that is ordered by number; 0 for the first page. Raises as `read_token`."""
    key = read_token(which, token)
    if not key:
        return 0
    if not (key.isascii() and key.isdecimal() and len(key) < _NUMBER_DIGITS):
        raise _not_ours()
    return int(key)


def _not_ours() -> CoordinatorError:
    text = "is not from this list with this filter; begin again without it"
    return invalid(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID, "page_token", text)


def _fold(which: bytes) -> str:
    return hashlib.sha256(which).hexdigest()[:_FILTER_DIGITS]
