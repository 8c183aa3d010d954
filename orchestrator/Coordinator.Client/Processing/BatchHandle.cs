namespace Coordinator.Client;

using Coordinator.Processing.V1;

/// <summary>One batch: what can be asked of it.</summary>
public sealed class BatchHandle
{
    private readonly ProcessingClient _client;

    internal BatchHandle(ProcessingClient client, string batchId) => (_client, BatchId) = (client, batchId);

    /// <summary>Which.</summary>
    public string BatchId { get; }

    /// <summary>Reads it.</summary>
    public async Task<Batch> GetAsync(CancellationToken cancellationToken = default) =>
        (await _client.GetProcessingBatchAsync(new() { BatchId = BatchId }, null, cancellationToken).ConfigureAwait(false)).Batch;

    /// <summary>Starts it.</summary>
    public async Task<Batch> ExecuteAsync(CancellationToken cancellationToken = default) =>
        (await _client.PostBatchExecuteAsync(new() { BatchId = BatchId }, null, cancellationToken).ConfigureAwait(false)).Batch;

    /// <summary>Its updates, as <see cref="ProcessingClient.WatchProcessingBatchAsync"/> gives them.</summary>
    public IAsyncEnumerable<WatchProcessingBatchResponse> WatchAsync(
        long? afterSequence = null, CancellationToken cancellationToken = default) =>
        _client.WatchProcessingBatchAsync(BatchId, afterSequence, cancellationToken);

    /// <summary>Its cells, by item, model and workflow.</summary>
    public IAsyncEnumerable<BatchCell> ItemsAsync(CancellationToken cancellationToken = default) =>
        _client.EnumerateProcessingBatchItemsAsync(new() { BatchId = BatchId }, cancellationToken);

    /// <summary>Waits for its end, over restarts of the coordinator; a paused batch is waited for.</summary>
    public async Task<Batch> WaitAsync(CancellationToken cancellationToken = default)
    {
        await foreach (var _ in WatchAsync(null, cancellationToken).ConfigureAwait(false))
        {
        }
        return await GetAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts no more cells.</summary>
    public Task<Batch> PauseAsync(CancellationToken cancellationToken = default) => ControlAsync(BatchAction.Pause, cancellationToken);

    /// <summary>Goes on with it.</summary>
    public Task<Batch> ResumeAsync(CancellationToken cancellationToken = default) => ControlAsync(BatchAction.Resume, cancellationToken);

    /// <summary>Cancels its cells.</summary>
    public Task<Batch> CancelAsync(CancellationToken cancellationToken = default) => ControlAsync(BatchAction.Cancel, cancellationToken);

    /// <summary>Runs failed and cancelled cells again.</summary>
    public Task<Batch> RetryFailedAsync(CancellationToken cancellationToken = default) => ControlAsync(BatchAction.RetryFailed, cancellationToken);

    /// <summary>Removes it with its sessions.</summary>
    /// <param name="force">True cancels it first if it runs.</param>
    /// <param name="cancellationToken">Gives up the wait.</param>
    public Task DeleteAsync(bool force = false, CancellationToken cancellationToken = default) =>
        _client.DeleteProcessingBatchAsync(new() { BatchId = BatchId, Force = force }, null, cancellationToken);

    private async Task<Batch> ControlAsync(BatchAction action, CancellationToken cancellationToken)
    {
        var request = new PostBatchControlRequest { BatchId = BatchId, BatchAction = action };
        return (await _client.PostBatchControlAsync(request, null, cancellationToken).ConfigureAwait(false)).Batch;
    }
}
