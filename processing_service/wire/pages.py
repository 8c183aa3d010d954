"""Pages of lists: a size within bounds and a token that belongs to one list and filter."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid

DEFAULT_SIZE: Final = 100
MAX_SIZE: Final = 1000
_FILTER_DIGITS: Final = 12


def page_size(asked: int) -> int:
    """Entries of a page: 100 if nothing was asked, at most 1000. Raises CoordinatorError: FIELD_INVALID."""
    if asked < 0:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "page_size", "must not be negative")
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


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
        raise invalid(
            ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID,
            "page_token",
            "is not from this list with this filter; begin again without it",
        )
    return text[_FILTER_DIGITS:]


def _fold(which: bytes) -> str:
    return hashlib.sha256(which).hexdigest()[:_FILTER_DIGITS]
