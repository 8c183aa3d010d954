"""What a command does with a session: starts it, waits for it, shows its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.failures import ExitCode, show_failure, stop
from processing_service.cli.progress import follow
from processing_service.cli.tables import planned_lines, session_lines, session_state
from processing_service.cli.verbs import Call
from processing_service.cli.waiting import waiting
from processing_service.client import ENDED

_EXIT_CODES = {pb.SESSION_STATE_SUCCEEDED: ExitCode.OK, pb.SESSION_STATE_TIMED_OUT: ExitCode.TIMEOUT}


async def start(call: Call, workflow_id: str, values: Mapping[str, Any], **options: Any) -> pb.Session:
    """Starts a session in the background, so that its name is known before it ends; warnings and plan go to stderr."""
    reply = await call.client.post_workflow_execute(workflow_id, values, background=True, **options)
    _warn(reply)
    for line in planned_lines(reply.planned_steps) if call.output.for_people else ():
        print(line, file=sys.stderr)
    return reply.session


async def check(call: Call, workflow_id: str, values: Mapping[str, Any], **options: Any) -> None:
    """Says what a session would take over from a former one and what it would run; starts none."""
    reply = await call.client.post_workflow_execute(workflow_id, values, validate_only=True, **options)
    _warn(reply)
    call.output.one(reply, ["nothing was started", *planned_lines(reply.planned_steps)])


def _warn(reply: pb.PostWorkflowExecuteResponse) -> None:
    for warning in reply.warnings:
        print(f"warning: {warning}", file=sys.stderr)


async def finish(call: Call, session: pb.Session, *, watch: bool, max_wait: float | None) -> pb.Session:
    """The session at its end; with `watch` stderr shows the way there."""
    if session.state in ENDED:
        return session
    async with waiting(call, "session", session.session_id, max_wait):
        if watch:
            await follow(call.client.watch_session(session.session_id), sys.stderr)
        return await call.client.wait_session(session.session_id)


async def conclude(call: Call, session: pb.Session, folder: Path | None) -> None:
    """Prints a session and ends the command with the code of its state; one that goes on is no failure."""
    call.output.one(session, session_lines(session))
    await save(call, session, folder)
    if session.state in ENDED:
        _exit(session)


async def watch(call: Call, session_id: str, after: int | None, max_wait: float | None) -> None:
    """Shows the session's way on stdout, then ends the command with the code of its state."""
    updates = call.client.watch_session(session_id, after)
    async with waiting(call, "session", session_id, max_wait):
        if call.output.for_people:
            await follow(updates, sys.stdout)
        else:
            async for update in updates:
                call.output.json_line(update)
        session = (await call.client.get_processing_session(session_id)).session
    _exit(session)


async def save(call: Call, session: pb.Session, folder: Path | None) -> None:
    """Writes every payload of the outputs to a file of its name."""
    if folder is None:
        return
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    outputs = call.client.outputs_of(session)
    for name, datum in session.payloads.items():
        path = await outputs.save(name, folder / f"{name}{_suffix(datum)}")
        print(f"{name} is in {path}", file=sys.stderr)


def _exit(session: pb.Session) -> None:
    code = _EXIT_CODES.get(session.state, ExitCode.FAILED)
    if code is ExitCode.OK:
        return
    print(f"error: session {session.session_id} ended {session_state(session.state)}", file=sys.stderr)
    if session.HasField("failure"):
        show_failure(session.failure)
    raise stop(code)


def _suffix(datum: Datum) -> str:
    import mimetypes

    media_type = datum.artifact.media_type if datum.HasField("artifact") else datum.media_type
    return mimetypes.guess_extension(media_type) or ""
