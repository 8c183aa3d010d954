namespace Coordinator.Client;

using Grpc.Core;

/// <summary>One connection of a watch, made at its first read.</summary>
internal sealed class WatchConnection<TUpdate>(Watch<TUpdate> watch, ContractCheck contract) : IDisposable
    where TUpdate : class
{
    private AsyncServerStreamingCall<TUpdate>? _call;

    /// <summary>The next updates that are new to the caller; null once this connection gives no more.</summary>
    /// <remarks>A connection that broke has then been waited for; it throws if that is not to be done.</remarks>
    public async Task<IReadOnlyList<TUpdate>?> NextAsync(Comeback comeback, CancellationToken cancellationToken)
    {
        try
        {
            _call ??= await OpenAsync(cancellationToken).ConfigureAwait(false);
            if (await _call.ResponseStream.MoveNext(cancellationToken).ConfigureAwait(false))
            {
                comeback.Reset();
                return watch.News(_call.ResponseStream.Current);
            }
            return await EndAsync(null, comeback, cancellationToken).ConfigureAwait(false);
        }
        catch (CoordinatorException error)
        {
            return await EndAsync(error, comeback, cancellationToken).ConfigureAwait(false);
        }
    }

    public void Dispose() => _call?.Dispose();

    private async Task<AsyncServerStreamingCall<TUpdate>> OpenAsync(CancellationToken cancellationToken)
    {
        await contract.EnsureAsync(null, cancellationToken).ConfigureAwait(false);
        return watch.Open(new CallOptions(cancellationToken: cancellationToken));
    }

    private async Task<IReadOnlyList<TUpdate>?> EndAsync(
        CoordinatorException? error, Comeback comeback, CancellationToken cancellationToken)
    {
        if (error is null ? watch.SawEnd : watch.IsComplete)
        {
            watch.HasEnded = true;
            return null;
        }
        await comeback.WaitAsync(error ?? watch.Cut(), cancellationToken).ConfigureAwait(false);
        return null;
    }
}
