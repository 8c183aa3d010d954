"""Use case of PostWorkflowPlan: what an execution would do, without doing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.artifacts import ArtifactInstructor
from instructors.durations import Durations
from instructors.inventory import Inventory
from instructors.needs import ModelName
from instructors.outlook import Look
from instructors.plan_reply import PlanReply
from instructors.plans import Plans
from instructors.registry import Instructors
from processing_service.engine.managers.sessions import SessionManager
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.wire.callcontext import current
from processing_service.wire.errors import invalid

Rehearse = Callable[[pb.PostWorkflowExecuteRequest], Awaitable[pb.PostWorkflowExecuteResponse]]


class PlanningInstructor:
    """Looks ahead.

    Args:
        artifacts: knows whether content that the request refers to is there.
        durations: what calls took lately.
        rehearse: PostWorkflowExecute, for an execution that is only validated.
    """

    def __init__(
        self,
        workflows: WorkflowManager,
        sessions: SessionManager,
        artifacts: ArtifactInstructor,
        instructors: Instructors,
        durations: Durations,
        rehearse: Rehearse,
    ) -> None:
        self._workflows, self._sessions, self._artifacts = workflows, sessions, artifacts
        self._plans, self._inventory = Plans(instructors.domains), Inventory(instructors)
        self._durations, self._rehearse = durations, rehearse

    async def plan(self, request: pb.PostWorkflowPlanRequest) -> pb.PostWorkflowPlanResponse:
        """What the execution would do: steps, models, loads, memory, time. A domain that is silent is a warning.

        Raises:
            CoordinatorError: as PostWorkflowExecute: WORKFLOW_NOT_FOUND, MODEL_NOT_FOUND, MODEL_INVALID, FIELD_*,
                ARTIFACT_NOT_FOUND.
        """
        if not request.HasField("execution"):
            text = "is what would be executed, as PostWorkflowExecute takes it"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "execution", text)
        execution, tenant = request.execution, current().tenant
        definition = await self._workflows.definition(tenant, execution.workflow_id)
        parameters, legacy = definition.parameter_values(execution)
        await self._artifacts.check_payloads(execution.payloads)
        begin = self._sessions.begin(execution, definition, parameters, digest=b"", tenant=tenant, traceparent="")
        look = Look(self._workflows, self._plans, tenant)
        outlook = await look.at(definition, parameters)
        pinned = [ModelName(execution.model_id, "")] if execution.model_id else []
        stock = await self._inventory.take([*pinned, *(name for names in outlook.uses() for name in names)])
        for name in pinned:
            if (error := stock.missing.get(name)) is not None:
                raise error
        reply = PlanReply(outlook, stock, self._durations, [*legacy, *look.warnings])
        response = reply.write(begin.start.budget_us / 1e6, fails=look.fails)
        if execution.from_session_id:
            await self._add_reuse(response, execution)
        return response

    async def _add_reuse(self, response: pb.PostWorkflowPlanResponse, execution: pb.PostWorkflowExecuteRequest) -> None:
        """Says of each step whether it is taken over from the former session."""
        dry = pb.PostWorkflowExecuteRequest()
        dry.CopyFrom(execution)
        dry.validate_only, dry.request_id = True, ""
        planned = {step.step_id: step for step in (await self._rehearse(dry)).planned_steps}
        for step in response.steps:
            if (found := planned.get(step.step_id)) is not None:
                step.reuse_decision, step.reason = found.reuse_decision, found.reason
