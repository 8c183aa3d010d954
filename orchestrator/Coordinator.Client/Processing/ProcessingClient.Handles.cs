namespace Coordinator.Client;

using Coordinator.Processing.V1;

public partial class ProcessingClient
{
    /// <summary>A session that is known by its id; asks nothing of the coordinator.</summary>
    public SessionHandle Session(string sessionId) => new(this, sessionId);

    /// <summary>A batch that is known by its id; asks nothing of the coordinator.</summary>
    public BatchHandle Batch(string batchId) => new(this, batchId);

    /// <summary>Starts a session in the background: it is durable, and goes on whatever becomes of this process.</summary>
    public async Task<SessionHandle> StartAsync(PostWorkflowExecuteRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var started = request.Clone();
        started.Background = true;
        var reply = await PostWorkflowExecuteAsync(started, null, cancellationToken).ConfigureAwait(false);
        return Session(reply.Session.SessionId);
    }
}
