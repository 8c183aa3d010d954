"""`session pause`, `resume`, `cancel`, `terminate`, `retry`: commands to sessions that are named, or that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from processing_service.cli.flags import LabelFlag
from processing_service.cli.verbs import Call, verb

if TYPE_CHECKING:
    from coordinator.processing.v1 import processing_pb2 as pb

SessionIds = Annotated[list[str] | None, typer.Argument(metavar="SESSION", help="Names of sessions.")]
WorkflowFlag = Annotated[str, typer.Option("--workflow", help="Instead of names: all sessions of this workflow.")]
ModelFlag = Annotated[str, typer.Option("--model", "-m", help="All sessions with this model.")]
BatchFlag = Annotated[str, typer.Option("--batch", help="All sessions of this batch.")]
StateFlag = Annotated[list[str] | None, typer.Option("--state", help="Only in this state; may be given again.")]
CommentFlag = Annotated[str, typer.Option("--comment", help="Why; stands in the history.")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Tell what it would touch, and do nothing.")]

_TEXTS = {
    "pause": "Starts no further step of sessions; calls that are out end, and clocks stand still.",
    "resume": "Goes on with paused sessions, with the time that was left.",
    "cancel": "Cancels the calls of sessions, and ends them when each call is accounted for.",
    "terminate": "Ends sessions at once.",
}


def add_to(app: typer.Typer) -> None:
    """Adds the commands to those of sessions."""
    for name, text in _TEXTS.items():
        _add(app, name, text)
    verb(app, "retry")(_retry)


def _add(app: typer.Typer, name: str, text: str) -> None:
    async def control(
        call: Call,
        session_ids: SessionIds = None,
        workflow: WorkflowFlag = "",
        model: ModelFlag = "",
        batch: BatchFlag = "",
        label: LabelFlag = None,
        state: StateFlag = None,
        comment: CommentFlag = "",
        dry_run: DryRunFlag = False,
    ) -> None:
        selector = _selector(workflow, model, batch, label, state)
        await _control(call, name, session_ids or [], selector, comment, None, dry_run)

    control.__doc__ = text
    verb(app, name)(control)


async def _retry(
    call: Call,
    session_ids: SessionIds = None,
    workflow: WorkflowFlag = "",
    model: ModelFlag = "",
    batch: BatchFlag = "",
    label: LabelFlag = None,
    state: StateFlag = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="New budget. [default: as before]")
    ] = None,
    comment: CommentFlag = "",
    dry_run: DryRunFlag = False,
) -> None:
    """Runs what failed or was cancelled once more, in the same session; what succeeded is kept."""
    selector = _selector(workflow, model, batch, label, state)
    await _control(call, "retry", session_ids or [], selector, comment, timeout, dry_run)


def _selector(
    workflow: str, model: str, batch: str, label: list[str] | None, state: list[str] | None
) -> pb.SessionSelector | None:
    from coordinator.processing.v1 import processing_pb2 as pb

    from processing_service.cli.arguments import to_labels, to_states

    selector = pb.SessionSelector(
        workflow_id=workflow, model_id=model, batch_id=batch, states=to_states(state), labels=to_labels(label)
    )
    return None if selector == pb.SessionSelector() else selector


async def _control(
    call: Call,
    name: str,
    session_ids: list[str],
    selector: pb.SessionSelector | None,
    comment: str,
    timeout: float | None,
    dry_run: bool,
) -> None:
    from coordinator.processing.v1 import processing_pb2 as pb

    if bool(session_ids) == (selector is not None):
        raise typer.BadParameter("name sessions, or say which by options such as --workflow; not both")
    action = pb.ControlAction.Value(f"CONTROL_ACTION_{name.upper()}")
    for session_id in session_ids or [""]:
        reply = await call.client.post_session_control(
            session_id, action, selector=selector, comment=comment, timeout=timeout, validate_only=dry_run
        )
        call.output.one(reply, list(_lines(reply)))


def _lines(reply: pb.PostSessionControlResponse) -> list[str]:
    from processing_service.cli.tables import planned_lines, session_state

    if reply.HasField("session"):
        plan = planned_lines(reply.planned_steps)
        done = "" if reply.applied else ", not applied"
        return [f"{reply.session.session_id} {session_state(reply.session.state)}{done}", *plan]
    more = reply.matched_count - len(reply.session_ids)
    done = "sessions" if reply.applied else "sessions, not applied"
    return [*reply.session_ids, *([f"and {more} more"] if more else []), f"{reply.matched_count} {done}"]
