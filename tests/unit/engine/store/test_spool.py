"""Content that comes in parts is on the disk before the next part comes, and visible once it is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from processing_service.engine.store.artifacts import FileArtifacts
from processing_service.engine.store.part import Part
from processing_service.engine.store.spool import CHUNK_BYTES, Spool

DATA = os.urandom(5 * CHUNK_BYTES // 2)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
async def artifacts(tmp_path: Path) -> AsyncIterator[FileArtifacts]:
    artifacts = FileArtifacts(tmp_path / "artifacts")
    yield artifacts
    artifacts.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("artifacts/**/*") if path.is_file())


async def test_it_is_there_once_it_is_kept(artifacts: FileArtifacts, tmp_path: Path) -> None:
    """Until then it lies under another name."""
    async with artifacts.spool() as content:
        await content.write(DATA)
        assert [name.endswith(".part") for name in files(tmp_path)] == [True]
        assert await content.digest() == DIGEST
        artifact, created = await content.keep("image/png")

    assert created
    assert files(tmp_path) == [DIGEST, f"{DIGEST}.kind"]
    assert await artifacts.find(DIGEST) == artifact
    assert await artifacts.get(DIGEST) == DATA


async def test_what_is_there_already_is_kept_once(artifacts: FileArtifacts, tmp_path: Path) -> None:
    """Also if it is damaged: then it is written anew."""
    await artifacts.put(DATA)
    for damage, new in ((b"", False), (b"damaged", True)):
        if damage:
            (tmp_path / "artifacts" / DIGEST[:2] / DIGEST).write_bytes(damage)
        async with artifacts.spool() as content:
            await content.write(DATA)
            assert (await content.keep())[1] is new

    assert files(tmp_path) == [DIGEST]
    assert await artifacts.get(DIGEST) == DATA


async def test_what_is_not_kept_leaves_nothing(artifacts: FileArtifacts, tmp_path: Path) -> None:
    """However its context ends, with a write under way or not."""
    for cancelled in (False, True):
        with pytest.raises(asyncio.CancelledError if cancelled else ValueError):  # noqa: PT012
            async with artifacts.spool() as content:
                await content.write(DATA)
                if cancelled:
                    writing = asyncio.ensure_future(content.write(DATA))
                    await asyncio.sleep(0)
                    writing.cancel()
                    await writing
                raise ValueError

        assert files(tmp_path) == []


async def test_who_sends_faster_than_the_disk_writes_waits(tmp_path: Path) -> None:
    """Whoever awaits each write has a chunk of it in memory at most, and what it has just sent."""
    part, held = Part(tmp_path / "artifacts"), []

    async def write(work: Callable[[], None]) -> None:
        held.append(len(content._held))
        work()

    async def keep(*_: object) -> bool:
        return True

    content = Spool(part, write, keep)
    for start in range(0, len(DATA), 1000):
        await content.write(DATA[start : start + 1000])
        held.append(len(content._held))
    assert await content.digest() == DIGEST
    part.drop()

    assert max(held) < CHUNK_BYTES
    assert content.size == len(DATA)


async def test_a_part_that_was_dropped_takes_nothing(tmp_path: Path) -> None:
    """A thread that comes late does not make it again."""
    part = Part(tmp_path / "artifacts")
    part.write(b"content")
    part.drop()
    part.write(b"late")
    part.keep(tmp_path / "artifacts" / "late")

    assert files(tmp_path) == []
