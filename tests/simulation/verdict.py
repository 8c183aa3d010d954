"""Whether a schedule kept the promises: what clients heard, the domain counted and the disk has, side by side."""

from __future__ import annotations

from collections import Counter

from processing_service.engine.projection import restore
from processing_service.engine.records import Durability, Kind, Output, Record, step_key
from processing_service.engine.state import State, initial
from processing_service.engine.store.base import SessionStart
from tests.simulation.domain import LARGE, Call
from tests.simulation.model import History, require
from tests.simulation.shapes import BUDGETS_US
from tests.simulation.store import Session
from tests.simulation.world import SLACK_US, Asked, World

ANSWERED = ("given", "again")


def judge(world: World) -> None:
    """Raises Violation for the first promise that was broken; counts what the schedule had in it."""
    require(not world.loop.errors, world.loop.errors)
    require(not world.violations, world.violations)
    stored = {session.start.session_id: session for session in world.disk.sessions.values()}
    histories = {session_id: _history(world, session_id, session) for session_id, session in stored.items()}
    for session_id, asked in world.asked.items():
        history = histories.get(session_id)
        require(history is not None or not asked.acknowledged or not _kept(asked), session_id, "was lost")
        fenced = any(control.answer == "SESSION_FENCED" for control in asked.controls)
        require(not fenced, session_id, "is said to have another owner")
        if history is not None and not asked.removed:  # else it may be a second one of that id
            _check_commands(asked, history)
            require(set(asked.ends) <= set(history.ends.values()), session_id, "ended otherwise", asked.ends)
    _check_calls(world, stored, histories)
    _check_watches(world, stored)
    _check_leftovers(world, stored)


def _kept(asked: Asked) -> bool:
    return asked.start.durability is Durability.FULL and not asked.removed


def _history(world: World, session_id: str, session: Session) -> History:
    asked, start = world.asked[session_id], session.start
    history = History(asked.plan, start.created_us, start.budget_us, SLACK_US, world.was_up, BUDGETS_US)
    for record in session.records:
        history.tell(record)
        world.told[record.kind.name] += 1
    world.told.update(end.name for end in history.ends.values())
    world.told["later attempt"] += history.attempt > 1
    require(session.state is not None and session.state.state is history.state, session_id, "has another state")
    _check_fold(asked, start, session.records, session.state)
    return history


def _check_fold(asked: Asked, start: SessionStart, records: list[Record], state: State | None) -> None:
    """What is stored, read again, is what the live session was."""
    told = restore(asked.plan, initial(start.session_id, asked.plan, start.created_us, start.budget_us), records)
    assert state is not None
    require(_small(told) == _small(state), start.session_id, "folds to", told, "was", state)


def _small(state: State) -> State:
    """Large results stand in the history by reference, in the live state for a while as bytes."""
    state = state.copy()
    for index, step in enumerate(state.steps):
        step = state.steps[index] = step.copy()  # noqa: PLW2901
        step.output = _reference(step.output)
        if step.items is not None:
            outputs = tuple((item, _reference(output)) for item, output in step.items.outputs)
            step.items = step.items._replace(outputs=outputs)  # type: ignore[arg-type]
    state.recoveries = 0  # the row may have been charged for one whose record was lost
    return state


def _reference(output: Output | None) -> Output | None:
    if output is None or not (output.digest or len(output.data) > len(LARGE)):
        return output
    return Output("large", b"")


def _check_commands(asked: Asked, history: History) -> None:
    applied = Counter(history.applied)
    for control in asked.controls:
        times = applied[control.request_id]
        if control.answer in ANSWERED:
            require(times == 1, control, "was applied", times, "times")
        else:
            require(times == 0 or (not control.answer and times == 1), control, "was applied", times, "times")
    done = [control for control in asked.controls if control.answer in ANSWERED]
    for first in done:
        for second in done:
            if first.heard_us < second.sent_us:
                order = history.applied.index(first.request_id), history.applied.index(second.request_id)
                require(order[0] < order[1], second, "came before", first)


def _check_calls(world: World, stored: dict[str, Session], histories: dict[str, History]) -> None:
    returned: dict[str, set[bytes]] = {}
    for call in world.domain.calls:
        returned.setdefault(call.key, set()).add(call.result)
        _check_deadline(world, call)
    for session_id, session in stored.items():
        plan = world.asked[session_id].plan
        if world.asked[session_id].removed:
            continue
        recorded = {}
        for record in session.records:
            if record.kind is Kind.STEP_SUCCEEDED and record.attempt:
                key = step_key(session_id, plan.steps[record.step].step_id, record.item, record.attempt)
                recorded[key] = record.at
                if record.output is not None and record.output.data:
                    require(record.output.data in returned.get(key, ()), key, "has a result that nobody gave")
        for call in world.domain.calls:
            require(call.begun_us <= recorded.get(call.key, call.begun_us), call.key, "ran again after its result")


def _check_deadline(world: World, call: Call) -> None:
    """It was over by then, or at least told so."""
    gone_us = call.cancelled_us or call.ended_us or (call.process.died_us if call.process is not None else 0)
    due_us = max(call.deadline_us, call.begun_us)
    if not gone_us:
        require(world.loop.now_us <= due_us + SLACK_US, call, "is out past its deadline")
    require(gone_us <= due_us + SLACK_US, call.key, call.kind, "outlived its deadline by", gone_us - due_us)


def _check_watches(world: World, stored: dict[str, Session]) -> None:
    for (session_id, _), seen in world.watched.items():
        told = list(seen.values())
        records = stored[session_id].records if session_id in stored else []
        require(
            world.asked[session_id].removed or told == records[: len(told)],
            session_id,
            "was watched and is another now",
        )


def _check_leftovers(world: World, stored: dict[str, Session]) -> None:
    server = world.last
    require(len(server.engine.roster) == 0, "sessions run on:", list(server.engine.roster))
    for session_id, live in server.lives.items():
        require(not live.tasks and not live.waiters, session_id, "has left", live.tasks, live.waiters)
