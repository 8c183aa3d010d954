"""The event loop that servers run on."""

import asyncio
import sys
from typing import Any

import pytest

from processing_service.server import event_loop


def loop_class() -> str:
    seen: list[Any] = []

    async def look() -> None:
        seen.append(type(asyncio.get_running_loop()))

    event_loop.run(look())
    return str(seen[0].__module__)


def test_servers_run_on_uvloop_where_it_is_installed() -> None:
    pytest.importorskip("uvloop", reason="the extra `speed` is not installed")
    assert loop_class().startswith("uvloop")


def test_servers_run_on_the_loop_of_asyncio_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # an import of it fails
    assert loop_class().startswith("asyncio")
