"""What is left after a run: the client's log, the domain's count, the stored histories; and the promises held to it.

G1 to G7 are those of docs/reference/guarantees.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine.ledger import INLINE_BYTES
from processing_service.wire.errors import CoordinatorError
from tests.crashing.action import Action
from tests.crashing.batch_evidence import BatchFound, find_batches
from tests.crashing.client import Client, Told
from tests.crashing.executions import Execution, executions
from tests.crashing.model import Model, texts_of
from tests.crashing.workflows import IMPATIENCE_S, SHAPES

_NAMED: Final = re.compile(r"\w+\.(\d+)\(")
_SLACK_S: Final = 5.0
"""How long after its deadline a call may be seen to end: many times what is promised, because machines are busy."""
_STATES: Final = [state for state in pb.SessionState.values() if state]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of one run."""

    told: Mapping[str, Told]
    """What clients were told, by session_id."""
    sessions: Mapping[str, pb.Session]
    """What the server has, with steps, by session_id."""
    histories: Mapping[str, Sequence[pb.SessionEvent]]
    counts: Mapping[int, int]
    """What the server counts, by state; 0 = all."""
    executions: Mapping[int, Execution]
    """What the domain was asked on behalf of these sessions, by number."""
    kills: int
    batches: Mapping[str, BatchFound]
    """What the server has, by batch_id."""
    lost: Sequence[str]
    """What was wrong with large results that histories name."""

    def faults(self, actions: Sequence[Action]) -> list[str]:
        """All that breaks a promise, each fault with the promise in front."""
        models = {session_id: self._read(session_id) for session_id in self.sessions}
        found = [*self.lost, *(fault for model in models.values() for fault in model.faults)]
        for session_id, told in self.told.items():
            if not told.removed:
                found += self._check_told(session_id, told, models.get(session_id))
        found += self._check_counts(sum(action.starts() for action in actions))
        found += self._check_calls(models)
        for action in actions:
            found += action.check(self)
        return found

    def _read(self, session_id: str) -> Model:
        model = Model(session_id, SHAPES[self.sessions[session_id].workflow_id])
        for event in self.histories[session_id]:
            model.read(event)
        if len(self.histories[session_id]) != self.sessions[session_id].last_sequence:
            model.faults.append(f"G5: {session_id} has another last_sequence than its history")
        if model.state != self.sessions[session_id].state:
            model.faults.append(f"G2: {session_id} has another state than its history")
        if model.recoveries > self.kills:
            model.faults.append(f"G2: {session_id} was recovered {model.recoveries} times")
        return model

    def _check_told(self, session_id: str, told: Told, model: Model | None) -> Iterator[str]:
        """G1, G2, G5, G6: whatever a client was told of a session stands."""
        if model is None:
            yield f"G1: {session_id} was acknowledged and is not there"
            return
        history = self.histories[session_id]
        if told.events != history[: len(told.events)]:
            yield f"G5: Watch of {session_id} told another history than there is"
        for attempt, seen in told.ends.items():
            if attempt > len(model.ends) or model.ends[attempt - 1] != seen.state:
                yield f"G2: attempt {attempt} of {session_id} had ended {pb.SessionState.Name(seen.state)}"
        now = self.sessions[session_id]
        if (seen := told.ends.get(now.attempt)) is not None and seen.outputs != now.outputs:
            yield f"G2: the outputs of {session_id} are not those that were told"
        if (sure := [each for each in model.applied if each not in told.perhaps]) != told.applied:
            yield f"G6: {session_id} obeyed {sure}, its client was told {told.applied}"
        if not set(model.refused) <= {*told.refused, *told.perhaps}:
            yield f"G6: {session_id} refused {model.refused}, its client was told {told.refused}"

    def _check_counts(self, begun: int) -> Iterator[str]:
        """G4: client count == server count == sum by state."""
        there = sum(not session.parent_session_id and not session.batch_id for session in self.sessions.values())
        if there != begun:
            yield f"G4: clients began {begun} sessions, the server has {there}"
        if not len(self.sessions) == self.counts[0] == sum(self.counts[state] for state in _STATES):
            yield f"G4: {len(self.sessions)} sessions are listed, counted {dict(self.counts)}"
        by_state = Counter(session.state for session in self.sessions.values())
        if any(self.counts[state] != by_state[state] for state in _STATES):
            yield f"G4: sessions by state are {dict(by_state)}, counted {dict(self.counts)}"

    def _check_calls(self, models: Mapping[str, Model]) -> Iterator[str]:
        """G3, G7: executions >= 1, recorded == 1; no call outlives its deadline."""
        answered = {execution.key for execution in self.executions.values() if execution.answer}
        for model in models.values():
            recorded = Counter(model.succeeded)
            yield from (f"G3: {key} is recorded {times} times" for key, times in recorded.items() if times > 1)
            unanswered = [key for key in recorded if key not in answered and not self._is_child(key)]
            yield from (f"G3: {key} is recorded, and the domain never answered it" for key in unanswered)
        for key, times in Counter(execution.key for execution in self.executions.values()).items():
            if times > 1 + self.kills:
                yield f"G3: {key} was executed {times} times with {self.kills} kills"
        yield from self._check_deadlines()

    def _check_deadlines(self) -> Iterator[str]:
        for execution in self.executions.values():
            session = self.sessions.get(execution.session_id)
            if execution.lasted is None or execution.lasted > execution.left + _SLACK_S:
                yield f"G7: {execution.key} outlived its deadline of {execution.left} s: {execution.lasted}"
            if session is None:
                continue
            most = (session.deadline_at.ToMicroseconds() - session.created_at.ToMicroseconds()) / 1e6
            if session.workflow_id == "impatient" and "/b#" in execution.key:
                most = IMPATIENCE_S
            if session.HasField("deadline_at") and execution.left >= most:
                yield f"G7: {execution.key} was given {execution.left} s of {most}"

    def _is_child(self, key: str) -> bool:
        session_id, _, step = key.partition("/")
        child = SHAPES[self.sessions[session_id].workflow_id].child
        return bool(child) and step.startswith(f"{child}#")

    def commands(self, session_id: str) -> Sequence[str]:
        """request_id of the commands that a session has obeyed."""
        return self._read(session_id).applied if session_id in self.sessions else ()

    def check_ends(self, session_id: str, ends: Sequence[pb.SessionState.ValueType]) -> Iterator[str]:
        """G1, G2: the attempts of a session ended as they have to; what came of it came of its own calls."""
        if (session := self.sessions.get(session_id)) is None:
            return  # told already
        found = self._read(session_id).ends
        if found != list(ends):
            shown = [[pb.SessionState.Name(state) for state in states] for states in (found, ends)]
            yield f"G2: the attempts of {session_id} ended {shown[0]}, not {shown[1]}"
        if session.state == pb.SESSION_STATE_SUCCEEDED:
            yield from self._check_outputs(session)

    def _check_outputs(self, session: pb.Session) -> Iterator[str]:
        """G3: each greeting in the outputs is the recorded answer to a call of this session, and so are its inputs."""
        known = set(self._read(session.session_id).succeeded)
        known |= {key for each in self._below(session.session_id) for key in self._read(each).succeeded}
        texts = list(texts_of(session))
        if not texts or not all(map(_NAMED.match, texts)):
            yield f"G3: {session.session_id} has the outputs {texts}"
        for text in texts:
            for found in _NAMED.finditer(text):
                one = self.executions.get(int(found[1]))
                if one is None or one.key not in known or not text.startswith(one.answer, found.start()):
                    yield f"G3: {session.session_id} has {text!r}, where {found[0]} is {one}"

    def _below(self, session_id: str) -> list[str]:
        return [each.session_id for each in self.sessions.values() if each.parent_session_id == session_id]

    def check_removed(self, session_id: str) -> Iterator[str]:
        """G1: what is removed stays removed."""
        if session_id in self.sessions:
            yield f"G1: {session_id} was removed and is there"


