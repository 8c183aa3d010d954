namespace Coordinator.Orchestrator.Telemetry;

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;

/// <summary>Every source, meter, instrument and tag of the orchestrator.</summary>
internal sealed class OrchestratorTelemetry : IDisposable
{
    /// <summary>Name of the activity source and of the meter.</summary>
    public const string Name = "Coordinator.Orchestrator";

    private static readonly double[] Buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly ActivitySource _source = new(Name);
    private readonly Histogram<double> _duration;
    private readonly Counter<long> _legacySpellings;
    private readonly UpDownCounter<long> _openStreams;
    private readonly ILogger<OrchestratorTelemetry> _logger;

    [SuppressMessage("Reliability", "CA2000", Justification = "The factory ends its meters.")]
    public OrchestratorTelemetry(IMeterFactory meters, ILogger<OrchestratorTelemetry> logger)
    {
        _logger = logger;
        var meter = meters.Create(Name);
        var advice = new InstrumentAdvice<double> { HistogramBucketBoundaries = Buckets };
        _duration = meter.CreateHistogram("coordinator.orchestrator.operation.duration", "s", "Time of one operation", null, advice);
        _legacySpellings = meter.CreateCounter<long>("coordinator.orchestrator.legacy_spellings", "{spelling}", "Legacy spellings of fields that were accepted");
        _openStreams = meter.CreateUpDownCounter<long>("coordinator.orchestrator.event_streams", "{stream}", "Event streams that are open");
    }

    /// <summary>The span of one operation; null if nobody listens.</summary>
    public Activity? Start(string operationName, string resourceId) =>
        _source.StartActivity(operationName)?.SetTag("coordinator.resource.id", resourceId);

    /// <summary>Takes down how long an operation took, and how it ended.</summary>
    public void Ended(string operationName, string outcome, TimeSpan elapsed) => _duration.Record(
        elapsed.TotalSeconds,
        new KeyValuePair<string, object?>("operation", operationName),
        new KeyValuePair<string, object?>("outcome", outcome));

    /// <summary>Takes a legacy spelling down.</summary>
    public void LegacySpelling(string field, string path)
    {
        _legacySpellings.Add(1, new KeyValuePair<string, object?>("field", field));
        _logger.LegacySpelling(path, field);
    }

    /// <summary>One more open stream, or one less.</summary>
    public void StreamsChanged(int by) => _openStreams.Add(by);

    public void Dispose() => _source.Dispose();
}
