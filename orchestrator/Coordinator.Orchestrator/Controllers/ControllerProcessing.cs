namespace Coordinator.Orchestrator.Controllers;

using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Orchestrator.Services;
using Coordinator.Processing.V1;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.ModelBinding;

/// <summary>The routes of workflows, sessions and batches; what they do stands in <see cref="IServiceProcessing"/>.</summary>
[ApiController]
[Route("api/processing")]
[Tags("Processing")]
internal sealed class ControllerProcessing(IServiceProcessing service) : ControllerBase
{
    /// <summary>Lists the workflows, by workflowId, without their steps.</summary>
    [HttpGet("workflows")]
    [Query(typeof(GetProcessingWorkflowsRequest))]
    public Task<ApiResponse<GetProcessingWorkflowsResponse>> GetProcessingWorkflows(CancellationToken cancellationToken) =>
        service.GetProcessingWorkflowsAsync(Query<GetProcessingWorkflowsRequest>(), cancellationToken);

    /// <summary>Reads one workflow, whole.</summary>
    /// <param name="workflowId" example="read-text">Which.</param>
    [HttpGet("workflows/{workflowId}")]
    public Task<ApiResponse<GetProcessingWorkflowResponse>> GetProcessingWorkflow(string workflowId, CancellationToken cancellationToken) =>
        service.GetProcessingWorkflowAsync(new() { WorkflowId = workflowId }, cancellationToken);

    /// <summary>Checks a definition and stores it; a body of application/yaml is the definition itself.</summary>
    /// <param name="workflowId" example="read-text">Which; the definition has to say the same.</param>
    /// <param name="request">The definition, as a message or as text.</param>
    [HttpPut("workflows/{workflowId}")]
    [Media(OtherRequest = "application/yaml")]
    [Success(200, 201)]
    public Task<ApiResponse<PutProcessingWorkflowResponse>> PutProcessingWorkflow(
        string workflowId, PutProcessingWorkflowRequest request, CancellationToken cancellationToken) =>
        service.PutProcessingWorkflowAsync(workflowId, Identified(request), cancellationToken);

    /// <summary>Removes a workflow; sessions that run are not touched.</summary>
    /// <param name="workflowId" example="read-text">Which.</param>
    [HttpDelete("workflows/{workflowId}")]
    public Task<ApiResponse<DeleteProcessingWorkflowResponse>> DeleteProcessingWorkflow(string workflowId, CancellationToken cancellationToken) =>
        service.DeleteProcessingWorkflowAsync(Identified(new DeleteProcessingWorkflowRequest { WorkflowId = workflowId }), cancellationToken);

    /// <summary>Says what an execution would do, without doing it.</summary>
    /// <param name="request">What would be executed.</param>
    [HttpPost("workflows/plan")]
    public Task<ApiResponse<PostWorkflowPlanResponse>> PostWorkflowPlan(PostWorkflowPlanRequest request, CancellationToken cancellationToken) =>
        service.PostWorkflowPlanAsync(request, cancellationToken);

    /// <summary>Starts a session of a workflow, and waits for its end unless background is set.</summary>
    /// <remarks>
    /// A session that failed is a reply with its data, and the HTTP status of its failure. A session that still runs is
    /// 202 with its Location. As multipart/form-data the part <c>request</c> is this body, and every other part is the
    /// payload of its name, streamed. If the caller leaves, the session goes on unless cancelOnDisconnect is set.
    /// </remarks>
    /// <param name="request">What to run, and with what.</param>
    [HttpPost("workflows/execute")]
    [Media(OtherRequest = "multipart/form-data")]
    [Success(200, 202)]
    public Task<ApiResponse<PostWorkflowExecuteResponse>> PostWorkflowExecute(
        ProcessingWorkflowExecuteRequest request, CancellationToken cancellationToken) =>
        service.PostWorkflowExecuteAsync(Identified(request), cancellationToken);

    /// <summary>Lists the sessions, newest first.</summary>
    [HttpGet("sessions")]
    [Query(typeof(GetProcessingSessionsRequest))]
    public Task<ApiResponse<GetProcessingSessionsResponse>> GetProcessingSessions(CancellationToken cancellationToken) =>
        service.GetProcessingSessionsAsync(Query<GetProcessingSessionsRequest>(), cancellationToken);

    /// <summary>Reads one session with its steps.</summary>
    /// <param name="sessionId" example="first">Which.</param>
    [HttpGet("sessions/{sessionId}")]
    [Query(typeof(GetProcessingSessionRequest), nameof(sessionId))]
    public Task<ApiResponse<GetProcessingSessionResponse>> GetProcessingSession(string sessionId, CancellationToken cancellationToken) =>
        service.GetProcessingSessionAsync(Bound(Query<GetProcessingSessionRequest>(), sessionId), cancellationToken);

    /// <summary>Pauses, resumes, cancels, terminates or retries a session.</summary>
    /// <param name="sessionId" example="first">Which.</param>
    /// <param name="request">What to do.</param>
    [HttpPost("sessions/{sessionId}/control")]
    [Success(200, 202)]
    public Task<ApiResponse<PostSessionControlResponse>> PostSessionControl(
        string sessionId, ProcessingSessionControlRequest request, CancellationToken cancellationToken) =>
        service.PostSessionControlAsync(Identified(Bound(request, sessionId)), cancellationToken);

