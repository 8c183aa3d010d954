"""What is left of batches after a run, and the promises held to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coordinator.processing.v1 import processing_pb2 as pb

from tests.crashing.batch_client import BatchClient, BatchLog
from tests.crashing.batch_model import ENDED, BatchModel, counts_of
from tests.crashing.client import Client

if TYPE_CHECKING:
    from tests.crashing.batch_actions import OneBatch
    from tests.crashing.evidence import Evidence

_STATES: Final = [state for state in pb.SessionState.values() if state]
_SUCCEEDED, _FAILED, _CANCELLED = pb.SESSION_STATE_SUCCEEDED, pb.SESSION_STATE_FAILED, pb.SESSION_STATE_CANCELLED


@dataclass(frozen=True, slots=True)
class BatchFound:
    """One batch, as the server shows it."""

    batch: pb.Batch
    history: Sequence[pb.BatchEvent]
    cells: Sequence[pb.BatchCell]
    listed: int
    """Cells, as the list of them counts."""
    by_state: Mapping[pb.SessionState.ValueType, int]
    """Cells that a list of one state shows."""
    sessions: Sequence[str]
    """session_id of those that a list of the batch's sessions has."""


async def find_batches(client: Client) -> dict[str, BatchFound]:
    """All batches that the server has."""
    reply = await client.ask("GetProcessingBatches", pb.GetProcessingBatchesRequest(page_size=1000))
    return {batch.batch_id: await _find(client, batch) for batch in reply.batches}


async def _find(client: Client, batch: pb.Batch) -> BatchFound:
    log = BatchLog()
    log.batch_id = batch.batch_id
    asker = BatchClient(client, log)
    if batch.state in ENDED:
        await asker.until(lambda event: False)
    by_state = {}
    for state in _STATES:
        cells, counted = await asker.cells(state)
        by_state[state] = len(cells) if len(cells) == counted else -1
    cells, listed = await asker.cells()
    return BatchFound(batch, log.events, cells, listed, by_state, await asker.sessions())


def check_removed(batch_id: str, evidence: Evidence) -> Iterator[str]:
    """G1: what is removed stays removed, with all its sessions and those of their steps."""
    if batch_id in evidence.batches:
        yield f"G1: {batch_id} was removed and is there"
    for session in evidence.sessions.values():
        if batch_id in (session.batch_id, session.parent_session_id.rpartition(".")[0]):
            yield f"G1: {batch_id} was removed and {session.session_id} is there"


def check(action: OneBatch, evidence: Evidence) -> Iterator[str]:
    """Whatever a client was told of its batch stands, and all that the server says of it agrees."""
    batch_id = action.log.batch_id
    if (found := evidence.batches.get(batch_id)) is None:
        yield f"G1: {batch_id} ({action.name}) was acknowledged and is not there"
        return
    if found.batch.state not in ENDED:
        yield f"G1: {batch_id} is {pb.BatchState.Name(found.batch.state)}"
        return
    model = BatchModel(batch_id, action.total)
    for event in found.history:
        model.read(event)
    yield from model.faults
    yield from _check_told(action.log, found, model)
    yield from _check_counts(action.total, found)
    yield from _check_cells(action, found, model, evidence)
    yield from _check_end(action, found)
    yield from _check_starts(action, found, model, evidence)
    yield from _check_longest(found, evidence)
    yield from _check_width(found, evidence)


def _check_told(log: BatchLog, found: BatchFound, model: BatchModel) -> Iterator[str]:
    """G5, G6: the history is the one that was told, and each request was carried out once, in their order."""
    told, there = [[_kept(event) for event in events] for events in (log.events, found.history)]
    if told != there[: len(told)]:
        first = next((pair for pair in zip(told, there, strict=False) if pair[0] != pair[1]), (len(told), len(there)))
        yield f"G5: Watch of {log.batch_id} told another history than there is: {first}"
    if found.batch.last_sequence != len(there) or found.batch.state != model.state:
        yield f"G5: {log.batch_id} stands otherwise than its history"
    if model.requests != log.applied:
        yield f"G6: {log.batch_id} obeyed {model.requests}, its client was told {log.applied}"


