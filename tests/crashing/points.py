"""Crash points: places inside engine and store at which a server of the tests kills itself, by name.

They exist in the tests alone: a server that `tests.crashing.nursery` starts has the methods that are named here wrapped
(`fuses.py`) before it serves. `processing-service serve` knows nothing of them, and no package that is installed has
this module, so they cost nothing and nobody can ask for them by a setting or a variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

Passes = Callable[..., bool]
"""Whether a call counts as a pass: given what the method returned (`after` only), and its arguments."""


def _always(*_: Any) -> bool:
    return True


class Target(NamedTuple):
    """A method, and on which side of it the point lies."""

    method: str
    """`module:Class.method`, below `processing_service.engine` where it begins with a dot."""
    when: Literal["before", "after"]
    passes: Passes = _always


@dataclass(frozen=True, slots=True)
class Point:
    """One crash point."""

    what: str
    """Where the world stands when the process dies."""
    targets: tuple[Target, ...]
    most: int = 3
    """Passes that a small load makes for sure; the process dies on one of them."""
    at_start: bool = False
    """True if only a server that takes sessions up passes it."""
    batches: bool = False
    """True if only batches pass it."""


def _succeeded(_: Any, __: Any, event: Any) -> bool:
    return type(event).__name__ == "Succeeded"


def _called(event: Any, *_: Any) -> bool:
    return type(event).__name__ == "Succeeded"


def _has(work: Any, error: Any, wanted: Callable[[Any], bool]) -> bool:
    changes = work._unwritten.values()
    return error is None and any(wanted(record) for change in changes for record in change.records)


def _step_kept(work: Any, error: Any) -> bool:
    return _has(work, error, lambda record: record.kind.name == "STEP_SUCCEEDED")


def _large_kept(work: Any, error: Any) -> bool:
    return _has(work, error, lambda record: record.output is not None and bool(record.output.digest))


def _end_written(_: Any, __: Any, ___: Any, records: Any) -> bool:
    return bool(records[-1].kind.name == "SESSION_ENDED")


def _end_kept(_: Any, __: Any, ___: Any, error: Any) -> bool:
    return error is None


def _is_command(_: Any, __: Any, ___: Any, records: Any, **rest: Any) -> bool:
    return not records and bool(rest.get("wait"))


def _commit_passed(error: Any, _: Any, group: Any) -> bool:
    return error is None and bool(group)


def _start_kept(_: Any, __: Any, ___: Any, durable: Any) -> bool:
    return durable.exception() is None and not durable.result().repeated


def _has_kind(records: Any, *names: str) -> bool:
    return any(record.kind.name in names for record in records)


def _executed(_: Any, __: Any, ___: Any, standing: Any, records: Any, *rest: Any) -> bool:
    return bool(standing.state.name == "RUNNING" and records[0].at == standing.started_us)


def _judged(_: Any, __: Any, ___: Any, ____: Any, records: Any, *rest: Any) -> bool:
    return _has_kind(records, "CANARY_PASSED", "CANARY_FAILED")


def _ends_batch(_: Any, __: Any, ___: Any, records: Any, *rest: Any) -> bool:
    return _has_kind(records, "BATCH_ENDED")


def _slice_gone(_: Any, __: Any, work: Any) -> bool:
    return getattr(getattr(work, "func", None), "__name__", "") == "remove_some"


_LOCAL: Final = ".local:LocalEngine."
_WORK: Final = ".store.sqlite.session_work:SessionWork."
_BATCHES: Final = ".store.sqlite.batches:SqliteBatches."
_BATCH_RUNNER: Final = ".batches.runner:BatchRunner."
_USE_CASES: Final = "instructors.processing:ProcessingInstructor."

POINTS: Final = {
    "start-asked": Point(
        "a start waits for its transaction", (Target(".store.sqlite.sessions:SqliteSessions.open", "after"),), 12
    ),
    "before-commit": Point(
        "a transaction has everything but its COMMIT",
        (Target(_WORK + "write", "after"), Target(".store.sqlite.writer:_Job.write", "after")),
        20,
    ),
    "after-commit": Point(
        "a transaction is durable, and the event loop has not heard of it",
        (Target(".store.sqlite.writer:Writer._commit", "after", _commit_passed),),
        20,
    ),
    "start-durable": Point(
        "a start is durable, and its session does not run yet",
        (Target(".openings:Openings._stored", "before", _start_kept),),
        12,
    ),
    "start-begun": Point(
        "a session runs, and its caller was not answered",
        (Target(".openings:Openings._stored", "after", lambda _, *rest: _start_kept(*rest)),),
        12,
    ),
    "start-answered": Point("the client has the answer to a start; here the harness itself kills", (), 10),
    "before-call": Point(
        "a call is about to leave", (Target("instructors.base:BaseInstructor.send_watched", "before"),), 24
    ),
    "call-answered": Point(
        "a call was answered, and the engine has not heard of it",
        (Target(".worker:Worker.call", "after", _called),),
        20,
    ),
    "call-fed": Point(
        "the engine went on from an answer that is not durable",
        (Target(_LOCAL + "feed", "after", lambda _, *rest: _succeeded(*rest)),),
        20,
    ),
    "call-recorded": Point("a result is durable", (Target(_WORK + "settle", "before", _step_kept),), 16),
    "result-unnamed": Point(
        "a large result is written, but not under its name", (Target(".store.part:Part.keep", "before"),), 2
    ),
    "result-stored": Point(
        "a large result is stored, and no record names it", (Target(".ledger:Ledger._put", "after"),), 2
    ),
    "result-recorded": Point(
        "the record of a large result is durable", (Target(_WORK + "settle", "before", _large_kept),), 2
    ),
    "end-written": Point("an end is on its way to the store", (Target(_LOCAL + "_write", "after", _end_written),), 10),
    "end-durable": Point("an end is durable, and nobody knows", (Target(_LOCAL + "_end", "before", _end_kept),), 10),
    "before-reply": Point(
        "the answer of an execution is made, and has not left", (Target(_USE_CASES + "execute", "after"),), 10
    ),
    "command-asked": Point("a command has come", (Target(_LOCAL + "deliver", "before"),), 4),
    "command-written": Point(
        "a command was applied and waits for its transaction",
        (Target(".ledger:Ledger.write", "after", _is_command),),
        3,
    ),
    "command-durable": Point(
        "a command is durable, and its caller was not answered", (Target(_LOCAL + "deliver", "after"),), 3
    ),
    "child-asked": Point("a step is about to begin its session", (Target(_USE_CASES + "start_child", "before"),), 2),
    "child-ended": Point(
        "the session of a step has ended, and the step has not", (Target(_USE_CASES + "start_child", "after"),), 1
    ),
    "delete-durable": Point(
        "a session is removed, and its caller was not answered",
        (Target(".store.sqlite.store:SqliteStore.delete_session", "after"),),
        1,
    ),
    "batch-created": Point(
        "a batch is created, and its caller was not answered", (Target(_BATCHES + "create", "after"),), 3, batches=True
    ),
    "batch-executed": Point(
        "the start of a batch is durable, and it does not run yet",
        (Target(_BATCHES + "record", "after", _executed),),
        3,
        batches=True,
    ),
    "cell-ended": Point(
        "a cell has ended and made room, and its record is not durable",
        (Target(_BATCH_RUNNER + "_note_end", "after"),),
        8,
        batches=True,
    ),
    "cell-recorded": Point(
        "the end of a cell is durable, and its batch has not heard of it",
        (Target(_BATCH_RUNNER + "over", "before"),),
        8,
        batches=True,
    ),
    "canary-judged": Point(
        "a canary is judged: the verdict is about to be stored, or is stored and nothing was done by it",
        (Target(".batches.trial:Trial.verdict", "after"), Target(_BATCHES + "record", "after", _judged)),
        2,
        batches=True,
    ),
    "batch-ending": Point(
        "all cells have ended, and the end of their batch is not recorded",
        (Target(_BATCHES + "record", "before", _ends_batch),),
        3,
        batches=True,
    ),
    "batch-removing": Point(
        "some of the sessions of a batch that is removed are gone",
        (Target(".store.sqlite.writer:Writer.run", "after", _slice_gone),),
        2,
        batches=True,
    ),
    "batch-taken-up": Point(
        "a start has made a batch go on",
        (Target(".managers.batches:BatchProcessingManager._launch", "after"),),
        1,
        at_start=True,
        batches=True,
    ),
    "store-taken": Point(
        "a start has made the store its own, and read nothing",
        (Target(".store.sqlite.database:Database._take_over", "after"),),
        1,
        at_start=True,
    ),
    "recovery-charged": Point(
        "a start has charged the open sessions, and taken up none",
        (Target(".store.sqlite.store:SqliteStore.charge_recovery", "after"),),
        1,
        at_start=True,
    ),
    "recovery-begun": Point(
        "a start has taken up some of the open sessions",
        (Target(".recovery:Recovery._take_up", "after"),),
        3,
        at_start=True,
    ),
}
"""By name; docs/design/batches-and-proof.md says what they are for."""

BY_HARNESS: Final = "start-answered"
