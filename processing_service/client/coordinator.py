"""The client: every RPC of a coordinator as a method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.batch_filling import BatchFilling
from processing_service.client.batch_watching import BatchWatching
from processing_service.client.caller import OnBreak
from processing_service.client.models import ModelCalls
from processing_service.client.outputs import Outputs
from processing_service.client.settings import ClientSettings
from processing_service.client.watching import SessionWatching
from processing_service.client.workflows import WorkflowCalls


class CoordinatorClient(WorkflowCalls, SessionWatching, BatchWatching, BatchFilling, ModelCalls):
    """A client of one coordinator, for one event loop.

        async with CoordinatorClient("localhost:50051") as client:
            session = await client.execute_workflow("read-text", {"page": Path("page.png")})
            outputs = client.outputs_of(session)
            await outputs.save("annotated", Path("annotated.png"))

    Every RPC is a method of its name in snake_case: unary ones give their reply, lists the entries of all pages,
    streams their messages. Each call has a deadline, is tried again where that is safe, and raises CoordinatorError.

    Args:
        address: `host:port` or `unix:path`; None = that of the settings.
        settings: see ClientSettings.
        on_break: told once of each stream whose connection broke and does not come back at once.
        options: single fields of the settings, such as `deadline=5.0`.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        settings: ClientSettings | None = None,
        on_break: OnBreak | None = None,
        **options: Any,
    ) -> None:
        chosen = options if address is None else options | {"address": address}
        super().__init__(replace(settings or ClientSettings(), **chosen), on_break)

    def outputs_of(self, session: pb.Session) -> Outputs:
        """The outputs of a session that succeeded."""
        return Outputs(self, session)
