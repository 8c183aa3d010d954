namespace Coordinator.Orchestrator.Streams;

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Coordinator.Orchestrator.Hosting;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Orchestrator.Telemetry;
using Microsoft.AspNetCore.Http.Json;
using Microsoft.Extensions.Options;

/// <summary>Watches as server-sent events.</summary>
internal sealed class EventStream(
    Draining draining,
    OrchestratorTelemetry telemetry,
    TimeProvider clock,
    IOptions<OrchestratorOptions> options,
    IOptions<JsonOptions> json,
    ErrorTranslator translator)
{
    private const string Heartbeat = "heartbeat";
    private const string End = "end";
    private const string Error = "error";

    /// <summary>The reply: 204 where nothing will ever come, else a stream.</summary>
    /// <remarks>The first update is awaited, so that a watch that is refused is a refusal with a status of its own.</remarks>
    /// <param name="context">The request; once its caller has left, the watch ends.</param>
    /// <param name="resourceId">Id of the session or batch.</param>
    /// <param name="after">Only events behind this number.</param>
    /// <param name="watch">Its updates, from the snapshot on; reconnects by itself.</param>
    [SuppressMessage("Reliability", "CA2000", Justification = "The stream that is returned ends it.")]
    public async Task<IResult> OpenAsync(
        HttpContext context, string resourceId, long after, Func<CancellationToken, IAsyncEnumerable<StreamUpdate>> watch)
    {
        var open = new OpenWatch(watch, context.RequestAborted, draining.StreamsEnd);
        await open.StartAsync(options.Value.StreamOpenTimeout, clock);
        if (open.First is { IsEnded: true } && open.First.Sequence == after)
        {
            await open.DisposeAsync();
            return TypedResults.NoContent();
        }
        return TypedResults.ServerSentEvents(ItemsAsync(context.Request.Path, resourceId, open, CancellationToken.None));
    }

    private async IAsyncEnumerable<SseItem<string>> ItemsAsync(
        PathString path, string resourceId, OpenWatch open, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        _ = cancellationToken; // the watch has the token of the request
        telemetry.StreamsChanged(1);
        await using var watch = open;
        using var timer = new PeriodicTimer(options.Value.HeartbeatInterval, clock);
        var beat = timer.WaitForNextTickAsync(CancellationToken.None).AsTask();
        try
        {
            for (var update = open.First; update is not null; update = await open.NextAsync())
            {
                yield return ItemOf(resourceId, update);
                while (!await open.IsNextAtHandAsync(beat))
                {
                    beat = timer.WaitForNextTickAsync(CancellationToken.None).AsTask();
                    yield return new SseItem<string>("{}", Heartbeat);
                }
            }
            if (Last(path, open) is { } last)
            {
                yield return last;
            }
        }
        finally
        {
            telemetry.StreamsChanged(-1);
        }
    }

    /// <summary>What tells why a stream ends; nothing where the caller should come back.</summary>
    private SseItem<string>? Last(PathString path, OpenWatch open) => open switch
    {
        { Failure: { } failure } => new SseItem<string>(Refused(path, failure), Error),
        { EndState: { Length: > 0 } state } => new SseItem<string>($"{{\"state\":\"{state}\"}}", End),
        _ => null,
    };

    private string Refused(PathString path, Exception failure)
    {
        var response = translator.Translate(path, failure).ToResponse() with { TraceId = Activity.Current?.TraceId.ToHexString() };
        return JsonSerializer.Serialize(response, json.Value.SerializerOptions);
    }

    private static SseItem<string> ItemOf(string resourceId, StreamUpdate update)
    {
        var item = new SseItem<string>(MessageJsonConverter.Format(update.Data), update.Event);
        return update.Event == StreamUpdate.Numbered ? item with { EventId = EventId.Of(resourceId, update.Sequence) } : item;
    }
}
