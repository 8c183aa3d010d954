from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from processing_service.engine.base import Result
from processing_service.engine.ledger import INLINE_BYTES
from processing_service.engine.records import SessionState, StepPlan
from tests.engines import CHAIN, now_us, running


async def test_large_results_are_stored_beside_the_steps_that_follow(tmp_path: Path) -> None:
    """Their bytes are artifacts, the history has them by digest, in order, before the end is told."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.padding = bytes(INLINE_BYTES)
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED

        records = await bench.store.sessions.records("s", "", 0, 1000)
        assert [record.sequence for record in records] == list(range(1, 9))
        outputs = [record.output for record in records if record.output is not None]
        assert [output.data for output in outputs] == [b""] * 3
        assert await bench.store.artifacts.get(outputs[0].digest.hex()) == b"a#1" + bytes(INLINE_BYTES)


async def test_a_result_waits_for_the_artifact_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While it cannot be stored its record is not, either; once it can, nothing was lost."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.padding = bytes(INLINE_BYTES)
        blocker = tmp_path / "artifacts"
        blocker.write_text("in the way")
        live = await bench.submit()
        assert await live.wait(now_us() + 100_000) is None
        assert "STEP_SUCCEEDED" not in await bench.history()
        blocker.unlink()

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert "waits for the artifact store" in caplog.text


async def test_a_drain_does_not_wait_for_room(tmp_path: Path) -> None:
    """A large result that cannot be stored is left to the next start, as are the records behind it."""
    async with running(tmp_path, *CHAIN) as bench:
        (tmp_path / "artifacts").write_text("no folder")
        bench.runner.padding = b"x" * INLINE_BYTES
        await bench.submit()
        await bench.runner.until("c#1")
        await asyncio.wait_for(bench.engine.drain(0), 10)

        assert (await bench.store.sessions.read("s", "")).state in (SessionState.PENDING, SessionState.RUNNING)


@pytest.mark.parametrize("padding", [0, INLINE_BYTES], ids=["inline", "large"])
async def test_a_result_is_left_to_others_with_its_record(tmp_path: Path, padding: int) -> None:
    """By its identity, as it stands in the history; a step without one leaves nothing."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.padding = bytes(padding)
        bench.runner.identities = {"b": b"i" * 32}
        live = await bench.submit()
        await bench.end(live)
        found = await bench.store.reuse.find("", b"i" * 32)
        assert found is not None
        assert (found.step_key, found.output) == ("s/b#1", live.state.steps[1].output)
        assert live.computed == {}


async def test_what_was_taken_is_held_and_left_to_others_again(tmp_path: Path) -> None:
    """A session that took a large result needs its bytes as one that made it does, and may be its last holder."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.padding = bytes(INLINE_BYTES)
        bench.runner.identities = {"a": b"i" * 32}
        await bench.end(await bench.submit("first"))
        made = await bench.store.reuse.find("", b"i" * 32)
        assert made is not None
        bench.runner.taken = {"a": Result(made.output, identity=made.identity, reused_from=made.step_key)}
        await bench.end(await bench.submit("second"))
        assert await bench.store.delete_session("first", "")

        for path in (tmp_path / "artifacts").glob("??/*"):
            os.utime(path, (0, 0))  # as after the grace
        assert await bench.store.sweep() == 0
        assert await bench.store.reuse.find("", b"i" * 32) == made
        assert await bench.history("second") == ["SESSION_STARTED", "STEP_STARTED", "STEP_REUSED", "SESSION_ENDED"]
        assert bench.heard.steps == ["first/a#1 SUCCEEDED", "test.call reused"]
