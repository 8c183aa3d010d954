"""What is too large is read to its end, kept nowhere, and refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coordinator.processing.v1.processing_pb2 import PostProcessingArtifactRequest

from instructors.artifacts import ArtifactInstructor
from processing_service.engine.store.artifacts import FileArtifacts
from processing_service.wire.errors import Code, CoordinatorError


async def test_content_above_the_limit_is_refused(tmp_path: Path) -> None:
    """PAYLOAD_TOO_LARGE with the limit; the caller could send all of it, so it hears why."""
    artifacts, sent = FileArtifacts(tmp_path / "artifacts"), 0

    async def chunks() -> AsyncIterator[PostProcessingArtifactRequest]:
        nonlocal sent
        for _ in range(5):
            yield PostProcessingArtifactRequest(data=bytes(1 << 20))
            sent += 1

    with pytest.raises(CoordinatorError) as caught:
        await ArtifactInstructor(artifacts, max_bytes=2 << 20).upload(chunks())
    artifacts.close()

    assert (caught.value.code, caught.value.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    assert caught.value.metadata == {"limit_bytes": str(2 << 20)}
    assert sent == 5
    assert list((tmp_path / "artifacts").iterdir()) == []  # a test may block
