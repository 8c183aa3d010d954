namespace Coordinator.Orchestrator.OpenApi;

using Coordinator.Orchestrator.Controllers;
using Coordinator.Orchestrator.Streams;
using Microsoft.OpenApi;

/// <summary>Headers and queries that routes read for themselves, so that the framework does not know of them.</summary>
internal static class PlainParameters
{
    /// <summary>Those of a route, by what it changes and what it gives.</summary>
    public static IEnumerable<OpenApiParameter> Of(string httpMethod, string path, MediaAttribute? media) => media switch
    {
        { Reply: "text/event-stream" } =>
        [
            Header(EventId.Header, "Id of the last event that was seen; the stream goes on behind it."),
            Parameter(EventId.Query, ParameterLocation.Query, "Number of the last event that was seen, where there is no id of one."),
        ],
        { Reply.Length: > 0 } => [Header("Range", "Where to go on: bytes=N-.")],
        { Request.Length: > 0 } => [],
        _ when httpMethod == "GET" || path.EndsWith("/plan", StringComparison.Ordinal) => [],
        _ => [Header(Idempotency.Header, "The request_id: the same request with the same key is done once. One is made where there is none.")],
    };

    private static OpenApiParameter Header(string name, string text) => Parameter(name, ParameterLocation.Header, text);

    private static OpenApiParameter Parameter(string name, ParameterLocation place, string text) =>
        new() { Name = name, In = place, Description = text, Schema = new OpenApiSchema { Type = JsonSchemaType.String } };
}
