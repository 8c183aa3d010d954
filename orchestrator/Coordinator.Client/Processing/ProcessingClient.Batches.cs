namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>
    /// Lists the batches, newest first.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetProcessingBatchesResponse> GetProcessingBatchesAsync(
        GetProcessingBatchesRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingBatchesAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Reads one batch.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND).
    /// </exception>
    public virtual Task<GetProcessingBatchResponse> GetProcessingBatchAsync(
        GetProcessingBatchRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingBatchAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Creates a batch: items x model_ids x workflow_ids. It runs nothing. Replies with the batch.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (WORKFLOW_NOT_FOUND, MODEL_NOT_FOUND), ALREADY_EXISTS (BATCH_ALREADY_EXISTS,
    /// BATCH_ITEM_ALREADY_EXISTS), INVALID_ARGUMENT (FIELD_INVALID).
    /// </exception>
    public virtual Task<PostBatchCreateResponse> PostBatchCreateAsync(
        PostBatchCreateRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostBatchCreateAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Adds a page of items to a batch in state CREATED; all of them or none.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND), ALREADY_EXISTS (BATCH_ITEM_ALREADY_EXISTS), FAILED_PRECONDITION
    /// (BATCH_STATE_ILLEGAL).
    /// </exception>
    public virtual Task<PostBatchItemsResponse> PostBatchItemsAsync(
        PostBatchItemsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostBatchItemsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Starts a batch.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND), FAILED_PRECONDITION (BATCH_STATE_ILLEGAL).
    /// </exception>
    public virtual Task<PostBatchExecuteResponse> PostBatchExecuteAsync(
        PostBatchExecuteRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostBatchExecuteAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Pauses, resumes, cancels a batch, retries its failed cells, or changes its priority.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND), FAILED_PRECONDITION (BATCH_STATE_ILLEGAL).
    /// </exception>
    public virtual Task<PostBatchControlResponse> PostBatchControlAsync(
        PostBatchControlRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.PostBatchControlAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Lists the cells of a batch, by item, model and workflow.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND), INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
    /// </exception>
    public virtual Task<GetProcessingBatchItemsResponse> GetProcessingBatchItemsAsync(
        GetProcessingBatchItemsRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.GetProcessingBatchItemsAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;

    /// <summary>
    /// Removes a batch that does not run, with its sessions.
    /// </summary>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND), FAILED_PRECONDITION (BATCH_STATE_ILLEGAL).
    /// </exception>
    public virtual Task<DeleteProcessingBatchResponse> DeleteProcessingBatchAsync(
        DeleteProcessingBatchRequest request, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        _stub.DeleteProcessingBatchAsync(request, Calls.Options(timeout, cancellationToken)).ResponseAsync;
}
