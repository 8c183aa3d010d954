namespace Coordinator.Client;

/// <summary>
/// Tries of calls that are safe to repeat: reads, and calls that carry a <c>request_id</c>, which the client makes if the
/// caller did not. The server's own delay goes before these.
/// </summary>
public sealed class RetryOptions
{
    /// <summary>Most tries of one call, 1 to 5, the first included. Default: 4.</summary>
    public int MaxAttempts { get; set; } = 4;

    /// <summary>Longest wait before the second try; each wait is a random part of it. Default: 0.2 seconds.</summary>
    public TimeSpan InitialBackoff { get; set; } = TimeSpan.FromSeconds(0.2);

    /// <summary>Longest wait before any try; waits double until then. Default: 5 seconds.</summary>
    public TimeSpan MaxBackoff { get; set; } = TimeSpan.FromSeconds(5);
}
