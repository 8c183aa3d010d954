namespace Coordinator.Orchestrator.Hosting;

using System.ComponentModel.DataAnnotations;

/// <summary>Section <c>Orchestrator</c> of the configuration.</summary>
internal sealed class OrchestratorOptions
{
    public const string Section = "Orchestrator";

    /// <summary>
    /// Largest body of a request that is JSON, in bytes: a message of 4 MiB whose bytes are base64. All texts of a form have
    /// as many characters.
    /// </summary>
    [Range(1024, 1 << 30)]
    public long MaxBodyBytes { get; set; } = 6 << 20;

    /// <summary>Largest body of a request that carries content, in bytes; it is streamed.</summary>
    [Range(1024, long.MaxValue)]
    public long MaxContentBytes { get; set; } = 257 << 20;

    /// <summary>Requests at once, event streams not counted; one more is 503 with Retry-After.</summary>
    [Range(1, 1_000_000)]
    public int MaxInFlight { get; set; } = 1024;

    /// <summary>How long a reader of events waits for the first before it is told that the coordinator does not answer.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "01:00:00")]
    public TimeSpan StreamOpenTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Time between two heartbeats of an event stream.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "01:00:00")]
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>Time between the end of readiness and the end of streams when the process is told to stop.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:10:00")]
    public TimeSpan DrainDelay { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Shows the coordinator the bearer token of the caller, or none, instead of one of the orchestrator.</summary>
    public bool ForwardToken { get; set; }

    /// <summary>
    /// File with the token of the orchestrator, read for each call; empty for none. Where tokens are forwarded it is shown
    /// only to find out whether the coordinator is ready.
    /// </summary>
    public string TokenFile { get; set; } = "";

    /// <summary>Serves a page to try the routes, at <c>/scalar</c>.</summary>
    public bool TryPage { get; set; }
}
