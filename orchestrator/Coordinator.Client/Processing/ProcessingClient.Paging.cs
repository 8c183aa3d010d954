namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>Every workflow that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<Workflow> EnumerateProcessingWorkflowsAsync(
        GetProcessingWorkflowsRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetProcessingWorkflowsRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.Workflows, reply => reply.NextPageToken, cancellationToken);

        Task<GetProcessingWorkflowsResponse> FetchAsync(string token, CancellationToken stop) =>
            GetProcessingWorkflowsAsync(new(first) { PageToken = token }, null, stop);
    }

    /// <summary>Every session that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<Session> EnumerateProcessingSessionsAsync(
        GetProcessingSessionsRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetProcessingSessionsRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.Sessions, reply => reply.NextPageToken, cancellationToken);

        Task<GetProcessingSessionsResponse> FetchAsync(string token, CancellationToken stop) =>
            GetProcessingSessionsAsync(new(first) { PageToken = token }, null, stop);
    }

    /// <summary>Every event of a session that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<SessionEvent> EnumerateProcessingSessionEventsAsync(
        GetProcessingSessionEventsRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetProcessingSessionEventsRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.Events, reply => reply.NextPageToken, cancellationToken);

        Task<GetProcessingSessionEventsResponse> FetchAsync(string token, CancellationToken stop) =>
            GetProcessingSessionEventsAsync(new(first) { PageToken = token }, null, stop);
    }

    /// <summary>Every batch that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<Batch> EnumerateProcessingBatchesAsync(
        GetProcessingBatchesRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetProcessingBatchesRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.Batches, reply => reply.NextPageToken, cancellationToken);

        Task<GetProcessingBatchesResponse> FetchAsync(string token, CancellationToken stop) =>
            GetProcessingBatchesAsync(new(first) { PageToken = token }, null, stop);
    }

    /// <summary>Every cell of a batch that <paramref name="request"/> lists, from its page on, each page fetched when it is wanted.</summary>
    public virtual IAsyncEnumerable<BatchCell> EnumerateProcessingBatchItemsAsync(
        GetProcessingBatchItemsRequest? request = null, CancellationToken cancellationToken = default)
    {
        var first = request?.Clone() ?? new GetProcessingBatchItemsRequest();
        return Pages.WalkAsync(first.PageToken, FetchAsync, reply => reply.Cells, reply => reply.NextPageToken, cancellationToken);

        Task<GetProcessingBatchItemsResponse> FetchAsync(string token, CancellationToken stop) =>
            GetProcessingBatchItemsAsync(new(first) { PageToken = token }, null, stop);
    }
}
