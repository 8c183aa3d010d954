"""The sessions that run in this process."""

from __future__ import annotations

from collections.abc import Iterator

from processing_service.engine.live import Live, SessionKey


class Roster:
    """Knows each by its tenant and name."""

    def __init__(self) -> None:
        self._lives: dict[SessionKey, Live] = {}

    def __len__(self) -> int:
        """How many they are."""
        return len(self._lives)

    def __iter__(self) -> Iterator[Live]:
        """Those that run now; they may come and go meanwhile."""
        return iter(tuple(self._lives.values()))

    def __contains__(self, live: Live) -> bool:
        """Whether it is this very one that runs, and not another of its name."""
        return self._lives.get(live.key) is live

    def add(self, live: Live) -> None:
        """It runs from now on, in place of another of its name."""
        self._lives[live.key] = live

    def remove(self, live: Live) -> None:
        """It runs no more; another of its name stays."""
        if self._lives.get(live.key) is live:
            del self._lives[live.key]

    def clear(self) -> None:
        """None runs any more."""
        self._lives.clear()

    def live(self, session_id: str, tenant: str) -> Live | None:
        """The session of that name, if it runs."""
        return self._lives.get((tenant, session_id))

    def begun_by(self, request_id: str, tenant: str) -> Live | None:
        """The session that this request_id began, if it runs."""
        for live in self._lives.values():
            if live.context.request.request_id == request_id and live.context.tenant == tenant:
                return live
        return None

    def children(self, session_id: str, tenant: str) -> list[Live]:
        """The sessions that its steps began, those that run."""
        above = (tenant, session_id)
        lives = self._lives.values()
        return [live for live in lives if (live.context.tenant, live.context.parent_session_id) == above]

    def cells(self, batch_number: int) -> list[Live]:
        """The sessions of a batch, those that run."""
        cells = ((live, live.context.cell) for live in self._lives.values())
        return [live for live, cell in cells if cell is not None and cell.batch_number == batch_number]
