"""Numbers of enums of the contract, as requests have them; a newer client may send some that are not known here."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid

Member = TypeVar("Member", bound=IntEnum)


def known(kind: type[Member], number: int, field_path: str) -> Member:
    """The member with that number. Raises CoordinatorError FIELD_INVALID that names all there are."""
    try:
        return kind(number)
    except ValueError:
        text = f"{number} is none; take one of {names(kind)}"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, field_path, text) from None


def required(kind: type[Member], number: int, field_path: str) -> Member:
    """As `known`, where 0 is no choice. Raises CoordinatorError: FIELD_REQUIRED, FIELD_INVALID."""
    if not number:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, field_path, f"is one of {names(kind)}")
    return known(kind, number, field_path)


def names(members: Iterable[IntEnum]) -> str:
    """Their names, for people."""
    return ", ".join(member.name for member in members)
