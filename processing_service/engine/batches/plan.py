"""How a batch is to run."""

from __future__ import annotations

from typing import NamedTuple

from processing_service.engine.batches.records import Canary
from processing_service.engine.batches.rules import FailureLimit


class BatchPlan(NamedTuple):
    """What its creation says of that; never changes."""

    max_parallel: int
    limit: FailureLimit
    canary: Canary | None
