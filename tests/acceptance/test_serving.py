"""Processes as a user starts them: one store, one owner; a drain that ends well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.processes import Server


async def test_a_second_server_on_one_store_is_told_who_has_it(tmp_path: Path) -> None:
    """It ends with the process id of the first, and the first goes on."""
    first = Server("--store", str(tmp_path / "store"), "--listen", f"unix:{tmp_path}/first.sock")
    second = Server("--store", str(tmp_path / "store"), "--listen", f"unix:{tmp_path}/second.sock")
    await first.start()
    try:
        with pytest.raises(AssertionError, match=rf"STORE_LOCKED[\s\S]*|process {first.pid}"):
            await second.start()
        assert str(first.pid) in "".join(second.output)
    finally:
        await second.kill()
        assert await first.stop() == 0
