"""Watches over streams that are cut and servers that are killed with -9: no event is missed and none comes twice."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf import json_format

from benchmarks.cut_watch import CutWatch
from processing_service.client import CoordinatorClient
from processing_service.wire.channels import ChannelSettings, open_channel
from tests.acceptance.processes import Server, address_for
from tests.cutting import Cutting

CUTS, RESTARTS, BREAKS = 100, 5, 10
SOURCE = """
workflow_id: busy
parameters: {texts: {value_type: STRING, is_list: true}}
steps:
- step_id: say
  operation: postprocessing.post_postprocessing_execute
  foreach: {items: "${parameters.texts}", max_parallel: 2}
  parameters: {echo: {text: "${item}", delay: 0.04s}}
outputs: {texts: {value: "${steps.say.echo.text}"}}
"""
TEXTS = [str(number) for number in range(400)]


@pytest.mark.slow
async def test_streams_that_are_cut_and_servers_that_die_leave_no_gap_and_no_duplicate(tmp_path: Path) -> None:
    """100 cuts and 5 restarts while three sessions run: each watcher saw the stored history, number by number."""
    address = await address_for("tcp", "processing", tmp_path)
    store = ("--store", str(tmp_path / "store"), "--models", str(tmp_path / "models"))
    server = Server(*store, "--listen", address)
    names = ["s0", "s1", "s2"]
    restart_at = {10 * number for number in range(1, RESTARTS + 1)}  # early, so that the sessions still run
    killed = 0

    async def on_cut(cuts: int) -> None:
        nonlocal killed
        if cuts in restart_at:
            killed += 1
            await server.kill()
            await server.start()

    await server.start()
    try:
        async with server.client() as client:
            await client.put_processing_workflow(SOURCE)
            for name in names:
                await client.post_workflow_execute("busy", {"texts": TEXTS}, session_id=name, background=True)
            async with open_channel(ChannelSettings(address, reconnect_delay=0.2)) as channel:
                watches = [
                    CutWatch(channel, name, grouped=number == 1, seed=number) for number, name in enumerate(names)
                ]
                await asyncio.gather(*(watch.run(CUTS, on_cut if watch is watches[0] else None) for watch in watches))
            histories = [[event async for event in client.get_processing_session_events(name)] for name in names]
            sessions = [(await client.get_processing_session(name)).session for name in names]
    finally:
        await server.kill()

    for watch, history, session in zip(watches, histories, sessions, strict=True):
        assert [event.sequence for event in watch.events] == list(range(1, len(history) + 1))
        assert watch.events == history
        assert session.state == pb.SESSION_STATE_SUCCEEDED
        assert list(session.outputs["texts"]) == TEXTS
        assert history[-1].sequence == session.last_sequence
    assert killed == RESTARTS
    assert watches[0].cuts == CUTS
    recovered = [event for event in histories[0] if event.kind == pb.EVENT_KIND_SESSION_RECOVERED]
    assert len(recovered) == RESTARTS


@pytest.mark.slow
async def test_the_command_that_watches_survives_cuts_and_a_restart(tmp_path: Path) -> None:
    """`session watch -o jsonl`: its connections break ten times, its server is killed; each event once, in order."""
    address = await address_for("tcp", "processing", tmp_path)
    server = Server("--store", str(tmp_path / "store"), "--models", str(tmp_path / "models"), "--listen", address)
    await server.start()
    try:
        async with server.client() as client, Cutting(address) as hop:
            await client.put_processing_workflow(SOURCE)
            await client.post_workflow_execute("busy", {"texts": TEXTS * 20}, session_id="s", background=True)
            updates, code = await watched_by_command(client, hop, server)
            history = [event async for event in client.get_processing_session_events("s")]
    finally:
        await server.kill()

    assert code == 1
    assert [kind for update in updates for kind in update if kind == "snapshot"] == ["snapshot"]
    seen = [update["event"] for update in updates if "event" in update]
    assert [int(event["sequence"]) for event in seen] == list(range(1, len(history) + 1))
    assert [json_format.ParseDict(event, pb.SessionEvent()) for event in seen] == history
    assert seen[-1]["session_state"] == "SESSION_STATE_CANCELLED"


async def watched_by_command(client: CoordinatorClient, hop: Cutting, server: Server) -> tuple[list[Any], int]:
    """What the command wrote while connections and server broke, and its exit code; the session is then cancelled."""
    command = ("-m", "processing_service.cli", "session", "watch", "s", "--after", "0", "-o", "jsonl")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--address", hop.address, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    updates: list[Any] = []
    broken, seen_at_break = 0, 0
    while line := await process.stdout.readline():
        updates.append(json.loads(line))
        sequence = int(updates[-1].get("event", {}).get("sequence", 0))
        if sequence > seen_at_break + 20 and broken < BREAKS and hop.cut():
            broken, seen_at_break = broken + 1, sequence
            if broken == BREAKS // 2:
                await server.kill()
                await server.start()
            if broken == BREAKS:
                await client.post_session_control("s", pb.CONTROL_ACTION_CANCEL)
    return updates, await process.wait()
