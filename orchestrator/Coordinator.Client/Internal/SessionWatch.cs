namespace Coordinator.Client;

using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>The watch of a session.</summary>
internal sealed class SessionWatch(
    ProcessingService.ProcessingServiceClient stub, string sessionId, long? afterSequence)
    : Watch<WatchProcessingSessionResponse>(afterSequence)
{
    public override AsyncServerStreamingCall<WatchProcessingSessionResponse> Open(CallOptions options)
    {
        var request = new WatchProcessingSessionRequest { SessionId = sessionId, GroupedEvents = true };
        if (Position is { } position)
        {
            request.AfterSequence = position;
        }
        return stub.WatchProcessingSession(request, options);
    }

    public override IReadOnlyList<WatchProcessingSessionResponse> News(WatchProcessingSessionResponse update) =>
        update.UpdateCase switch
        {
            WatchProcessingSessionResponse.UpdateOneofCase.EventGroup => [.. update.EventGroup.Events.Where(IsNew).Select(Single)],
            WatchProcessingSessionResponse.UpdateOneofCase.Event => IsNew(update.Event) ? [update] : [],
            WatchProcessingSessionResponse.UpdateOneofCase.Snapshot => IsNew(update.Snapshot) ? [update] : [],
            WatchProcessingSessionResponse.UpdateOneofCase.SessionProgress => [update],
            _ => [],
        };

    public override CoordinatorException Cut() =>
        new(StatusCode.Unavailable, $"the watch of session '{sessionId}' ended before the session did");

    private static WatchProcessingSessionResponse Single(SessionEvent one) => new() { Event = one };

    private bool IsNew(SessionEvent one) => Event(one.Sequence, one.Kind == EventKind.SessionEnded);

    private bool IsNew(Session snapshot) => Snapshot(snapshot.LastSequence, SessionStates.IsTerminal(snapshot.State));
}
