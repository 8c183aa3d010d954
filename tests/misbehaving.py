"""A postprocessing domain that misbehaves as the text of its echo says; also as a process of its own.

python -m tests.misbehaving --listen 127.0.0.1:50052
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.wire.callcontext import IDEMPOTENCY_KEY

PATH = "/coordinator.postprocessing.v1.PostprocessingService/PostPostprocessingExecute"
MIB = 1 << 20
_LIMITS = (("grpc.max_send_message_length", 256 * MIB), ("grpc.max_receive_message_length", 256 * MIB))


class Misbehaving:
    """Echoes, but for some texts.

    `silent` is never answered; `stubborn` goes on when it is cancelled, until `release` is set, and answers then;
    `garbage` is answered with bytes that are no message; a number with a result of so many bytes.

    Args:
        say: told in words of each call and each cancel.
    """

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self._say = say
        self.keys: list[str] = []
        """Step key of each call, in order."""
        self.remaining: list[float] = []
        """Seconds that each of them had."""
        self.cancelled: dict[str, float] = {}
        """When the handler of a call was cancelled, in seconds of `time.monotonic()`, by step key."""
        self.answered: list[str] = []
        """Step keys of the calls that were answered, whoever was left to hear it."""
        self.release = asyncio.Event()
        self.behaves = False
        """Echoes every text from now on."""
        self._changed = asyncio.Event()

    async def execute(self, request: pb.PostPostprocessingExecuteRequest, context: Any) -> bytes:
        """PostPostprocessingExecute."""
        key = str(dict(context.invocation_metadata() or ()).get(IDEMPOTENCY_KEY, ""))
        self.keys.append(key)
        self.remaining.append(context.time_remaining())
        self._say(f"{len(self.keys)} calls")
        self._tell()
        try:
            reply = await self._reply(request.echo.text, key)
        except asyncio.CancelledError:
            self._note_cancel(key)
            raise
        self.answered.append(key)
        self._tell()
        return reply

    async def until(self, what: Any) -> None:
        """Returns once that is true."""
        async with asyncio.timeout(30):
            while not what():
                await self._changed.wait()
                self._changed.clear()

    async def _reply(self, text: str, key: str) -> bytes:
        if text == "garbage" and not self.behaves:
            return b"\xff\xff\xff no message"
        if text == "silent" and not self.behaves:
            await asyncio.Event().wait()
        if text == "stubborn" and not self.behaves:
            await self._persist(key)
        size = int(text) if text.isdecimal() and not self.behaves else 0
        return _echo("x" * size if size else text)

    async def _persist(self, key: str) -> None:
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self._note_cancel(key)

    def _note_cancel(self, key: str) -> None:
        self.cancelled[key] = time.monotonic()
        self._say(f"cancelled {key} {self.cancelled[key]:.6f}")
        self._tell()

    def _tell(self) -> None:
        self._changed.set()

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server takes."""
        method = grpc.unary_unary_rpc_method_handler(
            self.execute, pb.PostPostprocessingExecuteRequest.FromString, bytes
        )
        service, name = PATH[1:].split("/")
        return grpc.method_handlers_generic_handler(service, {name: method})


def _echo(text: str) -> bytes:
    return pb.PostPostprocessingExecuteResponse(echo=pb.EchoResult(text=text)).SerializeToString()


@asynccontextmanager
async def there(domain: Misbehaving, listen: str) -> AsyncIterator[str]:
    """It serves for as long as the context lasts; its address."""
    server = grpc.aio.server(options=_LIMITS)
    server.add_generic_rpc_handlers((domain.handler(),))
    port = server.add_insecure_port(listen)
    await server.start()
    try:
        yield listen.replace(":0", f":{port}")
    finally:
        domain.release.set()
        await server.stop(0)


async def main(listen: str) -> None:
    async with there(Misbehaving(partial(print, flush=True)), listen) as address:
        print(f"serving on {address}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="misbehaving")
    parser.add_argument("--listen", required=True)
    asyncio.run(main(parser.parse_args().listen))
