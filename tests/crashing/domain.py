"""A domain in a process of its own that counts what it is asked: `python -m tests.crashing.domain ADDRESS SET LOG`.

It greets. Each execution has a number, and the greeting is `step.number(what it was asked)`, so the outputs of a
session tell which executions they came from. What it does besides is asked for by `titles`:

    delay=0.05  answers after so many seconds
    flaky       is UNAVAILABLE at the first attempt
    broken      is INVALID_ARGUMENT at the first attempt
    fails       is INVALID_ARGUMENT always
    hangs       answers never
    large       adds 8 KiB to its answer

The log has a line of JSON when an execution begins, and one when it ends, which is before it is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import message_factory

from instructors.discovery import read

_LARGE: Final = 8192
_AHEAD: Final = ("coordinator-session-id", "coordinator-step-id", "coordinator-attempt", "coordinator-idempotency-key")


class CountingDomain:
    """The greeting service; see the module."""

    def __init__(self, service: Any, log: Path) -> None:
        self._service = service
        self._numbers = count(1)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._reply = message_factory.GetMessageClass(service.methods_by_name["Greet"].output_type)

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server takes."""
        kinds = self._service.methods_by_name["Greet"]
        greet = grpc.unary_unary_rpc_method_handler(
            self.greet,
            message_factory.GetMessageClass(kinds.input_type).FromString,
            self._reply.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(self._service.full_name, {"Greet": greet, "PutName": greet})

    async def greet(self, request: Any, context: Any) -> Any:
        """One execution."""
        number, metadata = next(self._numbers), dict(context.invocation_metadata())
        session_id, step_id, attempt, key = (metadata[name] for name in _AHEAD)
        left = context.time_remaining()
        self._note(number=number, key=key, session_id=session_id, asked=request.person_name, left=left)
        answer, ended = f"{step_id}.{number}({request.person_name})", {"error": "CANCELLED"}
        try:
            code = await _behave(request.titles, int(attempt))
            ended = {"error": code.name} if code else {"answer": answer}
        finally:
            self._note(number=number, **ended)
        if code:
            await context.abort(code, f"as asked: {code.name}")
        reply = self._reply(greeting=answer)
        if "large" in request.titles:
            reply.picture.inline_bytes = (answer.encode() * _LARGE)[:_LARGE]
        return reply

    def _note(self, **facts: Any) -> None:
        os.write(self._log, json.dumps({"at": time.monotonic(), **facts}).encode() + b"\n")


async def _behave(titles: Any, attempt: int) -> grpc.StatusCode | None:
    """Does what the titles say; the code to end with."""
    delay = next((float(title.removeprefix("delay=")) for title in titles if title.startswith("delay=")), 0.0)
    if "hangs" in titles:
        await asyncio.Event().wait()
    if delay:
        await asyncio.sleep(delay)
    if "fails" in titles or ("broken" in titles and attempt == 1):
        return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.UNAVAILABLE if "flaky" in titles and attempt == 1 else None


async def main() -> None:
    """Serves until its standard input ends: with the one who started it."""
    address, descriptor_set, log = sys.argv[1:]
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((CountingDomain(read(Path(descriptor_set)), Path(log)).handler(),))
    server.add_insecure_port(address)
    await server.start()
    print("serving", flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main())
