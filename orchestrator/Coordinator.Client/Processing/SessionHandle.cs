namespace Coordinator.Client;

using Coordinator.Processing.V1;

/// <summary>One session: what can be asked of it.</summary>
public sealed class SessionHandle
{
    private readonly ProcessingClient _client;

    internal SessionHandle(ProcessingClient client, string sessionId) => (_client, SessionId) = (client, sessionId);

    /// <summary>Which.</summary>
    public string SessionId { get; }

    /// <summary>Reads it with its steps.</summary>
    public async Task<Session> GetAsync(CancellationToken cancellationToken = default)
    {
        var request = new GetProcessingSessionRequest { SessionId = SessionId };
        return (await _client.GetProcessingSessionAsync(request, null, cancellationToken).ConfigureAwait(false)).Session;
    }

    /// <summary>Its updates, as <see cref="ProcessingClient.WatchProcessingSessionAsync"/> gives them.</summary>
    public IAsyncEnumerable<WatchProcessingSessionResponse> WatchAsync(
        long? afterSequence = null, CancellationToken cancellationToken = default) =>
        _client.WatchProcessingSessionAsync(SessionId, afterSequence, cancellationToken);

    /// <summary>Waits for its end, over restarts of the coordinator. A session that failed is returned as well.</summary>
    public async Task<Session> WaitAsync(CancellationToken cancellationToken = default)
    {
        await foreach (var _ in WatchAsync(null, cancellationToken).ConfigureAwait(false))
        {
        }
        return await GetAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts no more steps of it.</summary>
    public Task<Session> PauseAsync(CancellationToken cancellationToken = default) => ControlAsync(ControlAction.Pause, cancellationToken);

    /// <summary>Goes on with it.</summary>
    public Task<Session> ResumeAsync(CancellationToken cancellationToken = default) => ControlAsync(ControlAction.Resume, cancellationToken);

    /// <summary>Cancels its calls.</summary>
    public Task<Session> CancelAsync(CancellationToken cancellationToken = default) => ControlAsync(ControlAction.Cancel, cancellationToken);

    /// <summary>Ends it at once, without cleanup.</summary>
    public Task<Session> TerminateAsync(CancellationToken cancellationToken = default) => ControlAsync(ControlAction.Terminate, cancellationToken);

    /// <summary>Begins another attempt that keeps what succeeded.</summary>
    public Task<Session> RetryAsync(CancellationToken cancellationToken = default) => ControlAsync(ControlAction.Retry, cancellationToken);

    /// <summary>Removes it with its history.</summary>
    /// <param name="force">True terminates it first if it has not ended.</param>
    /// <param name="cancellationToken">Gives up the wait.</param>
    public Task DeleteAsync(bool force = false, CancellationToken cancellationToken = default) =>
        _client.DeleteProcessingSessionAsync(new() { SessionId = SessionId, Force = force }, null, cancellationToken);

    private async Task<Session> ControlAsync(ControlAction action, CancellationToken cancellationToken)
    {
        var request = new PostSessionControlRequest { SessionId = SessionId, ControlAction = action };
        return (await _client.PostSessionControlAsync(request, null, cancellationToken).ConfigureAwait(false)).Session;
    }
}
