namespace Coordinator.Orchestrator.Streams;

using Coordinator.Client;
using Coordinator.Processing.V1;
using Google.Protobuf;

/// <summary>Watches of sessions and of batches as the same kind of updates.</summary>
internal static class StreamUpdates
{
    /// <summary>A session's; a group of events becomes its events.</summary>
    public static IEnumerable<StreamUpdate> Of(WatchProcessingSessionResponse update) => update.UpdateCase switch
    {
        WatchProcessingSessionResponse.UpdateOneofCase.Snapshot => [OfSnapshot(update.Snapshot)],
        WatchProcessingSessionResponse.UpdateOneofCase.Event => [OfEvent(update.Event)],
        WatchProcessingSessionResponse.UpdateOneofCase.EventGroup => update.EventGroup.Events.Select(OfEvent),
        WatchProcessingSessionResponse.UpdateOneofCase.SessionProgress => [OfProgress(update.SessionProgress)],
        _ => [],
    };

    /// <summary>A batch's.</summary>
    public static IEnumerable<StreamUpdate> Of(WatchProcessingBatchResponse update) => update.UpdateCase switch
    {
        WatchProcessingBatchResponse.UpdateOneofCase.Snapshot => [OfSnapshot(update.Snapshot)],
        WatchProcessingBatchResponse.UpdateOneofCase.Event => [OfEvent(update.Event)],
        WatchProcessingBatchResponse.UpdateOneofCase.BatchProgress => [OfProgress(update.BatchProgress)],
        _ => [],
    };

    private static StreamUpdate OfSnapshot(Session session) =>
        new(StreamUpdate.Snapshot, session, session.LastSequence, NameOf(session, "state"), session.State.IsTerminal());

    private static StreamUpdate OfSnapshot(Batch batch) =>
        new(StreamUpdate.Snapshot, batch, batch.LastSequence, NameOf(batch, "state"), batch.State.IsTerminal());

    private static StreamUpdate OfEvent(SessionEvent one) =>
        new(StreamUpdate.Numbered, one, one.Sequence, NameOf(one, "session_state"), one.Kind == EventKind.SessionEnded);

    private static StreamUpdate OfEvent(BatchEvent one) =>
        new(StreamUpdate.Numbered, one, one.Sequence, NameOf(one, "batch_state"), one.Kind == BatchEventKind.BatchEnded);

    private static StreamUpdate OfProgress(IMessage progress) => new(StreamUpdate.Progress, progress, 0, "", false);

    /// <summary>Name of an enum's value as JSON has it.</summary>
    private static string NameOf(IMessage message, string fieldName)
    {
        var field = message.Descriptor.FindFieldByName(fieldName);
        return field.EnumType.FindValueByNumber((int)field.Accessor.GetValue(message))?.Name ?? "";
    }
}
