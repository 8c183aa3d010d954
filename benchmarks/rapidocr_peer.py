"""RapidOCR as shipped, in its process."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers import Peer
from benchmarks.score import Line


class RapidOcr(Peer):
    """RapidOCR in its process."""

    def __init__(self) -> None:
        super().__init__("rapidocr_loop.py", ORT_DISABLE_TELEMETRY="1")

    def read(self, page: Path) -> tuple[float, list[Line]]:
        """Seconds that it took, and what it read."""
        answer = self.ask(page)
        return answer["seconds"], [Line(line["text"], line["corners"]) for line in answer["lines"]]
