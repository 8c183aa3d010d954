namespace Coordinator.Orchestrator.Streams;

using System.Globalization;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Json;

/// <summary>Where a stream goes on: ids of server-sent events are <c>resource:sequence</c>.</summary>
internal static class EventId
{
    /// <summary>Header with the id of the last event that a browser saw.</summary>
    public const string Header = "Last-Event-ID";

    /// <summary>Name of the query with the number alone.</summary>
    public const string Query = "afterSequence";

    /// <summary>The id of one event.</summary>
    public static string Of(string resourceId, long sequence) => string.Create(CultureInfo.InvariantCulture, $"{resourceId}:{sequence}");

    /// <summary>The number behind which a stream of that resource starts: of the header, else of the query, else 0.</summary>
    /// <exception cref="RequestRefusedException">If it is garbage, the id of another resource, or under another name.</exception>
    public static long After(HttpRequest request, string resourceId)
    {
        CheckNames(request.Query.Keys);
        var last = request.Headers[Header].ToString();
        if (last.Length > 0)
        {
            return AfterId(last, resourceId);
        }
        var query = request.Query[Query].ToString();
        return query.Length == 0 ? 0 : Number(query) ?? throw Refused(Query, $"expected a number from 0, not '{Cut(query)}'");
    }

    /// <summary>A misspelled name would start the stream anew, and the reader would have events twice.</summary>
    private static void CheckNames(IEnumerable<string> given)
    {
        if (given.FirstOrDefault(name => !name.Equals(Query, StringComparison.OrdinalIgnoreCase)) is { } unknown)
        {
            throw new RequestRefusedException([new FieldFault(ErrorReason.FieldUnknown, Cut(unknown), "an event stream takes no such parameter", Query)]);
        }
    }

    private static long AfterId(string id, string resourceId)
    {
        var colon = id.LastIndexOf(':');
        var number = colon < 0 ? null : Number(id[(colon + 1)..]);
        if (number is null)
        {
            throw Refused(Header, $"expected '{resourceId}:' and a number, not '{Cut(id)}'; leave it out to start anew");
        }
        return id[..colon] == resourceId
            ? number.Value
            : throw Refused(Header, $"'{Cut(id)}' is an event of another stream than '{resourceId}'; leave it out to start anew");
    }

    private static long? Number(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static RequestRefusedException Refused(string path, string description) =>
        new([new FieldFault(ErrorReason.FieldInvalid, path, description)]);

    private static string Cut(string text) => text.Length > 64 ? text[..64] + "..." : text;
}