    /// <summary>Removes a session that has ended, with its history.</summary>
    /// <param name="sessionId" example="first">Which.</param>
    [HttpDelete("sessions/{sessionId}")]
    [Query(typeof(DeleteProcessingSessionRequest), nameof(sessionId))]
    public Task<ApiResponse<DeleteProcessingSessionResponse>> DeleteProcessingSession(string sessionId, CancellationToken cancellationToken) =>
        service.DeleteProcessingSessionAsync(Identified(Bound(Query<DeleteProcessingSessionRequest>(), sessionId)), cancellationToken);

    /// <summary>Lists the batches, newest first.</summary>
    [HttpGet("batches")]
    [Query(typeof(GetProcessingBatchesRequest))]
    public Task<ApiResponse<GetProcessingBatchesResponse>> GetProcessingBatches(CancellationToken cancellationToken) =>
        service.GetProcessingBatchesAsync(Query<GetProcessingBatchesRequest>(), cancellationToken);

    /// <summary>Reads one batch.</summary>
    /// <param name="batchId" example="receipts">Which.</param>
    [HttpGet("batches/{batchId}")]
    public Task<ApiResponse<GetProcessingBatchResponse>> GetProcessingBatch(string batchId, CancellationToken cancellationToken) =>
        service.GetProcessingBatchAsync(new() { BatchId = batchId }, cancellationToken);

    /// <summary>Creates a batch: items x modelIds x workflowIds. It runs nothing.</summary>
    /// <param name="request">What it is made of.</param>
    [HttpPost("batches/create")]
    [Success(201)]
    public Task<ApiResponse<PostBatchCreateResponse>> PostBatchCreate(PostBatchCreateRequest request, CancellationToken cancellationToken) =>
        service.PostBatchCreateAsync(Identified(request), cancellationToken);

    /// <summary>Starts a batch.</summary>
    /// <param name="batchId" example="receipts">Which.</param>
    /// <param name="request">Nothing more; the body may be left out.</param>
    [HttpPost("batches/{batchId}/execute")]
    [Success(202)]
    public Task<ApiResponse<PostBatchExecuteResponse>> PostBatchExecute(
        string batchId, [FromBody(EmptyBodyBehavior = EmptyBodyBehavior.Allow)] PostBatchExecuteRequest? request, CancellationToken cancellationToken) =>
        service.PostBatchExecuteAsync(Identified(Bound(request ?? new(), batchId)), cancellationToken);

    /// <summary>Pauses, resumes, cancels a batch, retries its failed cells, or changes its priority.</summary>
    /// <param name="batchId" example="receipts">Which.</param>
    /// <param name="request">What to do.</param>
    [HttpPost("batches/{batchId}/control")]
    [Success(200, 202)]
    public Task<ApiResponse<PostBatchControlResponse>> PostBatchControl(
        string batchId, PostBatchControlRequest request, CancellationToken cancellationToken) =>
        service.PostBatchControlAsync(Identified(Bound(request, batchId)), cancellationToken);

    /// <summary>Lists the cells of a batch, by item, model and workflow.</summary>
    /// <param name="batchId" example="receipts">Which.</param>
    [HttpGet("batches/{batchId}/items")]
    [Query(typeof(GetProcessingBatchItemsRequest), nameof(batchId))]
    public Task<ApiResponse<GetProcessingBatchItemsResponse>> GetProcessingBatchItems(string batchId, CancellationToken cancellationToken) =>
        service.GetProcessingBatchItemsAsync(Bound(Query<GetProcessingBatchItemsRequest>(), batchId), cancellationToken);

    /// <summary>Adds a page of items to a batch that was not started; all of them or none.</summary>
    /// <param name="batchId" example="receipts">Which.</param>
    /// <param name="request">The items.</param>
    [HttpPost("batches/{batchId}/items")]
    public Task<ApiResponse<PostBatchItemsResponse>> PostBatchItems(
        string batchId, PostBatchItemsRequest request, CancellationToken cancellationToken) =>
        service.PostBatchItemsAsync(Identified(Bound(request, batchId)), cancellationToken);

    /// <summary>Removes a batch that does not run, with its sessions.</summary>
    /// <param name="batchId" example="receipts">Which.</param>
    [HttpDelete("batches/{batchId}")]
    [Query(typeof(DeleteProcessingBatchRequest), nameof(batchId))]
    public Task<ApiResponse<DeleteProcessingBatchResponse>> DeleteProcessingBatch(string batchId, CancellationToken cancellationToken) =>
        service.DeleteProcessingBatchAsync(Identified(Bound(Query<DeleteProcessingBatchRequest>(), batchId)), cancellationToken);

    private T Query<T>()
        where T : Google.Protobuf.IMessage, new() => QueryReader.Read<T>(HttpContext);

    /// <summary>With its request_id, and noted where its work can be read.</summary>
    private T Identified<T>(T request)
        where T : Google.Protobuf.IMessage
    {
        HttpContext.Features.Get<RequestNotes>()!.WorkLocation = WorkLocation.Of(request);
        return Idempotency.Identify(HttpContext, request);
    }

    private static T Bound<T>(T request, string id)
        where T : Google.Protobuf.IMessage => RouteBinding.Bind(request, id);
}
