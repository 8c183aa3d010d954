"""What a command says when it fails, and the exit code of each kind of failure."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason, Failure
from typer import Exit

from processing_service.wire.errors import Code, CoordinatorError


class ExitCode(IntEnum):
    """Stable: scripts rely on them."""

    OK = 0
    FAILED = 1
    """The run failed, or the server could not do it."""
    USAGE = 2
    """What was asked for is wrong or is not there."""
    UNREACHABLE = 3
    """No server answers."""
    DENIED = 4
    """No token, or one that may not do this."""
    TIMEOUT = 5
    """The deadline has passed, or the session's budget was used up."""
    PARTIAL = 6
    """Some cells of the batch failed, no more than may."""


_CODES: Final = {
    Code.INVALID_ARGUMENT: ExitCode.USAGE,
    Code.NOT_FOUND: ExitCode.USAGE,
    Code.ALREADY_EXISTS: ExitCode.USAGE,
    Code.OUT_OF_RANGE: ExitCode.USAGE,
    Code.UNAVAILABLE: ExitCode.UNREACHABLE,
    Code.UNAUTHENTICATED: ExitCode.DENIED,
    Code.PERMISSION_DENIED: ExitCode.DENIED,
    Code.DEADLINE_EXCEEDED: ExitCode.TIMEOUT,
}

_NEXT: Final = {
    ErrorReason.ERROR_REASON_WORKFLOW_NOT_FOUND: "`processing-service workflow list` shows what there is",
    ErrorReason.ERROR_REASON_SESSION_NOT_FOUND: "`processing-service session list` shows what there is",
    ErrorReason.ERROR_REASON_BATCH_NOT_FOUND: "`processing-service batch list` shows what there is",
    ErrorReason.ERROR_REASON_MODEL_NOT_FOUND: "`processing-service model list` shows what there is",
    ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND: "`processing-service command` shows what there is",
    ErrorReason.ERROR_REASON_WORKFLOW_INVALID: "docs/reference/workflow-definition.md has every field",
    ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE: "`processing-service serve` starts a server, --address names another",
    ErrorReason.ERROR_REASON_UNAUTHENTICATED: "name the file that holds your token with --token-file",
    ErrorReason.ERROR_REASON_PERMISSION_DENIED: "use a token that may do this with --token-file",
    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED: "give it more time with --deadline, or run it with --background",
}


def report(error: Exception, *, as_json: bool = False) -> ExitCode:
    """Writes the error to stderr: what, every violation, the reason, the next step; as lines, or as JSON on one line.

    Raises what is not ours again.
    """
    if not isinstance(error, CoordinatorError):
        raise error
    for line in [json.dumps({"error": _plain(error)}, ensure_ascii=False)] if as_json else _lines(error):
        print(line, file=sys.stderr)
    return _CODES.get(error.code, ExitCode.FAILED)


def say_break(error: CoordinatorError) -> None:
    """Writes to stderr that a connection broke and is made anew."""
    print(f"{error.message}; reconnecting", file=sys.stderr, flush=True)


def show_failure(failure: Failure) -> None:
    """Writes a failure of a session and its causes to stderr."""
    for line in _failure_lines(failure, "  "):
        print(line, file=sys.stderr)


def stop(code: ExitCode) -> Exit:
    """Ends the command with a code; raise it."""
    return Exit(int(code))


def _failure_lines(failure: Failure, indent: str) -> Iterator[str]:
    where = f"{failure.step_key}: " if failure.step_key else ""
    yield f"{indent}{where}{failure.message} ({failure.reason_name})"
    for violation in failure.field_violations:
        yield f"{indent}  {violation.field_path}: {violation.description}"
    if failure.HasField("cause"):
        yield from _failure_lines(failure.cause, indent + "  ")


def _lines(error: CoordinatorError) -> Iterator[str]:
    yield f"error: {error.message}"
    if len(error.violations) > 1 or any(v.description not in error.message for v in error.violations):
        for violation in error.violations:
            advice = f"; did you mean {violation.suggestion!r}?" if violation.suggestion else ""
            yield f"  {violation.field_path}: {violation.description}{advice}"
    yield f"reason: {error.reason_name} ({error.code.name})"
    step = _next(error)
    if step:
        yield f"next: {step}"


def _plain(error: CoordinatorError) -> dict[str, Any]:
    """Fields as in the contract's Failure, the code by its name; those that are empty are left out."""
    violations = [
        {"field_path": v.field_path, "description": v.description, "suggestion": v.suggestion} for v in error.violations
    ]
    facts = {
        "message": error.message,
        "code": error.code.name,
        "reason": error.reason_name,
        "field_violations": violations,
        "metadata": dict(error.metadata),
        "next": _next(error),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _next(error: CoordinatorError) -> str:
    domain = error.metadata.get("domain", "")
    if error.reason == ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE and domain:  # the server itself is there
        return f"start the {domain} domain, or set its address in the configuration of the server"
    return _NEXT.get(error.reason, "")
