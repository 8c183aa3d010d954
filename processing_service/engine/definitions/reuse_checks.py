"""What a definition says of reuse that has no effect."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.processing.v1.processing_pb2 import Workflow


def reuse_warnings(workflow: Workflow, execute: str) -> Iterator[str]:
    """What its writer should mend.

    Args:
        execute: the operation that is a session of its own.
    """
    pure = [(index, step) for index, step in enumerate(workflow.steps) if step.pure]
    for index, step in pure:
        if step.operation == execute:
            yield f"steps[{index}].pure: it starts a session, which always runs; mark the steps of that one"
    if workflow.reuse_enabled and not pure:
        yield "reuse_enabled: no step is marked pure, so none takes a stored output"
