"""`session`: runs of workflows, started, listed, shown, watched, controlled, deleted."""

from pathlib import Path
from typing import Annotated

import typer

from processing_service.cli import controls
from processing_service.cli.flags import LabelFlag, ParametersArgument
from processing_service.cli.verbs import Call, verb

app = typer.Typer(no_args_is_help=True, help="Runs of workflows.")
controls.add_to(app)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Name of the session.")]
SaveFlag = Annotated[
    Path | None, typer.Option("--save", metavar="FOLDER", help="Write outputs that are files into this folder.")
]
MaxWaitFlag = Annotated[
    float | None, typer.Option("--max-wait", metavar="SECONDS", help="Stop waiting after this; the session goes on.")
]


@verb(app, "start")
async def start(
    call: Call,
    workflow_id: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")],
    parameters: ParametersArgument = None,
    wait: Annotated[bool, typer.Option("--wait/--background", help="Wait for its end, or only for its start.")] = True,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show on stderr how far it is.")] = False,
    save: SaveFlag = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Fills the workflow's parameter model_id.")] = "",
    session_id: Annotated[str, typer.Option("--session-id", help="Name it yourself.")] = "",
    request_id: Annotated[str, typer.Option("--request-id", help="Makes the command safe to repeat.")] = "",
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Its budget. [default: the workflow's]"),
    ] = None,
    priority: Annotated[
        int,
        typer.Option(
            "--priority", min=0, max=10, help="1 to 10, 10 first; 0 = 5. Of steps that wait for their models."
        ),
    ] = 0,
    former: Annotated[
        str, typer.Option("--from", metavar="SESSION", help="Take over what did not change since this session.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it, with --from tell what would run, and start nothing.")
    ] = False,
    label: LabelFlag = None,
    max_wait: MaxWaitFlag = None,
) -> None:
    """Starts a session of a workflow; exit code 0 if it succeeded, 1 if it failed, 5 if its time was over."""
    from processing_service.cli import runs
    from processing_service.cli.arguments import to_labels, to_values

    values = to_values(parameters or ())
    options = {
        "model_id": model,
        "session_id": session_id,
        "request_id": request_id,
        "timeout": timeout,
        "priority": priority,
        "from_session_id": former,
        "labels": to_labels(label),
    }
    if dry_run:
        await runs.check(call, workflow_id, values, **options)
        return
    session = await runs.start(call, workflow_id, values, **options)
    if wait or watch:
        session = await runs.finish(call, session, watch=watch, max_wait=max_wait)
    await runs.conclude(call, session, save)


@verb(app, "list")
async def list_sessions(
    call: Call,
    workflow: Annotated[str, typer.Option("--workflow", help="Only sessions of this workflow.")] = "",
    state: Annotated[list[str] | None, typer.Option("--state", help="Only in this state; may be given again.")] = None,
    label: LabelFlag = None,
    parent: Annotated[str, typer.Option("--parent", help="Only children of this session.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most sessions; 0 = all.")] = 100,
) -> None:
    """Lists sessions, newest first."""
    from coordinator.processing.v1 import processing_pb2 as pb

    from processing_service.cli.arguments import to_labels, to_states
    from processing_service.cli.tables import SESSION_COLUMNS

    selector = pb.SessionSelector(workflow_id=workflow, states=to_states(state), labels=to_labels(label))
    page_size = min(limit, 1000)
    sessions = call.client.get_processing_sessions(selector=selector, parent_session_id=parent, page_size=page_size)
    await call.output.rows(sessions, SESSION_COLUMNS, limit)


@verb(app, "describe")
async def describe(
    call: Call,
    session_id: SessionId,
    events: Annotated[bool, typer.Option("--events", help="Its history instead.")] = False,
    save: SaveFlag = None,
) -> None:
    """Shows one session with its steps, outputs and failure."""
    from processing_service.cli import runs
    from processing_service.cli.tables import EVENT_COLUMNS, session_lines

    if events:
        await call.output.rows(call.client.get_processing_session_events(session_id), EVENT_COLUMNS)
        return
    session = (await call.client.get_processing_session(session_id)).session
    call.output.one(session, session_lines(session))
    await runs.save(call, session, save)


@verb(app, "watch")
async def watch(
    call: Call,
    session_id: SessionId,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Show the events behind this number first; 0 = all.")
    ] = None,
    max_wait: MaxWaitFlag = None,
) -> None:
    """Follows a session to its end, also over restarts of the server; exit codes as `session start`."""
    from processing_service.cli import runs

    await runs.watch(call, session_id, after, max_wait)


@verb(app, "delete")
async def delete(
    call: Call,
    session_ids: Annotated[list[str], typer.Argument(metavar="SESSION", help="Names of sessions.")],
    force: Annotated[bool, typer.Option("--force", help="Terminate those that have not ended.")] = False,
) -> None:
    """Deletes sessions with their histories."""
    for session_id in session_ids:
        await call.client.delete_processing_session(session_id, force=force)
        call.output.one({"session_id": session_id, "deleted": True}, [f"{session_id} deleted"])
