"""Workflows: their definitions and what an execution would do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.connected import Connected
from processing_service.client.retries import new_request_id


class WorkflowCalls(Connected):
    """The RPCs of workflows."""

    async def get_processing_workflows(
        self, *, labels: Mapping[str, str] | None = None, page_size: int = 0, deadline: float | None = None
    ) -> AsyncIterator[pb.Workflow]:
        """The workflows by workflow_id, without their steps; only those that have all of `labels`."""
        request = pb.GetProcessingWorkflowsRequest(labels=labels, page_size=page_size)
        async for page in self._caller.pages(self._stub.GetProcessingWorkflows, request, deadline):
            for workflow in page.workflows:
                yield workflow

    async def get_processing_workflow(
        self, workflow_id: str, *, deadline: float | None = None
    ) -> pb.GetProcessingWorkflowResponse:
        """One workflow, whole, and the same as YAML."""
        request = pb.GetProcessingWorkflowRequest(workflow_id=workflow_id)
        return await self._caller.call(self._stub.GetProcessingWorkflow, request, deadline)

    async def put_processing_workflow(
        self,
        definition: pb.Workflow | str,
        *,
        validate_only: bool = False,
        allow_breaking: bool = False,
        request_id: str = "",
        deadline: float | None = None,
    ) -> pb.PutProcessingWorkflowResponse:
        """Checks a definition, given as a message or as YAML or JSON, and stores it."""
        request = pb.PutProcessingWorkflowRequest(
            request_id=request_id or new_request_id(), validate_only=validate_only, allow_breaking=allow_breaking
        )
        if isinstance(definition, str):
            request.source = definition
        else:
            request.workflow.CopyFrom(definition)
        return await self._caller.call(self._stub.PutProcessingWorkflow, request, deadline)

    async def delete_processing_workflow(
        self, workflow_id: str, *, request_id: str = "", deadline: float | None = None
    ) -> pb.DeleteProcessingWorkflowResponse:
        """Removes a workflow; sessions that run are not touched."""
        request = pb.DeleteProcessingWorkflowRequest(workflow_id=workflow_id, request_id=request_id or new_request_id())
        return await self._caller.call(self._stub.DeleteProcessingWorkflow, request, deadline)

    async def post_workflow_plan(
        self, execution: pb.PostWorkflowExecuteRequest, *, deadline: float | None = None
    ) -> pb.PostWorkflowPlanResponse:
        """What an execution would do, without doing it."""
        request = pb.PostWorkflowPlanRequest(execution=execution)
        return await self._caller.call(self._stub.PostWorkflowPlan, request, deadline)
