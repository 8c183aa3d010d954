"""One coordinator with its embedded domains for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.coordinators import Served, serving
from tests.greetings import greeter, greeting_address, greeting_set, greetings

__all__ = ["coordinator", "greeter", "greeting_address", "greeting_set", "greetings"]


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Served]:
    """It serves on a port of its own, over a store of its own."""
    async with serving(tmp_path) as served:
        yield served
