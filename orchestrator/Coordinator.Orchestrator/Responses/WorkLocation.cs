namespace Coordinator.Orchestrator.Responses;

using Google.Protobuf;

/// <summary>Where the work of a request can be read if no answer comes that says so.</summary>
internal static class WorkLocation
{
    /// <summary>Route of the session, or of the batch, that the request names; null if it names none.</summary>
    public static string? Of(IMessage request) => Named(request, "session_id", "sessions") ?? Named(request, "batch_id", "batches");

    private static string? Named(IMessage request, string fieldName, string collection) =>
        request.Descriptor.FindFieldByName(fieldName)?.Accessor.GetValue(request) is string { Length: > 0 } id
            ? $"/api/processing/{collection}/{Uri.EscapeDataString(id)}"
            : null;
}
