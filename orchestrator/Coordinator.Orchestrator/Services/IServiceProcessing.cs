namespace Coordinator.Orchestrator.Services;

using Coordinator.Orchestrator.Responses;
using Coordinator.Processing.V1;

/// <summary>The use cases of workflows, sessions and batches: one method for each RPC, of its name.</summary>
/// <remarks>
/// Each throws what the client throws: refusals are translated once, by the error handler. The token cancels the wait
/// and the call, never work that is under way.
/// </remarks>
internal interface IServiceProcessing
{
    /// <summary>Lists workflows.</summary>
    Task<ApiResponse<GetProcessingWorkflowsResponse>> GetProcessingWorkflowsAsync(GetProcessingWorkflowsRequest request, CancellationToken cancellationToken);

    /// <summary>Reads a workflow.</summary>
    Task<ApiResponse<GetProcessingWorkflowResponse>> GetProcessingWorkflowAsync(GetProcessingWorkflowRequest request, CancellationToken cancellationToken);

    /// <summary>Stores a workflow, whose definition has to be of that id.</summary>
    Task<ApiResponse<PutProcessingWorkflowResponse>> PutProcessingWorkflowAsync(string workflowId, PutProcessingWorkflowRequest request, CancellationToken cancellationToken);

    /// <summary>Removes a workflow.</summary>
    Task<ApiResponse<DeleteProcessingWorkflowResponse>> DeleteProcessingWorkflowAsync(DeleteProcessingWorkflowRequest request, CancellationToken cancellationToken);

    /// <summary>Says what an execution would do.</summary>
    Task<ApiResponse<PostWorkflowPlanResponse>> PostWorkflowPlanAsync(PostWorkflowPlanRequest request, CancellationToken cancellationToken);

    /// <summary>Starts a session; one that has failed is a reply with the HTTP status of its failure.</summary>
    Task<ApiResponse<PostWorkflowExecuteResponse>> PostWorkflowExecuteAsync(PostWorkflowExecuteRequest request, CancellationToken cancellationToken);

    /// <summary>Lists sessions.</summary>
    Task<ApiResponse<GetProcessingSessionsResponse>> GetProcessingSessionsAsync(GetProcessingSessionsRequest request, CancellationToken cancellationToken);

    /// <summary>Reads a session.</summary>
    Task<ApiResponse<GetProcessingSessionResponse>> GetProcessingSessionAsync(GetProcessingSessionRequest request, CancellationToken cancellationToken);

    /// <summary>Controls a session.</summary>
    Task<ApiResponse<PostSessionControlResponse>> PostSessionControlAsync(PostSessionControlRequest request, CancellationToken cancellationToken);

    /// <summary>Removes a session.</summary>
    Task<ApiResponse<DeleteProcessingSessionResponse>> DeleteProcessingSessionAsync(DeleteProcessingSessionRequest request, CancellationToken cancellationToken);

    /// <summary>Lists batches.</summary>
    Task<ApiResponse<GetProcessingBatchesResponse>> GetProcessingBatchesAsync(GetProcessingBatchesRequest request, CancellationToken cancellationToken);

    /// <summary>Reads a batch.</summary>
    Task<ApiResponse<GetProcessingBatchResponse>> GetProcessingBatchAsync(GetProcessingBatchRequest request, CancellationToken cancellationToken);

    /// <summary>Creates a batch.</summary>
    Task<ApiResponse<PostBatchCreateResponse>> PostBatchCreateAsync(PostBatchCreateRequest request, CancellationToken cancellationToken);

    /// <summary>Adds items to a batch.</summary>
    Task<ApiResponse<PostBatchItemsResponse>> PostBatchItemsAsync(PostBatchItemsRequest request, CancellationToken cancellationToken);

    /// <summary>Starts a batch.</summary>
    Task<ApiResponse<PostBatchExecuteResponse>> PostBatchExecuteAsync(PostBatchExecuteRequest request, CancellationToken cancellationToken);

    /// <summary>Controls a batch.</summary>
    Task<ApiResponse<PostBatchControlResponse>> PostBatchControlAsync(PostBatchControlRequest request, CancellationToken cancellationToken);

    /// <summary>Lists cells of a batch.</summary>
    Task<ApiResponse<GetProcessingBatchItemsResponse>> GetProcessingBatchItemsAsync(GetProcessingBatchItemsRequest request, CancellationToken cancellationToken);

    /// <summary>Removes a batch.</summary>
    Task<ApiResponse<DeleteProcessingBatchResponse>> DeleteProcessingBatchAsync(DeleteProcessingBatchRequest request, CancellationToken cancellationToken);
}