def _kept(event: pb.BatchEvent) -> pb.BatchEvent:
    """What of an event never changes: its cell is shown as it stands, and items may come while it is CREATED."""
    kept = pb.BatchEvent()
    kept.CopyFrom(event)
    for field in ("outputs", "payloads", "failure", "started_at", "ended_at"):
        kept.cell.ClearField(field)
    if event.batch_state == pb.BATCH_STATE_CREATED:
        kept.ClearField("counts")
    return kept


def _check_counts(total: int, found: BatchFound) -> Iterator[str]:
    """G4: client count == server count == sum by state == sessions that there are."""
    batch_id, counts = found.batch.batch_id, found.batch.counts
    by_state = Counter(cell.state for cell in found.cells)
    if not total == counts.total == found.listed == len(found.cells) == sum(found.by_state.values()):
        yield f"G4: {batch_id} has {total} cells, counts {counts}, lists {found.listed}, by state {found.by_state}"
    if len({(cell.item_id, cell.workflow_id) for cell in found.cells}) != total:
        yield f"G4: {batch_id} lists a cell twice"
    if counts.pending or counts.running or counts_of(counts) != {state: by_state[state] for state in counts_of(counts)}:
        yield f"G4: {batch_id} counts {counts}, its cells are {dict(by_state)}"
    if any(found.by_state[state] != by_state[state] for state in _STATES):
        yield f"G4: {batch_id} lists {found.by_state} by state, its cells are {dict(by_state)}"
    if found.history and found.history[-1].counts != counts:
        yield f"G4: {batch_id} counts {counts}, its last event {found.history[-1].counts}"


def _check_cells(action: OneBatch, found: BatchFound, model: BatchModel, evidence: Evidence) -> Iterator[str]:
    """G2, G4: each attempt of a cell has one end, of which session, list and history of the batch say the same."""
    batch_id, begun = found.batch.batch_id, [cell for cell in found.cells if cell.session_id]
    mine = sorted(each.session_id for each in evidence.sessions.values() if each.batch_id == batch_id)
    if not mine == sorted(cell.session_id for cell in begun) == sorted(found.sessions):
        yield f"G4: {batch_id} has the sessions {mine}, a list of them {found.sessions}, cells {len(begun)}"
    for item, workflow_id, attempt in model.ends:
        if not any(
            (cell.item_id, cell.workflow_id) == (item, workflow_id) and attempt <= cell.attempt for cell in begun
        ):
            yield f"G2: {batch_id} says that {item} x {workflow_id} ended, attempt {attempt}, which never was"
    for cell in begun:
        told = [model.ends.get((cell.item_id, cell.workflow_id, at)) for at in range(1, cell.attempt + 1)]
        if None in told:
            yield f"G2: {batch_id} did not tell all ends of {cell.session_id}: {told}"
            continue
        yield from evidence.check_ends(cell.session_id, [state for state in told if state is not None])
        if told[-1] != cell.state or _SUCCEEDED in told[:-1]:
            yield f"G2: {cell.session_id} is {cell.state}, its batch told {told}"
        yield from _check_outcome(action, cell, told)


def _check_outcome(action: OneBatch, cell: pb.BatchCell, told: Sequence[int | None]) -> Iterator[str]:
    """G2: a cell ends as its item has it, or is cancelled with its batch."""
    titles = action.titles[int(cell.item_id[1:])]
    stopped = any("cancel" in name or "verdict" in name for name in action.log.applied)
    for attempt, state in enumerate(told, 1):
        if state == _CANCELLED and stopped:
            continue
        bad = "fails" in titles or ("broken" in titles and state == _FAILED)
        if "broken" in titles and attempt == 1:
            bad = True
        if state != (_FAILED if bad else _SUCCEEDED):
            yield f"G2: attempt {attempt} of {cell.session_id} with {titles} ended {state}"


