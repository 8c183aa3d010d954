"""What clients do: the random load of a run. A new kind of action is a class here and a line in KINDS.

An action is made by a seed, acts through a client, and says afterwards what the server must show of it, from what the
client was told. Nothing here looks into the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final

from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.struct_pb2 import Struct

from tests.crashing.action import Action
from tests.crashing.batch_actions import BreakableBatch, RemovedBatch, TriedBatch
from tests.crashing.client import Client, Told

if TYPE_CHECKING:
    from tests.crashing.evidence import Evidence

_SUCCEEDED, _FAILED = pb.SESSION_STATE_SUCCEEDED, pb.SESSION_STATE_FAILED
_TAKES_TITLES: Final = ("line", "parallel", "each", "maybe", "above")


class OneSession(Action):
    """Starts one session and follows it to its end; others do more with it."""

    workflows: ClassVar[Sequence[str]] = (*_TAKES_TITLES, "large")
    titles: ClassVar[Sequence[Sequence[str]]] = ((), ("delay=0.02",), ("flaky",), ("delay=0.05", "flaky"))
    background: ClassVar[bool] = True
    budget_s: ClassVar[int] = 120
    named, repeatable = True, True
    """Whether it gives a session_id, and a request_id."""

    def __init__(self, name: str, random: Random) -> None:
        super().__init__(name, random)
        self.workflow_id, self.asked = random.choice(self.workflows), [*random.choice(self.titles)]
        if self.workflow_id == "large":
            self.asked.append("large")
        self.skips = self.workflow_id == "maybe" and random.random() < 0.5
        self.session_id = name if self.named else ""

    async def act(self, client: Client) -> None:
        session = await client.start(self.request())
        self.session_id = session.session_id
        if self.background:
            await self.meddle(client)
        await client.ended(self.session_id)
        await self.follow_up(client)

    async def meddle(self, client: Client) -> None:
        """What it does while the session runs."""

    async def follow_up(self, client: Client) -> None:
        """What it does after that has ended."""

    def request(self) -> pb.PostWorkflowExecuteRequest:
        """Its start."""
        parameters = Struct()
        parameters.update({"text": self.name, "titles": self.asked, "go": not self.skips})
        request = pb.PostWorkflowExecuteRequest(
            workflow_id=self.workflow_id,
            session_id=self.session_id if self.named else "",
            request_id=f"{self.name}-start" if self.repeatable else "",
            parameters=parameters,
            background=self.background,
        )
        request.timeout.seconds = self.budget_s
        return request

    def ends(self, told: Told) -> Sequence[pb.SessionState.ValueType]:
        """How each attempt has to end."""
        return (_SUCCEEDED,)

    def check(self, evidence: Evidence) -> Iterator[str]:
        yield from evidence.check_ends(self.session_id, self.ends(evidence.told[self.session_id]))

    async def _once_it_works(self, client: Client) -> None:
        """Waits for a call that is out, or the end, if the dice say so."""
        if self.random.random() < 0.7:
            await client.until(self.session_id, lambda event: event.kind == pb.EVENT_KIND_STEP_STARTED)


class Background(OneSession):
    """A session in the background."""


class Foreground(OneSession):
    """A session whose caller waits for its end; a server that dies is not a caller that leaves."""

    background = False

    def request(self) -> pb.PostWorkflowExecuteRequest:
        request = super().request()
        request.cancel_on_disconnect = len(self.asked) % 2 == 0
        return request


class ServerNamed(OneSession):
    """A session whose id the server makes: only its request_id keeps it from being two."""

    background, named = False, False


class Overlapped(OneSession):
    """A session whose first call does not wait for its start: a crash may lose it, and its repeat is the first then."""

    background = False

    def request(self) -> pb.PostWorkflowExecuteRequest:
        request = super().request()
        request.durability = pb.DURABILITY_RESULT
        return request


class Unrepeatable(OneSession):
    """A session whose id is all that tells a repeat of its start."""

    repeatable = False


class Large(OneSession):
    """A session with a result that goes to the artifact store beside the steps that follow."""

    workflows = ("large",)


class Above(OneSession):
    """A session with a session in it."""

    workflows = ("above",)


class Failing(OneSession):
    """A session whose step fails for good."""

    workflows = _TAKES_TITLES
    titles = (("fails",),)

    def ends(self, told: Told) -> Sequence[pb.SessionState.ValueType]:
        return (_SUCCEEDED if self.skips else _FAILED,)


class Hanging(OneSession):
    """A session whose step is not answered before its timeout."""

    workflows = ("impatient",)
    titles = (("hangs",),)

    def ends(self, told: Told) -> Sequence[pb.SessionState.ValueType]:
        return (_FAILED,)


class Late(OneSession):
    """A session whose budget ends while a call is out; restarts do not lengthen it, and may leave too little."""

    workflows = ("line", "each")
    titles = (("hangs",),)
    budget_s = 1

    def ends(self, told: Told) -> Sequence[pb.SessionState.ValueType]:
        too_short = any(end.failure.cause.reason_name == "BUDGET_TOO_SHORT" for end in told.ends.values())
        return (_FAILED if too_short else pb.SESSION_STATE_TIMED_OUT,)


class Controlled(OneSession):
    """A session that gets commands."""

    workflows = _TAKES_TITLES
    titles = (("delay=0.05",), ("delay=0.1",), ("delay=0.2",))


class Paused(Controlled):
    """PAUSE and RESUME, perhaps twice: the session ends as if nothing had been."""

    async def meddle(self, client: Client) -> None:
        for turn in range(self.random.choice((1, 2))):
            await self._once_it_works(client)
            if not await client.control(self.session_id, pb.CONTROL_ACTION_PAUSE, f"{self.name}-pause-{turn}"):
                return
            if self.random.random() < 0.5:
                await client.until(self.session_id, lambda event: event.session_state == pb.SESSION_STATE_PAUSED)
            await client.control(self.session_id, pb.CONTROL_ACTION_RESUME, f"{self.name}-resume-{turn}")


class Stopped(Controlled):
    """CANCEL or TERMINATE; and RETRY, perhaps."""

    action: ClassVar[pb.ControlAction.ValueType] = pb.CONTROL_ACTION_CANCEL
    end: ClassVar[pb.SessionState.ValueType] = pb.SESSION_STATE_CANCELLED

    async def meddle(self, client: Client) -> None:
        await self._once_it_works(client)
        await client.control(self.session_id, self.action, f"{self.name}-stop")

    async def follow_up(self, client: Client) -> None:
        if self.random.random() < 0.5 and f"{self.name}-stop" in client.told[self.session_id].applied:
            await client.control(self.session_id, pb.CONTROL_ACTION_RETRY, f"{self.name}-retry")
            await client.ended(self.session_id)

    def ends(self, told: Told) -> Sequence[pb.SessionState.ValueType]:
        first = self.end if f"{self.name}-stop" in told.applied else _SUCCEEDED
        return (first, _SUCCEEDED) if f"{self.name}-retry" in told.applied else (first,)


class Terminated(Stopped):
    """TERMINATE."""

    action, end = pb.CONTROL_ACTION_TERMINATE, pb.SESSION_STATE_TERMINATED


class Swept(Controlled):
    """CANCEL by a selector: who asks again cannot tell which sessions the first command has reached."""

    background = True

    async def meddle(self, client: Client) -> None:
        await self._once_it_works(client)
        await client.control_all(
            {"swept": self.name}, pb.CONTROL_ACTION_CANCEL, f"{self.name}-sweep", [self.session_id]
        )

    def request(self) -> pb.PostWorkflowExecuteRequest:
        request = super().request()
        request.labels["swept"] = self.name
        return request

    def check(self, evidence: Evidence) -> Iterator[str]:
        reached = f"{self.name}-sweep" in evidence.commands(self.session_id)
        yield from evidence.check_ends(self.session_id, (pb.SESSION_STATE_CANCELLED if reached else _SUCCEEDED,))


class Retried(OneSession):
    """A session that fails, and gets through at its second attempt."""

    workflows = ("line", "parallel", "each")
    titles = (("broken",), ("broken", "delay=0.03"))

    async def follow_up(self, client: Client) -> None:
        await client.control(self.session_id, pb.CONTROL_ACTION_RETRY, f"{self.name}-retry")
        await client.ended(self.session_id)

    def ends(self, told: Told) -> Sequence[pb.SessionState.ValueType]:
        return (_FAILED, _SUCCEEDED)


class Removed(OneSession):
    """A session that is removed once it has ended; its end was seen before."""

    async def follow_up(self, client: Client) -> None:
        await client.delete(self.session_id, f"{self.name}-delete", force=False)

    def check(self, evidence: Evidence) -> Iterator[str]:
        yield from evidence.check_removed(self.session_id)

    def starts(self) -> int:
        return 0


class RemovedByForce(Controlled):
    """A session that is removed while it runs."""

    async def act(self, client: Client) -> None:
        await client.start(self.request())
        await self._once_it_works(client)
        await client.delete(self.session_id, f"{self.name}-delete", force=True)

    def check(self, evidence: Evidence) -> Iterator[str]:
        yield from evidence.check_removed(self.session_id)

    def starts(self) -> int:
        return 0


KINDS: Final[tuple[type[Action], ...]] = (
    Background,
    Foreground,
    ServerNamed,
    Unrepeatable,
    Overlapped,
    Large,
    Large,
    Above,
    Above,
    Failing,
    Hanging,
    Late,
    Paused,
    Paused,
    Stopped,
    Terminated,
    Swept,
    Retried,
    Removed,
    RemovedByForce,
)
"""Each load has one of each entry, in random order. Add a kind of client here."""
BATCH_KINDS: Final[tuple[type[Action], ...]] = (BreakableBatch, TriedBatch, RemovedBatch)
"""Those with batches, which cost as much as many sessions: a load has all of them or one."""


def load(prefix: str, random: Random, *, batches: bool) -> list[Action]:
    """The clients of one load.

    Args:
        batches: it has one of each kind with batches, not of one alone.
    """
    chosen = (*KINDS, *(BATCH_KINDS if batches else random.sample(BATCH_KINDS, 1)))
    kinds = random.sample(chosen, len(chosen))
    return [kind(f"{prefix}-{kind.__name__.lower()}-{number}", random) for number, kind in enumerate(kinds)]
