namespace Coordinator.Client;

using Grpc.Core;

/// <summary>What is watched, and what was seen of its events.</summary>
internal abstract class Watch<TUpdate>(long? afterSequence)
    where TUpdate : class
{
    private long? _last;

    /// <summary>Whether there is nothing more to wait for.</summary>
    public bool HasEnded { get; set; }

    /// <summary>Whether the last thing that was seen is the end.</summary>
    public bool SawEnd { get; private set; }

    /// <summary>Whether the end was seen and every event before it.</summary>
    public bool IsComplete => SawEnd && Position >= _last;

    /// <summary>Number of the last event that was seen, or asked to begin behind; null before the snapshot.</summary>
    protected long? Position { get; private set; } = afterSequence;

    /// <summary>Opens a connection behind the position.</summary>
    public abstract AsyncServerStreamingCall<TUpdate> Open(CallOptions options);

    /// <summary>Takes note of an update, and gives what of it the caller has not had.</summary>
    public abstract IReadOnlyList<TUpdate> News(TUpdate update);

    /// <summary>The error of a stream that ended too early.</summary>
    public abstract CoordinatorException Cut();

    /// <summary>Only the first snapshot is news: behind a reconnection the events tell the rest.</summary>
    protected bool Snapshot(long lastSequence, bool isEnd)
    {
        var isFirst = _last is null;
        _last = lastSequence;
        Position ??= lastSequence;
        SawEnd = isEnd;
        return isFirst;
    }

    /// <summary>False for an event that the caller has had.</summary>
    protected bool Event(long sequence, bool isEnd)
    {
        if (sequence <= Position)
        {
            return false;
        }
        Position = sequence;
        SawEnd = isEnd;
        return true;
    }
}
