"""What `decide` is told, and what it asks for. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

from processing_service.engine.records import Action, Fault, Outcome, Output


class Started(NamedTuple):
    """The session is durable: begin."""

    at: int


class Resolved(NamedTuple):
    """Condition and items of a step were evaluated."""

    at: int
    step: int
    skipped: bool
    items_total: int


class Succeeded(NamedTuple):
    """A call gave its result."""

    at: int
    step: int
    item: int
    attempt: int
    output: Output
    reused_from: str = ""
    """Key of the call that made it; empty if this one did. Then no call went out."""


class Failed(NamedTuple):
    """A call, or the evaluation of a step, failed."""

    at: int
    step: int
    item: int
    attempt: int
    """0 = it failed before its call."""
    fault: Fault
    unreached: bool = False
    """True if no connection to its domain could be made: the call never left."""


class Ended(NamedTuple):
    """A call that was cancelled is over."""

    at: int
    step: int
    item: int
    attempt: int
    outcome: Outcome


class Withdrawn(NamedTuple):
    """A call was taken back before it left, because its session pauses."""

    at: int
    step: int
    item: int
    attempt: int


class Concluded(NamedTuple):
    """The outputs of the workflow were evaluated, or could not be."""

    at: int
    fault: Fault | None = None


class Recovered(NamedTuple):
    """The process that ran the session died; this one goes on."""

    at: int
    unrecorded: int = 0
    """Processes before it that took the session up and died before they had written so."""


class Wake(NamedTuple):
    """Time has passed."""

    at: int


class Command(NamedTuple):
    """A client's wish."""

    at: int
    action: Action
    accepted_at: int
    request_id: str = ""
    actor: str = ""
    comment: str = ""
    timeout_us: int = 0
    """New budget of a RETRY; 0 = as before."""
    rerun: tuple[int, ...] = ()
    """Of a RETRY: steps that ended well, by index, whose outputs do not hold any more."""


class Resolve(NamedTuple):
    """Evaluate condition and items of a step."""

    step: int


class Run(NamedTuple):
    """Make a call."""

    step: int
    item: int
    attempt: int
    deadline_us: int


class Cancel(NamedTuple):
    """Cancel a call."""

    step: int
    item: int
    attempt: int


class Conclude(NamedTuple):
    """Evaluate the outputs of the workflow."""


Event = Started | Resolved | Succeeded | Failed | Ended | Withdrawn | Concluded | Recovered | Wake | Command
Act = Resolve | Run | Cancel | Conclude
