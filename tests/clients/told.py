"""What a program of examples/clients prints: the same lines in every language, each with its kind in front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Tour:
    """The lines of one run, by kind, each in its order."""

    workflows: tuple[str, ...] = ()
    """`workflow_id title`."""
    sequences: tuple[int, ...] = ()
    """Of the events of the page's session, as they came."""
    kinds: tuple[str, ...] = ()
    """Of the same events."""
    lines: tuple[str, ...] = ()
    """That were read on the page."""
    controls: tuple[str, ...] = ()
    """Actions that stand in the history of the controlled session."""
    states: tuple[str, ...] = ()
    """How the sessions ended: of the page, controlled."""
    refusals: tuple[str, ...] = ()
    """`code REASON message`."""
    violations: tuple[str, ...] = ()
    """`field description`."""
    delays: tuple[str, ...] = ()
    """Milliseconds until another try, of RetryInfo."""

    @classmethod
    def of(cls, output: str) -> Self:
        """Reads the output; a line of another kind is a fault."""
        told = [(kind, rest) for kind, _, rest in (line.partition(" ") for line in output.splitlines())]
        known = {"workflow", "event", "line", "control", "state", "refused", "violation", "retry_after_ms"}
        assert [kind for kind, _ in told if kind not in known] == [], output

        def of(kind: str) -> Iterator[str]:
            return (rest for other, rest in told if other == kind)

        events = [rest.split(" ") for rest in of("event")]
        return cls(
            workflows=tuple(of("workflow")),
            sequences=tuple(int(number) for number, _ in events),
            kinds=tuple(kind for _, kind in events),
            lines=tuple(of("line")),
            controls=tuple(of("control")),
            states=tuple(of("state")),
            refusals=tuple(of("refused")),
            violations=tuple(of("violation")),
            delays=tuple(of("retry_after_ms")),
        )
