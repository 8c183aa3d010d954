namespace Coordinator.Orchestrator.Streams;

using Google.Protobuf;

/// <summary>One message of a watch, as it goes out.</summary>
/// <param name="Event">Its kind: <c>snapshot</c>, <c>event</c> or <c>progress</c>.</param>
/// <param name="Data">What it carries.</param>
/// <param name="Sequence">Number of an event, or the last number behind a snapshot; 0 for progress.</param>
/// <param name="State">Name of the state after it; empty for progress.</param>
/// <param name="IsEnded">True if nothing comes behind that state.</param>
internal sealed record StreamUpdate(string Event, IMessage Data, long Sequence, string State, bool IsEnded)
{
    public const string Snapshot = "snapshot";
    public const string Numbered = "event";
    public const string Progress = "progress";
}
