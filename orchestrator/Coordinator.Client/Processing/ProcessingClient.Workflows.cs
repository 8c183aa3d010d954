namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>
    /// Lists the workflows, by workflow_id, without their steps.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetProcessingWorkflowsResponse> GetProcessingWorkflowsAsync(
        GetProcessingWorkflowsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingWorkflowsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Reads one workflow, whole.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (WORKFLOW_NOT_FOUND, with the nearest workflow_id).
    /// </exception>
    public virtual Task<GetProcessingWorkflowResponse> GetProcessingWorkflowAsync(
        GetProcessingWorkflowRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingWorkflowAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Checks a definition and stores it; sessions that run keep the one they started with. Replies with what was
    /// stored and its digest; the same meaning again changes nothing.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (WORKFLOW_INVALID: every fault a field violation with its line or path), FAILED_PRECONDITION
    /// (WORKFLOW_BREAKING).
    /// </exception>
    public virtual Task<PutProcessingWorkflowResponse> PutProcessingWorkflowAsync(
        PutProcessingWorkflowRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PutProcessingWorkflowAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Removes a workflow; sessions that run are not touched.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (WORKFLOW_NOT_FOUND).
    /// </exception>
    public virtual Task<DeleteProcessingWorkflowResponse> DeleteProcessingWorkflowAsync(
        DeleteProcessingWorkflowRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.DeleteProcessingWorkflowAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Says what an execution would do, without doing it: types, models, loads, peak memory, deadline.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// as PostWorkflowExecute.
    /// </exception>
    public virtual Task<PostWorkflowPlanResponse> PostWorkflowPlanAsync(
        PostWorkflowPlanRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostWorkflowPlanAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Starts a session of a workflow. In the foreground it replies when the session has ended, or with the session as
    /// it stands shortly before the deadline of the call; in the background once the start is durable. A session that
    /// failed is a reply, not an error.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (WORKFLOW_NOT_FOUND, MODEL_NOT_FOUND, SESSION_NOT_FOUND), INVALID_ARGUMENT (FIELD_UNKNOWN,
    /// FIELD_CONFLICT), ALREADY_EXISTS (SESSION_ALREADY_EXISTS), FAILED_PRECONDITION (SESSION_TOO_DEEP,
    /// SESSION_STATE_ILLEGAL: from_session_id has not ended).
    /// </exception>
    public virtual Task<PostWorkflowExecuteResponse> PostWorkflowExecuteAsync(
        PostWorkflowExecuteRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostWorkflowExecuteAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;
}
