namespace Coordinator.Orchestrator.Telemetry;

using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

/// <summary>Where spans, metrics and log lines go.</summary>
internal static class TelemetrySetup
{
    private const string OtlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// <summary>Metrics to scrape, spans to the collector that the environment names, log lines as JSON outside of development.</summary>
    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var toCollector = !string.IsNullOrEmpty(builder.Configuration[OtlpEndpoint]);
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("coordinator-orchestrator"))
            .WithTracing(tracing => Configure(tracing, toCollector))
            .WithMetrics(metrics => metrics
                .AddMeter(OrchestratorTelemetry.Name, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel")
                .AddRuntimeInstrumentation()
                .AddPrometheusExporter());
        AddLogs(builder);
    }

    /// <summary>Request, operation and call: a chain whose every link is exported, so that the coordinator's spans hang on it.</summary>
    private static void Configure(TracerProviderBuilder tracing, bool toCollector)
    {
        tracing.AddAspNetCoreInstrumentation(options => options.Filter = context => context.Request.Path.StartsWithSegments("/api"))
            .AddSource(OrchestratorTelemetry.Name)
            .AddGrpcClientInstrumentation();
        if (toCollector)
        {
            tracing.AddOtlpExporter();
        }
    }

    private static void AddLogs(WebApplicationBuilder builder)
    {
        builder.Logging.Configure(options => options.ActivityTrackingOptions = ActivityTrackingOptions.TraceId | ActivityTrackingOptions.SpanId);
        if (!builder.Environment.IsDevelopment())
        {
            builder.Logging.ClearProviders().AddJsonConsole(options => options.IncludeScopes = true);
        }
    }
}
