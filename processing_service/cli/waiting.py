"""Waiting for what goes on at the server, whether somebody waits or not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from processing_service.cli.failures import ExitCode, stop
from processing_service.cli.verbs import Call


@asynccontextmanager
async def waiting(call: Call, noun: str, name: str, max_wait: float | None) -> AsyncIterator[None]:
    """Says how to come back to a session or batch that goes on without us.

    Args:
        noun: `session` or `batch`.
        name: its id.
        max_wait: seconds; then the command ends with ExitCode.TIMEOUT.
    """
    try:
        async with asyncio.timeout(max_wait):
            yield
    except TimeoutError:
        _goes_on(call, noun, name)
        raise stop(ExitCode.TIMEOUT) from None
    except asyncio.CancelledError:
        _goes_on(call, noun, name)
        raise


def _goes_on(call: Call, noun: str, name: str) -> None:
    if not call.client.answered:
        print(f"error: no server has answered, so nothing is known of {noun} {name}", file=sys.stderr)
        return
    print(f"{noun} {name} goes on; `processing-service {noun} watch {name}` follows it", file=sys.stderr)
