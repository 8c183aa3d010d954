"""What the service of a workflow, its messages and its file are called, and how its calls are counted."""

from __future__ import annotations

from typing import Final

from processing_service.wire.naming import to_pascal

PACKAGE: Final = "coordinator.workflows.v1"
"""Of all services that workflows have."""
FOLDER: Final = f"{PACKAGE.replace('.', '/')}/"
"""Where their files stand."""
EXECUTE: Final = "Execute"
WATCH: Final = "Watch"

_METHODS: Final = f"/{PACKAGE}."
_COUNTED: Final = f"{_METHODS}Workflow/"


def service_of(workflow_id: str) -> str:
    """`read-text` -> `ReadTextService`. Workflows have different ids also without hyphens, so this is unique."""
    return f"{to_pascal(workflow_id.replace('-', '_'))}Service"


def path_of(workflow_id: str) -> str:
    """`read-text` -> `coordinator/workflows/v1/read_text_service.proto`."""
    return f"{FOLDER}{workflow_id.replace('-', '_')}_service.proto"


def is_typed(method: str) -> bool:
    """Whether `/package.Service/Method` is a method of a workflow's service."""
    return method.startswith(_METHODS)


def split(method: str) -> tuple[str, str]:
    """`/coordinator.workflows.v1.ReadTextService/Execute` -> `ReadTextService`, `Execute`."""
    service, _, rpc = method.removeprefix(_METHODS).partition("/")
    return service, rpc


def counted_as(method: str) -> str:
    """The name under which calls of all workflows are counted, as no label is an id: with `Workflow` as the service."""
    return f"{_COUNTED}{split(method)[1]}" if is_typed(method) else method
