"""A page that is larger than a message: uploaded in chunks by a program that does, refused from those that do not."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import cv2
import pytest

from processing_service.client import CoordinatorClient
from tests.clients.conftest import Ready
from tests.clients.languages import PROGRAMS, Program, run
from tests.clients.test_tours import PAGE, READ_BY_HAND
from tests.clients.told import Tour

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1200)]
MESSAGE_LIMIT = 4 << 20
UPLOADING = ("go",)
"""The programs that send a large page as an artifact."""


def programs(uploading: bool) -> pytest.MarkDecorator:
    """Those that upload, or the others."""
    chosen = [program for program in PROGRAMS if (program.name in UPLOADING) == uploading]
    return pytest.mark.parametrize("program", chosen, indirect=True, ids=lambda program: program.name)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """The page of the tours, larger and not compressed."""
    path = tmp_path / "large.png"
    page = cv2.resize(cv2.imread(str(PAGE)), None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(path), page, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert MESSAGE_LIMIT < path.stat().st_size < 2 * MESSAGE_LIMIT
    return path


@programs(uploading=True)
async def test_a_page_above_the_limit_of_a_message_is_uploaded_and_read(
    program: Program, ready: Ready, coordinator: str, large: Path
) -> None:
    """It is read as the project's own client has it read."""
    await ready(program)

    ended = await run(program, coordinator, large)
    async with CoordinatorClient(coordinator) as client:
        session = await client.execute_workflow("read-text", {"page": large})

    assert (ended.code, ended.errors) == (0, ""), ended
    tour = Tour.of(ended.output)
    assert tour.states[0] == "SESSION_STATE_SUCCEEDED"
    assert "\n".join(tour.lines) == client.outputs_of(session)["text"]
    assert SequenceMatcher(None, "\n".join(tour.lines), "\n".join(READ_BY_HAND)).ratio() > 0.95


@programs(uploading=False)
async def test_a_page_above_the_limit_of_a_message_is_refused_with_both_sizes(
    program: Program, ready: Ready, coordinator: str, large: Path
) -> None:
    """Every library sends it; it is the coordinator that refuses it, with its details."""
    await ready(program)

    ended = await run(program, coordinator, large)

    (refusal,) = Tour.of(ended.output).refusals
    assert (ended.code, refusal.split(" ")[:2]) == (1, ["8", "PAYLOAD_TOO_LARGE"]), ended
    assert str(MESSAGE_LIMIT) in refusal