def _check_end(action: OneBatch, found: BatchFound) -> Iterator[str]:
    """G2: the end of a batch follows from those of its cells."""
    states, limit = [cell.state for cell in found.cells], action.limit
    failed = states.count(_FAILED)
    ends = {pb.BATCH_STATE_CANCELLED} if any(map(_is_cancel, found.history)) else set()
    if limit is not None and failed > limit:
        ends.add(pb.BATCH_STATE_FAILED)
    elif all(state in (_SUCCEEDED, _FAILED) for state in states):
        some = pb.BATCH_STATE_PARTIALLY_SUCCEEDED if failed else pb.BATCH_STATE_SUCCEEDED
        ends.add(pb.BATCH_STATE_FAILED if failed == len(states) else some)
    if found.batch.state not in ends:
        yield f"G2: {found.batch.batch_id} is {pb.BatchState.Name(found.batch.state)}, its cells are {Counter(states)}"


def _is_cancel(event: pb.BatchEvent) -> bool:
    return event.batch_state in (pb.BATCH_STATE_CANCELLING, pb.BATCH_STATE_CANCELLED)


def _check_starts(action: OneBatch, found: BatchFound, model: BatchModel, evidence: Evidence) -> Iterator[str]:
    """A batch that is paused starts nothing; nor does more than the canary before the verdict."""
    before = 0
    for cell in (cell for cell in found.cells if cell.session_id):
        history = evidence.histories[cell.session_id]
        before += bool(history) and history[0].occurred_at.ToMicroseconds() < model.verdict_us
        for event in history:
            at_us = event.occurred_at.ToMicroseconds()
            starts = event.kind in (pb.EVENT_KIND_SESSION_STARTED, pb.EVENT_KIND_STEP_STARTED)
            if starts and any(begin < at_us < end for begin, end in model.pauses):
                yield f"G6: {cell.session_id} started {event.step_id!r} while {found.batch.batch_id} was PAUSED"
    if action.canary and model.verdict_us and before > action.canary:
        yield f"G6: {found.batch.batch_id} began {before} cells before the verdict on {action.canary}"


def _check_longest(found: BatchFound, evidence: Evidence) -> Iterator[str]:
    """The longest time that a canary is judged by is that of an attempt of a cell."""
    canary = found.batch.canary
    if not canary.HasField("longest_cell_duration") or "large" in found.batch.workflow_ids:
        return
    histories = (evidence.histories[cell.session_id] for cell in found.cells if cell.session_id)
    taken = {taken_us for history in histories for taken_us in _durations(history)}
    if canary.longest_cell_duration.ToMicroseconds() not in taken:
        yield f"G2: a cell of the canary of {found.batch.batch_id} took {canary.longest_cell_duration}, of {taken}"


def _durations(history: Sequence[pb.SessionEvent]) -> Iterator[int]:
    """How long the attempts of a session took, in microseconds; 0 for one that ended before it could start."""
    started_us = 0
    for event in history:
        at_us = event.occurred_at.ToMicroseconds()
        if event.kind == pb.EVENT_KIND_SESSION_STARTED or event.control_action == pb.CONTROL_ACTION_RETRY:
            started_us = at_us
        elif event.kind == pb.EVENT_KIND_SESSION_ENDED:
            yield at_us - started_us if started_us else 0


def _check_width(found: BatchFound, evidence: Evidence) -> Iterator[str]:
    """At most max_parallel cells have a call out."""
    if "large" in found.batch.workflow_ids:
        return  # its end is durable later than the start of the next cell, so after a crash more are open
    cells = {cell.session_id for cell in found.cells if cell.session_id}
    calls = [call for call in evidence.executions.values() if call.session_id in cells and call.lasted is not None]
    for call in calls:
        out = {each.session_id for each in calls if each.began <= call.began < each.began + (each.lasted or 0)}
        if len(out) > found.batch.max_parallel:
            yield f"G6: {found.batch.batch_id} had {sorted(out)} out, of at most {found.batch.max_parallel}"
            return
