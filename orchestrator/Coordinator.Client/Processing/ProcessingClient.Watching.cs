namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>
    /// A snapshot of a session, then every event behind it (or behind <paramref name="afterSequence"/>) once and in order,
    /// and progress between them; ends behind the event of the session's end.
    /// </summary>
    /// <remarks>
    /// A connection that breaks is made anew behind the last event that was seen, for as long as the options'
    /// <see cref="CoordinatorClientOptions.ReconnectWindow"/> lasts; there is one snapshot all the same. Leaving the
    /// enumeration ends the call at the coordinator.
    /// </remarks>
    /// <param name="sessionId">Which.</param>
    /// <param name="afterSequence">Number of the last event that is known; 0 for all, null for what comes after now.</param>
    /// <param name="cancellationToken">Ends the watch, never the session.</param>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (SESSION_NOT_FOUND, SESSION_NOT_STORED), OUT_OF_RANGE (SEQUENCE_OUT_OF_RANGE); UNAVAILABLE once the window
    /// is over.
    /// </exception>
    public virtual IAsyncEnumerable<WatchProcessingSessionResponse> WatchProcessingSessionAsync(
        string sessionId, long? afterSequence = null, CancellationToken cancellationToken = default) =>
        _watches.RunAsync(() => new SessionWatch(_stub, sessionId, afterSequence), cancellationToken);

    /// <summary>
    /// A snapshot of a batch, then every event behind it (or behind <paramref name="afterSequence"/>) once and in order,
    /// and progress between them; ends behind the event of the batch's end. It comes back as the watch of a session.
    /// </summary>
    /// <param name="batchId">Which.</param>
    /// <param name="afterSequence">Number of the last event that is known; 0 for all, null for what comes after now.</param>
    /// <param name="cancellationToken">Ends the watch, never the batch.</param>
    /// <exception cref="CoordinatorException">
    /// NOT_FOUND (BATCH_NOT_FOUND), OUT_OF_RANGE (SEQUENCE_OUT_OF_RANGE); UNAVAILABLE once the window is over.
    /// </exception>
    public virtual IAsyncEnumerable<WatchProcessingBatchResponse> WatchProcessingBatchAsync(
        string batchId, long? afterSequence = null, CancellationToken cancellationToken = default) =>
        _watches.RunAsync(() => new BatchWatch(_stub, batchId, afterSequence), cancellationToken);
}
