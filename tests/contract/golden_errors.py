"""Errors as servers make them, stored byte for byte: what clients in every language read.

GOLDEN=write pytest tests/contract/test_golden_errors.py writes them anew.
"""

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import grpc
from coordinator.error.v1.error_pb2 import Failure
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from processing_service.wire.interceptors.errors import DETAILS

FOLDER: Final = Path(__file__).with_name("golden_errors")
"""One file for each reason: `.status.binpb` ended a call, `.failure.binpb` stands in a session or batch."""

VARYING: Final = ("needed_seconds", "left_seconds", "longest_cell_seconds", "process_id", "known_version")
"""Facts that are others each time; they become `0`, also where the message says them."""

_SECONDS: Final = re.compile(r"[0-9]+\.[0-9]+(?= s\b)")
_TRIES: Final = re.compile(r"\([0-9]+ tries in [0-9.]+ s\)")

_MADE_ID: Final = re.compile("[0-9a-f]{24}")
"""An identifier that a server made."""

Golden = status_pb2.Status | Failure
_TYPES: Final[dict[str, type[Golden]]] = {"status": status_pb2.Status, "failure": Failure}


async def status_of(call: Any) -> status_pb2.Status:
    """The status in the trailers of a call that is refused."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        (details,) = [value for key, value in error.trailing_metadata() or () if key == DETAILS]
        assert isinstance(details, bytes)
        return status_pb2.Status.FromString(details)
    raise AssertionError("the call succeeded")


def failure_in(failure: Failure, reason_name: str) -> Failure:
    """The failure with that reason among the causes of another."""
    while failure.reason_name != reason_name:
        assert failure.HasField("cause"), f"no {reason_name}, the root is {failure}"
        failure = failure.cause
    return failure


def stored() -> dict[str, Golden]:
    """Every golden error by its reason."""
    found: dict[str, Golden] = {}
    for path in sorted(FOLDER.glob("*.binpb")):
        reason_name, kind, _ = path.name.split(".")
        found[reason_name] = _TYPES[kind].FromString(path.read_bytes())
    return found


def write(errors: dict[str, Golden]) -> None:
    """Stores errors, each under its reason."""
    FOLDER.mkdir(exist_ok=True)
    for reason_name, error in errors.items():
        kind = "failure" if isinstance(error, Failure) else "status"
        for path in FOLDER.glob(f"{reason_name}.*"):
            path.unlink()
        (FOLDER / f"{reason_name}.{kind}.binpb").write_bytes(encoded(error))


def encoded(error: Message) -> bytes:
    """Bytes that are the same for equal errors."""
    return error.SerializeToString(deterministic=True)


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """What a status says of its reason."""
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def reason_of(error: Golden) -> str:
    """The reason's name."""
    return error.reason_name if isinstance(error, Failure) else info_of(error).reason


def normalised(error: Golden) -> Golden:
    """The error without what is another each time, its maps in order."""
    return _failure(error) if isinstance(error, Failure) else _status(error)


def _failure(failure: Failure) -> Failure:
    failure.message = _TRIES.sub("(0 tries in 0 s)", _settled(failure.message, failure.metadata))
    failure.step_key = _MADE_ID.sub("0" * 24, failure.step_key)
    if failure.HasField("cause"):
        _failure(failure.cause)
    return failure


def _status(status: status_pb2.Status) -> status_pb2.Status:
    info, precondition = info_of(status), error_details_pb2.PreconditionFailure()
    status.message = _settled(status.message, info.metadata)
    status.details[0].Pack(info, deterministic=True)
    for detail in status.details:
        if detail.Unpack(precondition):
            precondition.violations[0].description = status.message
            detail.Pack(precondition)
    return status


def _settled(message: str, metadata: MutableMapping[str, str]) -> str:
    """The message of an error with those facts, whose varying ones are `0` now."""
    for key in VARYING:
        if key in metadata:
            message = _SECONDS.sub("0", message.replace(metadata[key], "0"))
            metadata[key] = "0"
    return message
