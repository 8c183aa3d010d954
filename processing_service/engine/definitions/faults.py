"""Faults of a definition, gathered into one error; and the failure of one of its bindings in a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.definitions.paths import Unfit
from processing_service.wire.errors import Code, CoordinatorError, Unavailable, Violation

_MAX_FAULTS: Final = 64
_MAX_SHOWN: Final = 64
"""Characters of a name or expression that go into a message."""


def nowhere(path: str) -> str:
    """The place of a path in a definition that did not come as text."""
    return ""


@dataclass(slots=True)
class Faults:
    """Gathers faults by field path.

    Args:
        where: the place of a path in the text, such as `line 12:5`; empty if there is none.
    """

    where: Callable[[str], str] = nowhere
    violations: list[Violation] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """True once there are as many as an error holds: what is left need not be looked at."""
        return len(self.violations) >= _MAX_FAULTS

    def add(self, path: str, description: str, suggestion: str = "") -> None:
        """Notes a fault."""
        if not self.full:
            place = self.where(path)
            self.violations.append(Violation(path, f"{place}: {description}" if place else description, suggestion))

    def add_unfit(self, path: str, fault: Unfit) -> None:
        """Notes a binding or value that does not fit."""
        self.add(path, fault.description, fault.suggestion)

    def add_missing(self, path: str, description: str) -> None:
        """Notes what is not there, unless what it should stand in has a fault that explains it."""
        parent = path.rpartition(".")[0]
        if not any(f"{violation.field_path}.".startswith(f"{parent}.") for violation in self.violations):
            self.add(path, description)

    def add_error(self, path: str, error: CoordinatorError) -> None:
        """Notes what an error says, with the name that it suggests.

        Raises:
            Unavailable: the error itself, where nobody can say yet whether there is a fault.
        """
        if isinstance(error, Unavailable):
            raise error
        suggestion = error.metadata.get("nearest", "") or next((v.suggestion for v in error.violations), "")
        self.add(path, error.message.partition("; did you mean")[0], suggestion)

    def check(self, workflow_id: str = "") -> None:
        """Raises CoordinatorError if there are faults: WORKFLOW_INVALID, each fault a violation."""
        if self.violations:
            raise self._error(workflow_id)

    def _error(self, workflow_id: str) -> CoordinatorError:
        first, more = self.violations[0], len(self.violations) - 1
        name = f"workflow {workflow_id[:_MAX_SHOWN]!r}" if workflow_id else "the definition"
        advice = f"; did you mean {first.suggestion!r}?" if first.suggestion else ""
        rest = f" (and {more} more fault{'s' * (more > 1)})" if more else ""
        return CoordinatorError(
            Code.INVALID_ARGUMENT,
            ErrorReason.ERROR_REASON_WORKFLOW_INVALID,
            f"{name} cannot be taken: {first.field_path}: {first.description}{advice}{rest}",
            metadata={"workflow_id": workflow_id[:_MAX_SHOWN]} if workflow_id else {},
            violations=self.violations,
        )


def join(path: str, name: str) -> str:
    """The path of a field of what stands at `path`."""
    shown = name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN]
    return f"{path}.{shown}" if path else shown


def failed(owner: str, path: str, text: str, fault: Unfit) -> CoordinatorError:
    """A binding or expression that failed on the values of a session.

    Args:
        owner: whose it is, such as `step 'page'`.
        path: where it stands in the definition.
        text: what stands inside `${...}`.
        fault: what was wrong.
    """
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
    given = f"${{{shown}}}: " if text else ""
    advice = f"; did you mean {fault.suggestion!r}?" if fault.suggestion else ""
    return CoordinatorError(
        Code.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_EXPRESSION_FAILED,
        f"{owner}: {path}: {given}{fault.description}{advice}",
        metadata={"expression": shown},
        violations=[Violation(path, fault.description, fault.suggestion)],
    )
