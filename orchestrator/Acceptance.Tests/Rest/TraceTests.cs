namespace Coordinator.Acceptance.Tests.Rest;

using Xunit;

/// <summary>Web API, coordinator and a domain that runs apart export to one collector, each from its own process.</summary>
public sealed class TraceTests
{
    private const string TraceId = "0af7651916cd43dd8448eb211c80319c";
    private const string Caller = "b7ad6b7169203331";
    private const string Execute = "coordinator.processing.v1.ProcessingService/PostWorkflowExecute";
    private const string Handler = "coordinator.postprocessing.v1.PostprocessingService/PostPostprocessingExecute";
    private const string Step = "step postprocessing.post_postprocessing_execute";
    private const string Variable = "PROCESSING_SERVICE__";
    private const int Echoes = 3;

    /// <summary>From the request to the handler of a step in the domain; a call has a span on either side.</summary>
    private static readonly string[] Way =
        ["POST api/processing/workflows/execute", "post_workflow_execute", Execute, Execute, "session three-echoes", Step, Handler];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_trace_goes_from_the_request_to_the_step_in_the_domain()
    {
        await using var collector = await SpanCollector.StartAsync();
        await using var domain = Tracing(collector, ("ONLY", "postprocessing"));
        await domain.StartAsync();
        await using var coordinator = Tracing(collector, ("POSTPROCESSING_ADDRESS", domain.Address["http://".Length..]));
        await coordinator.StartAsync();
        await using var api = new WebApi(coordinator.Address, ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Address));
        await api.PutAsync("three-echoes");

        using var response = await api.PostAsync("workflows/execute", """{"workflowId": "three-echoes"}""", ("traceparent", $"00-{TraceId}-{Caller}-01"));
        var reply = await WebApi.JsonAsync(response);
        var spans = await collector.TakeAsync(TraceId, Way.Length + (2 * (Echoes - 1)), Token).WaitAsync(TimeSpan.FromMinutes(2), Token);

        Assert.Equal(TraceId, (string?)reply["traceId"]);
        var handlers = spans.Where(span => span.Name == Handler).ToList();
        Assert.Equal(Echoes, handlers.Count);
        Assert.All(handlers, handler => Assert.Equal([Caller, .. Way], WayTo(handler, spans)));
    }

    private static CoordinatorProcess Tracing(SpanCollector collector, (string Key, string Value) setting) => new()
    {
        Environment =
        {
            [Variable + "TELEMETRY__TRACES__EXPORTER"] = "otlp",
            [Variable + "TELEMETRY__TRACES__ENDPOINT"] = collector.Address,
            [Variable + setting.Key] = setting.Value,
        },
    };

    /// <summary>The names from the first span to this one, behind the id of the parent that nobody exported.</summary>
    private static IEnumerable<string> WayTo(ExportedSpan span, IReadOnlyList<ExportedSpan> all) =>
        all.SingleOrDefault(one => one.SpanId == span.ParentSpanId) is { } parent
            ? WayTo(parent, all).Append(span.Name)
            : [span.ParentSpanId, span.Name];
}
