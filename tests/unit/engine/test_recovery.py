from __future__ import annotations

from pathlib import Path

from processing_service.engine.records import SessionState
from tests.engines import CHAIN, Bench, running


async def test_a_new_process_goes_on_where_the_old_one_was(tmp_path: Path) -> None:
    """What succeeded is not run again; what was out runs again under the same key."""
    old = Bench(tmp_path, *CHAIN)
    old.runner.held = {"b"}
    await old.submit()
    await old.runner.until("b#1")
    await old.crash()

    async with running(tmp_path, *CHAIN) as new:
        await new.store.charge_recovery()
        assert await new.engine.recover() == 1
        live = new.engine.roster.live("s", "")
        assert live is not None
        assert await new.end(live) is SessionState.SUCCEEDED
        assert new.runner.calls == ["b#1", "c#1"]
        assert (await new.history()).count("STEP_SUCCEEDED") == 3