async def gather(client: Client, log: Path, start: int, kills: int) -> Evidence:
    """Asks for all that there is.

    Args:
        log: of the domain; what stands there behind that many bytes is of this run.
    """
    listed = await client.all_sessions()
    sessions = {each.session_id: await client.session(each.session_id) for each in listed}
    histories = {session_id: await client.history(session_id) for session_id in sessions}
    counts = {state: await client.count(state) for state in _STATES} | {0: await client.count()}
    lost = [fault for each, events in histories.items() async for fault in _lost(client, each, events)]
    executed = await executions(log, start, _SLACK_S)
    return Evidence(client.told, sessions, histories, counts, executed, kills, await find_batches(client), lost)


async def _lost(client: Client, session_id: str, events: Sequence[pb.SessionEvent]) -> AsyncIterator[str]:
    """G1: a large result that a record names is there, and is what was recorded."""
    named = [artifact for event in events for artifact in event.outputs.values()]
    for artifact in (each for each in named if each.size_bytes > INLINE_BYTES):
        try:
            data = await client.artifact(artifact.digest)
        except CoordinatorError as error:
            yield f"G1: a result of {session_id}: {error}"
        else:
            if sha256(data).hexdigest() != artifact.digest or len(data) != artifact.size_bytes:
                yield f"G1: a result of {session_id} has other content"
