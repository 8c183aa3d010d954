namespace Coordinator.Orchestrator.Tests.Services;

using System.Diagnostics;
using Coordinator.Processing.V1;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using StatusCode = Grpc.Core.StatusCode;

[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>Sources and meters are of the process: these tests run alone.</summary>
[Collection(nameof(Alone))]
public sealed class MonitoringTests : OrchestratorTest
{
    private const string TraceId = "0af7651916cd43dd8448eb211c80319c";

    private const string Own = "# TYPE coordinator_orchestrator_";

    private static readonly (string, string) Parent = ("traceparent", $"00-{TraceId}-b7ad6b7169203331-01");

    private readonly List<Activity> _spans = [];
    private readonly List<Metric> _metrics = [];

    [Fact]
    public async Task One_trace_goes_from_the_request_to_the_coordinator()
    {
        using var response = await GetAsync("workflows/any", Parent);
        var body = await JsonAsync(response);
        var call = Named("coordinator.processing.v1.ProcessingService/GetProcessingWorkflow");
        var operation = Named("get_processing_workflow");
        var request = Named("GET api/processing/workflows/{workflowId}");

        Assert.Equal(TraceId, (string?)body["traceId"]);
        Assert.Equal($"00-{TraceId}-{call.SpanId}-01", Fake.Headers.Get("traceparent")?.Value);
        Assert.Equal(operation.SpanId, call.ParentSpanId);
        Assert.Equal(request.SpanId, operation.ParentSpanId);
        Assert.Equal("b7ad6b7169203331", request.ParentSpanId.ToString());
        Assert.Equal("any", operation.GetTagItem("coordinator.resource.id"));
    }

    [Fact]
    public async Task An_operation_that_is_refused_is_a_span_in_error_and_an_outcome()
    {
        Fake.Refuse<GetProcessingWorkflowRequest>(StatusCode.NotFound, "WORKFLOW_NOT_FOUND", "no");

        using var response = await GetAsync("workflows/any");
        Services.GetRequiredService<MeterProvider>().ForceFlush();
        var operation = Named("get_processing_workflow");
        var durations = Assert.Single(_metrics, metric => metric.Name == "coordinator.orchestrator.operation.duration");

        Assert.Equal((ActivityStatusCode.Error, "NOT_FOUND"), (operation.Status, operation.GetTagItem("error.type")));
        Assert.Equal(["operation=get_processing_workflow", "outcome=NOT_FOUND"], TagsOf(durations));
    }

    [Fact]
    public async Task Legacy_spellings_are_counted_by_field()
    {
        using var response = await PostAsync("workflows/execute", """{"idWorkflow": "w"}""");
        Services.GetRequiredService<MeterProvider>().ForceFlush();

        var counter = Assert.Single(_metrics, metric => metric.Name == "coordinator.orchestrator.legacy_spellings");
        Assert.Equal(["field=coordinator.processing.v1.PostWorkflowExecuteRequest.workflow_id"], TagsOf(counter));
    }

    [Fact]
    public async Task The_page_for_Prometheus_has_them_under_the_names_of_the_reference()
    {
        Fake.Updates = [new() { Snapshot = new Session { State = SessionState.Succeeded } }];
        using var response = await PostAsync("workflows/execute", """{"idWorkflow": "w"}""");
        using var stream = await GetAsync("sessions/s/events?afterSequence=3");
        await stream.Content.ReadAsByteArrayAsync(Token);
        var page = await Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), Token);

        Assert.Equal(
            ["coordinator_orchestrator_event_streams gauge", "coordinator_orchestrator_legacy_spellings_total counter", "coordinator_orchestrator_operation_duration_seconds histogram"],
            page.Split('\n').Where(line => line.StartsWith(Own, StringComparison.Ordinal)).Select(line => line["# TYPE ".Length..]).Order());
    }

    protected override void Configure(IServiceCollection services) => services.AddOpenTelemetry()
        .WithTracing(tracing => tracing.AddInMemoryExporter(_spans))
        .WithMetrics(metrics => metrics.AddInMemoryExporter(_metrics));

    private Activity Named(string name)
    {
        Activity? found = null;
        Assert.True(SpinWait.SpinUntil(() => (found = Find(name)) is not null, TimeSpan.FromSeconds(10)), name);
        return found!;
    }

    private Activity? Find(string name)
    {
        Services.GetRequiredService<TracerProvider>().ForceFlush();
        return _spans.ToArray().FirstOrDefault(span => span.DisplayName == name);
    }

    private static List<string> TagsOf(Metric metric)
    {
        var tags = new List<string>();
        foreach (ref readonly var point in metric.GetMetricPoints())
        {
            foreach (var tag in point.Tags)
            {
                tags.Add($"{tag.Key}={tag.Value}");
            }
        }
        return tags;
    }
}
