"""The coordinator does not cut clients that ask for a sign of life, where a server without settings does."""

from __future__ import annotations

import asyncio

import pytest

from tests.clients.conftest import Ready
from tests.clients.languages import PROGRAMS, Ended, run
from tests.clients.refusing import Silent, bare, listening
from tests.clients.test_tours import PAGE
from tests.clients.told import Tour

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1800)]
HELD_S = 60.0
"""Past the fourth ping of every program; a server without settings ends the connection at the third or fourth."""
CUT_S = 240.0
HERE = [program for program in PROGRAMS if not program.missing and program.name in ("csharp", "go", "java")]


async def test_a_silent_watch_is_held(ready: Ready) -> None:
    """C#, Go and Java ping each 10 s; all at once, since they only wait. The bare server shows that they do ping."""
    if not HERE:
        pytest.skip("NOT RUN: keepalive of foreign clients (neither dotnet nor go nor java is on PATH)")
    for program in HERE:
        await ready(program)

    async with listening(Silent(HELD_S)) as ours, bare(Silent(CUT_S)) as other:
        held, cut = await asyncio.gather(_all(ours), _all(other))

    assert {name: _watched(ended) for name, ended in held.items()} == dict.fromkeys(held, True)
    assert {name: _watched(ended) for name, ended in cut.items()} == dict.fromkeys(cut, False)
    assert {name: Tour.of(ended.output).refusals[0].split(" ")[0] for name, ended in cut.items()} == dict.fromkeys(
        cut, "14"
    )


async def _all(address: str) -> dict[str, Ended]:
    ended = await asyncio.gather(*(run(program, address, PAGE) for program in HERE))
    return {program.name: one for program, one in zip(HERE, ended, strict=True)}


def _watched(ended: Ended) -> bool:
    """Whether the event behind the silence came."""
    return Tour.of(ended.output).sequences == (1,)
