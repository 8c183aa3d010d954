namespace Coordinator.Orchestrator.Streams;

using Coordinator.Client;
using Grpc.Core;

/// <summary>A watch that is under way: its next update, and why there is none.</summary>
internal sealed class OpenWatch : IAsyncDisposable
{
    private readonly CancellationTokenSource _ending;
    private readonly IAsyncEnumerator<StreamUpdate> _updates;
    private Task<bool>? _pending;

    /// <summary>A watch that is yet to be started.</summary>
    public OpenWatch(Func<CancellationToken, IAsyncEnumerable<StreamUpdate>> watch, CancellationToken aborted, CancellationToken draining)
    {
        _ending = CancellationTokenSource.CreateLinkedTokenSource(aborted, draining);
        _updates = watch(_ending.Token).GetAsyncEnumerator(_ending.Token);
    }

    /// <summary>What broke the watch; null if nothing did.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>State in which what is watched has ended; empty if it has not.</summary>
    public string EndState { get; private set; } = "";

    /// <summary>The first update; null if there is none.</summary>
    public StreamUpdate? First { get; private set; }

    /// <summary>Waits for the first update; throws what refuses the watch, which has then ended.</summary>
    /// <remarks>Behind it a lost coordinator is waited for; before it nobody would know why nothing comes.</remarks>
    public async Task StartAsync(TimeSpan longest, TimeProvider clock)
    {
        try
        {
            _pending = _updates.MoveNextAsync().AsTask();
            First = await _pending.WaitAsync(longest, clock) ? Taken() : null;
            _pending = null;
        }
        catch (TimeoutException error)
        {
            await DisposeAsync();
            throw new CoordinatorException(StatusCode.Unavailable, "the coordinator does not tell where it stands; ask again", error);
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    /// <summary>True once <see cref="NextAsync"/> will not wait; false if the beat came first.</summary>
    public async Task<bool> IsNextAtHandAsync(Task beat)
    {
        _pending ??= _updates.MoveNextAsync().AsTask();
        return await Task.WhenAny(_pending, beat) == _pending;
    }

    /// <summary>The next update; null if there is none, whatever the cause.</summary>
    public async Task<StreamUpdate?> NextAsync()
    {
        var next = _pending ?? _updates.MoveNextAsync().AsTask();
        _pending = null;
        try
        {
            return await next ? Taken() : null;
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            return null; // the caller has left, or the host stops
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Failure = error;
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await DrainAsync();
        await _updates.DisposeAsync();
        _ending.Dispose();
    }

    /// <summary>An enumerator cannot be disposed while it is asked.</summary>
    private async Task DrainAsync()
    {
        if (_pending is { } last)
        {
            _pending = null;
            await last.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private StreamUpdate Taken()
    {
        var update = _updates.Current;
        EndState = update.IsEnded ? update.State : update.State.Length > 0 ? "" : EndState;
        return update;
    }
}
