namespace Coordinator.Client.Tests;

using Coordinator.Processing.V1;

/// <summary>Updates of a session's watch.</summary>
public static class Updates
{
    public static WatchProcessingSessionResponse Snapshot(long lastSequence, SessionState state = SessionState.Running) =>
        new() { Snapshot = new Session { LastSequence = lastSequence, State = state } };

    public static WatchProcessingSessionResponse Event(long sequence, bool isEnd = false) =>
        new() { Event = One(sequence, isEnd) };

    public static WatchProcessingSessionResponse Group(params long[] sequences) =>
        new() { EventGroup = new SessionEventGroup { Events = { sequences.Select(sequence => One(sequence, false)) } } };

    private static SessionEvent One(long sequence, bool isEnd) =>
        new() { Sequence = sequence, Kind = isEnd ? EventKind.SessionEnded : EventKind.StepStarted };
}
