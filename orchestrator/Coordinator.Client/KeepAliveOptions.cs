namespace Coordinator.Client;

/// <summary>Pings on connections that have calls.</summary>
public sealed class KeepAliveOptions
{
    /// <summary>
    /// Silence before a ping. The coordinator takes one each 10 seconds and ends the connection of who sends more, so
    /// less is refused. Default: 20 seconds.
    /// </summary>
    public TimeSpan Delay { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Longest wait for the answer to a ping; then the connection is dead. Default: 10 seconds.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(10);
}
