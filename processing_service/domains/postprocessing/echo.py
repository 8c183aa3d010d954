"""The operation that gives its input back."""

from __future__ import annotations

import asyncio
from typing import Final

from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import invalid_field
from processing_service.domains.postprocessing.settings import PostprocessingSettings

_MAX_DELAY: Final = 3600.0


def echo(operation: pb.EchoOperation, _: PostprocessingSettings) -> pb.EchoResult:
    """Gives the input back."""
    if operation.HasField("datum"):
        return pb.EchoResult(text=operation.text, value=operation.value, datum=operation.datum)
    return pb.EchoResult(text=operation.text, value=operation.value)


async def wait_for(operation: pb.EchoOperation) -> None:
    """Waits as long as the operation says; a cancelled call ends it at once.

    Raises:
        CoordinatorError: FIELD_INVALID.
    """
    seconds = operation.delay.seconds + operation.delay.nanos / 1e9
    if not 0 <= seconds <= _MAX_DELAY:
        raise invalid_field("echo.delay", f"{seconds:g} s is not within 0 and one hour")
    await asyncio.sleep(seconds)
