namespace Coordinator.Orchestrator.Json;

using Coordinator.Orchestrator.Telemetry;

/// <summary>What a reply has to say of its request beside the result.</summary>
internal sealed class RequestNotes(OrchestratorTelemetry telemetry)
{
    private readonly List<string> _warnings = [];

    /// <summary>One sentence for each legacy spelling; null if there was none.</summary>
    public IReadOnlyList<string>? Warnings => _warnings.Count > 0 ? _warnings : null;

    /// <summary>The request_id of the request; empty if it changes nothing.</summary>
    public string IdempotencyKey { get; set; } = "";

    /// <summary>Where the work of the request can be read; null if it changes nothing, or names nothing.</summary>
    public string? WorkLocation { get; set; }

    /// <summary>Takes legacy spellings down, in the reply, the log and the metrics.</summary>
    public void Add(IReadOnlyList<LegacySpelling> legacy)
    {
        foreach (var spelling in legacy)
        {
            _warnings.Add(spelling.Warning);
            telemetry.LegacySpelling(spelling.Field, spelling.Path);
        }
    }
}
