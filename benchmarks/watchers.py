"""Many watchers of one session, in a process of their own; says what each of them saw.

python -m benchmarks.watchers --address 127.0.0.1:50051 --session busy --watchers 500

Prints `watching` once all of them have their snapshot and, behind the end of the session, one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from coordinator.processing.v1 import processing_pb2 as pb

from benchmarks.servers import ROOT, Server, clean_environment
from processing_service.server import event_loop
from processing_service.wire.channels import ChannelSettings, open_channel

_METHOD: Final = "/coordinator.processing.v1.ProcessingService/WatchProcessingSession"
_A_CONNECTION: Final = 125
"""Watchers that share one; a server takes 256 calls a connection."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What all watchers saw."""

    watchers: int
    complete: int
    """Those that saw 1 to n, each once and in order, and the end."""
    events: int
    """Events of the history, by the watcher that saw most."""
    messages: int
    """All that was received: snapshots, groups of events, progress."""


class Watchers:
    """The process of the watchers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.process = psutil.Process(process.pid)

    async def say(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ChildProcessError("the watchers ended")
        return line.decode().strip()

    async def seen(self) -> Seen:
        """What they saw, once their session has ended."""
        return Seen(**json.loads(await self.say()))


@asynccontextmanager
async def watching(server: Server, session_id: str, watchers: int) -> AsyncIterator[Watchers]:
    """Watchers of a session, from when all of them watch."""
    command = [sys.executable, "-m", "benchmarks.watchers", "--address", server.address, "--session", session_id]
    process = await asyncio.create_subprocess_exec(
        *command, "--watchers", str(watchers), stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=clean_environment()
    )
    try:
        made = Watchers(process)
        await made.say()
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Watcher:
    """Keeps what it is sent, and looks into it when there is time."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def watch(self, method: Any, session_id: str, begun: asyncio.Semaphore) -> None:
        """Watches to the end of the stream."""
        request = pb.WatchProcessingSessionRequest(session_id=session_id, after_sequence=0, grouped_events=True)
        async for message in method(request):
            if not self.messages:
                begun.release()
            self.messages.append(message)

    def events(self) -> list[pb.SessionEvent]:
        """In the order in which they came."""
        events: list[pb.SessionEvent] = []
        for message in self.messages:
            update = pb.WatchProcessingSessionResponse.FromString(message)
            events += [update.event] if update.HasField("event") else update.event_group.events
        return events


def count(watchers: Sequence[Watcher]) -> Seen:
    """What they saw, taken together."""
    seen = [watcher.events() for watcher in watchers]
    longest = max(map(len, seen))
    whole = list(range(1, longest + 1))
    complete = sum(_ended(events) and [event.sequence for event in events] == whole for events in seen)
    return Seen(len(watchers), complete, longest, sum(len(watcher.messages) for watcher in watchers))


def _ended(events: Sequence[pb.SessionEvent]) -> bool:
    return bool(events) and events[-1].kind == pb.EVENT_KIND_SESSION_ENDED


async def main(address: str, session_id: str, watchers: int) -> None:
    begun, all_of_them = asyncio.Semaphore(0), [Watcher() for _ in range(watchers)]
    async with AsyncExitStack() as stack:
        methods = [
            (await stack.enter_async_context(open_channel(ChannelSettings(address)))).unary_stream(
                _METHOD, pb.WatchProcessingSessionRequest.SerializeToString
            )
            for _ in range(-(-watchers // _A_CONNECTION))
        ]
        together = asyncio.gather(
            *(
                watcher.watch(methods[number % len(methods)], session_id, begun)
                for number, watcher in enumerate(all_of_them)
            )
        )
        for _ in range(watchers):
            await begun.acquire()
        print("watching", flush=True)
        await together
    print(json.dumps(asdict(count(all_of_them))), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog=Path(__file__).stem)
    parser.add_argument("--address", required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--watchers", type=int, required=True)
    options = parser.parse_args()
    event_loop.run(main(options.address, options.session, options.watchers))
