namespace Coordinator.Orchestrator.Services;

using Coordinator.Client;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Processing.V1;

/// <inheritdoc cref="IServiceProcessing"/>
internal sealed class ServiceProcessing(ProcessingClient client, OperationMonitor monitor) : IServiceProcessing
{
    private const string Routes = "/api/processing";

    public Task<ApiResponse<GetProcessingWorkflowsResponse>> GetProcessingWorkflowsAsync(GetProcessingWorkflowsRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_workflows", "", async () =>
            Ok(await client.GetProcessingWorkflowsAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<GetProcessingWorkflowResponse>> GetProcessingWorkflowAsync(GetProcessingWorkflowRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_workflow", request.WorkflowId, async () =>
            Ok(await client.GetProcessingWorkflowAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<PutProcessingWorkflowResponse>> PutProcessingWorkflowAsync(string workflowId, PutProcessingWorkflowRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("put_processing_workflow", workflowId, async () =>
        {
            await CheckIdAsync(workflowId, request, cancellationToken);
            var response = await client.PutProcessingWorkflowAsync(request, cancellationToken: cancellationToken);
            var created = response.Changed && !request.ValidateOnly;
            return created ? Created(response, $"{Routes}/workflows/{workflowId}") : Ok(response);
        });

    public Task<ApiResponse<DeleteProcessingWorkflowResponse>> DeleteProcessingWorkflowAsync(DeleteProcessingWorkflowRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("delete_processing_workflow", request.WorkflowId, async () =>
            Ok(await client.DeleteProcessingWorkflowAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<PostWorkflowPlanResponse>> PostWorkflowPlanAsync(PostWorkflowPlanRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_workflow_plan", request.Execution?.WorkflowId ?? "", async () =>
            Ok(await client.PostWorkflowPlanAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<PostWorkflowExecuteResponse>> PostWorkflowExecuteAsync(PostWorkflowExecuteRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_workflow_execute", request.WorkflowId, async () =>
            SessionReply.Of(await client.PostWorkflowExecuteAsync(request, cancellationToken: cancellationToken), Routes));

    public Task<ApiResponse<GetProcessingSessionsResponse>> GetProcessingSessionsAsync(GetProcessingSessionsRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_sessions", "", async () =>
            Ok(await client.GetProcessingSessionsAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<GetProcessingSessionResponse>> GetProcessingSessionAsync(GetProcessingSessionRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_session", request.SessionId, async () =>
            Ok(await client.GetProcessingSessionAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<PostSessionControlResponse>> PostSessionControlAsync(PostSessionControlRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_session_control", request.SessionId, async () =>
            Applied(await client.PostSessionControlAsync(request, cancellationToken: cancellationToken), response => response.Applied || request.ValidateOnly));

    public Task<ApiResponse<DeleteProcessingSessionResponse>> DeleteProcessingSessionAsync(DeleteProcessingSessionRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("delete_processing_session", request.SessionId, async () =>
            Ok(await client.DeleteProcessingSessionAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<GetProcessingBatchesResponse>> GetProcessingBatchesAsync(GetProcessingBatchesRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_batches", "", async () =>
            Ok(await client.GetProcessingBatchesAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<GetProcessingBatchResponse>> GetProcessingBatchAsync(GetProcessingBatchRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_batch", request.BatchId, async () =>
            Ok(await client.GetProcessingBatchAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<PostBatchCreateResponse>> PostBatchCreateAsync(PostBatchCreateRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_batch_create", request.BatchId, async () =>
        {
            var response = await client.PostBatchCreateAsync(request, cancellationToken: cancellationToken);
            return Created(response, $"{Routes}/batches/{response.Batch.BatchId}");
        });

    public Task<ApiResponse<PostBatchItemsResponse>> PostBatchItemsAsync(PostBatchItemsRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_batch_items", request.BatchId, async () =>
            Ok(await client.PostBatchItemsAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<PostBatchExecuteResponse>> PostBatchExecuteAsync(PostBatchExecuteRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_batch_execute", request.BatchId, async () =>
            Accepted(await client.PostBatchExecuteAsync(request, cancellationToken: cancellationToken), $"{Routes}/batches/{request.BatchId}"));

    public Task<ApiResponse<PostBatchControlResponse>> PostBatchControlAsync(PostBatchControlRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("post_batch_control", request.BatchId, async () =>
            Applied(await client.PostBatchControlAsync(request, cancellationToken: cancellationToken), response => response.Applied));

    public Task<ApiResponse<GetProcessingBatchItemsResponse>> GetProcessingBatchItemsAsync(GetProcessingBatchItemsRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("get_processing_batch_items", request.BatchId, async () =>
            Ok(await client.GetProcessingBatchItemsAsync(request, cancellationToken: cancellationToken)));

    public Task<ApiResponse<DeleteProcessingBatchResponse>> DeleteProcessingBatchAsync(DeleteProcessingBatchRequest request, CancellationToken cancellationToken) =>
        ExecuteWithMonitoring("delete_processing_batch", request.BatchId, async () =>
            Ok(await client.DeleteProcessingBatchAsync(request, cancellationToken: cancellationToken)));

    private Task<ApiResponse<T>> ExecuteWithMonitoring<T>(string operationName, string resourceId, Func<Task<ApiResponse<T>>> operation)
        where T : class => monitor.ExecuteWithMonitoring(operationName, resourceId, operation);

    /// <summary>The id inside a definition is known once the coordinator has read it: what is text is checked first.</summary>
    private async Task CheckIdAsync(string workflowId, PutProcessingWorkflowRequest request, CancellationToken cancellationToken)
    {
        var given = request.Workflow?.WorkflowId;
        if (request.DefinitionCase == PutProcessingWorkflowRequest.DefinitionOneofCase.Source)
        {
            var trial = new PutProcessingWorkflowRequest(request) { ValidateOnly = true, RequestId = "" };
            given = (await client.PutProcessingWorkflowAsync(trial, cancellationToken: cancellationToken)).Workflow.WorkflowId;
        }
        if (!string.IsNullOrEmpty(given) && given != workflowId)
        {
            throw RequestRefusedException.Conflict("workflowId", $"'{workflowId}' in the path, and '{given}' in the definition");
        }
    }

    private static ApiResponse<T> Ok<T>(T data)
        where T : class => new() { Success = true, Data = data };

    private static ApiResponse<T> Created<T>(T data, string location)
        where T : class => new() { Success = true, Data = data, StatusCode = StatusCodes.Status201Created, Location = location };

    private static ApiResponse<T> Accepted<T>(T data, string location)
        where T : class => new() { Success = true, Data = data, StatusCode = StatusCodes.Status202Accepted, Location = location };

    /// <summary>A command that is durable and not applied yet is accepted.</summary>
    private static ApiResponse<T> Applied<T>(T data, Func<T, bool> isApplied)
        where T : class => Ok(data) with { StatusCode = isApplied(data) ? StatusCodes.Status200OK : StatusCodes.Status202Accepted };
}
