"""The Processing service on the wire: each method hands its request to the instructor whose use case it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceServicer

from instructors.artifacts import ArtifactInstructor
from instructors.batch_watching import BatchWatch
from instructors.batches import BatchInstructor
from instructors.commands import CommandInstructor
from instructors.contract import ContractInstructor
from instructors.controls import ControlInstructor
from instructors.domain_list import DomainInstructor
from instructors.domain_views import DomainViews
from instructors.planning import PlanningInstructor
from instructors.processing import ProcessingInstructor
from instructors.sessions import SessionReader
from instructors.watching import SessionWatch
from instructors.workflows import WorkflowInstructor
from processing_service.engine.ids import check_id
from processing_service.wire.callcontext import current

Context = grpc.aio.ServicerContext[Any, Any]


class UseCases(NamedTuple):
    """What the service can do."""

    workflows: WorkflowInstructor
    planning: PlanningInstructor
    processing: ProcessingInstructor
    sessions: SessionReader
    watch: SessionWatch
    controls: ControlInstructor
    batches: BatchInstructor
    batch_watch: BatchWatch
    views: DomainViews
    artifacts: ArtifactInstructor
    commands: CommandInstructor
    domains: DomainInstructor
    contract: ContractInstructor


class ProcessingServicer(ProcessingServiceServicer):
    """ProcessingService of the contract."""

    def __init__(self, use: UseCases) -> None:
        self._use = use

    async def GetProcessingWorkflows(
        self, request: pb.GetProcessingWorkflowsRequest, context: Context
    ) -> pb.GetProcessingWorkflowsResponse:
        return await self._use.workflows.page(request)

    async def GetProcessingWorkflow(
        self, request: pb.GetProcessingWorkflowRequest, context: Context
    ) -> pb.GetProcessingWorkflowResponse:
        return await self._use.workflows.read(request)

    async def PutProcessingWorkflow(
        self, request: pb.PutProcessingWorkflowRequest, context: Context
    ) -> pb.PutProcessingWorkflowResponse:
        return await self._use.workflows.put(request)

    async def DeleteProcessingWorkflow(
        self, request: pb.DeleteProcessingWorkflowRequest, context: Context
    ) -> pb.DeleteProcessingWorkflowResponse:
        return await self._use.workflows.delete(request)

    async def PostWorkflowPlan(
        self, request: pb.PostWorkflowPlanRequest, context: Context
    ) -> pb.PostWorkflowPlanResponse:
        return await self._use.planning.plan(request)

    async def PostWorkflowExecute(
        self, request: pb.PostWorkflowExecuteRequest, context: Context
    ) -> pb.PostWorkflowExecuteResponse:
        return await self._use.processing.execute(request)

    async def GetProcessingSessions(
        self, request: pb.GetProcessingSessionsRequest, context: Context
    ) -> pb.GetProcessingSessionsResponse:
        return await self._use.sessions.page(request)

    async def GetProcessingSession(
        self, request: pb.GetProcessingSessionRequest, context: Context
    ) -> pb.GetProcessingSessionResponse:
        session_id, tenant = check_id("session_id", request.session_id), current().tenant
        session = await self._use.sessions.read(session_id, tenant)
        if request.include_domain_views:
            session.domain_views.extend(await self._use.views.of(session_id, tenant))
        return pb.GetProcessingSessionResponse(session=session)

    async def GetProcessingSessionEvents(
        self, request: pb.GetProcessingSessionEventsRequest, context: Context
    ) -> pb.GetProcessingSessionEventsResponse:
        check_id("session_id", request.session_id)
        return await self._use.sessions.events(request)

    async def WatchProcessingSession(
        self, request: pb.WatchProcessingSessionRequest, context: Context
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        check_id("session_id", request.session_id)
        async for update in self._use.watch.watch(request):
            yield update  # type: ignore[misc]  # the edge takes bytes, too

    async def PostSessionControl(
        self, request: pb.PostSessionControlRequest, context: Context
    ) -> pb.PostSessionControlResponse:
        return await self._use.controls.control(request)

    async def DeleteProcessingSession(
        self, request: pb.DeleteProcessingSessionRequest, context: Context
    ) -> pb.DeleteProcessingSessionResponse:
        return await self._use.processing.delete(request)

    async def GetProcessingBatches(
        self, request: pb.GetProcessingBatchesRequest, context: Context
    ) -> pb.GetProcessingBatchesResponse:
        return await self._use.batches.page(request)

    async def GetProcessingBatch(
        self, request: pb.GetProcessingBatchRequest, context: Context
    ) -> pb.GetProcessingBatchResponse:
        return pb.GetProcessingBatchResponse(batch=await self._use.batches.read(request.batch_id))

    async def PostBatchCreate(self, request: pb.PostBatchCreateRequest, context: Context) -> pb.PostBatchCreateResponse:
        return await self._use.batches.create(request)

    async def PostBatchItems(self, request: pb.PostBatchItemsRequest, context: Context) -> pb.PostBatchItemsResponse:
        return await self._use.batches.add_items(request)

    async def PostBatchExecute(
        self, request: pb.PostBatchExecuteRequest, context: Context
    ) -> pb.PostBatchExecuteResponse:
        return await self._use.batches.execute(request)

    async def PostBatchControl(
        self, request: pb.PostBatchControlRequest, context: Context
    ) -> pb.PostBatchControlResponse:
        return await self._use.batches.control(request)

    async def GetProcessingBatchItems(
        self, request: pb.GetProcessingBatchItemsRequest, context: Context
    ) -> pb.GetProcessingBatchItemsResponse:
        return await self._use.batches.cells(request)

    async def WatchProcessingBatch(
        self, request: pb.WatchProcessingBatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchProcessingBatchResponse]:
        check_id("batch_id", request.batch_id)
        async for update in self._use.batch_watch.watch(request):
            yield update

    async def DeleteProcessingBatch(
        self, request: pb.DeleteProcessingBatchRequest, context: Context
    ) -> pb.DeleteProcessingBatchResponse:
        return await self._use.batches.delete(request)

    async def PostCommandExecute(
        self, request: pb.PostCommandExecuteRequest, context: Context
    ) -> pb.PostCommandExecuteResponse:
        return await self._use.commands.execute(request)

    async def GetProcessingDomains(
        self, request: pb.GetProcessingDomainsRequest, context: Context
    ) -> pb.GetProcessingDomainsResponse:
        return self._use.domains.describe()

    async def GetProcessingArtifact(
        self, request: pb.GetProcessingArtifactRequest, context: Context
    ) -> AsyncIterator[pb.GetProcessingArtifactResponse]:
        async for chunk in self._use.artifacts.download(request):
            yield chunk

    async def PostProcessingArtifact(
        self, request_iterator: AsyncIterator[pb.PostProcessingArtifactRequest], context: Context
    ) -> pb.PostProcessingArtifactResponse:
        return await self._use.artifacts.upload(request_iterator)

    async def GetProcessingContract(
        self, request: pb.GetProcessingContractRequest, context: Context
    ) -> pb.GetProcessingContractResponse:
        return self._use.contract.describe()
