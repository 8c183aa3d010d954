namespace Coordinator.Client;

using Grpc.Core;

/// <summary>Options of one call.</summary>
internal static class Calls
{
    private static readonly TimeSpan Longest = TimeSpan.FromDays(365);

    /// <summary>With a deadline if there is a timeout.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The timeout is infinite.</exception>
    public static CallOptions Options(TimeSpan? timeout, CancellationToken cancellationToken) =>
        new(deadline: timeout is { } wait ? DeadlineIn(wait) : null, cancellationToken: cancellationToken);

    /// <summary>The end of a call that begins now; at most in a year, which is as long as anybody waits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The timeout is infinite.</exception>
    public static DateTime DeadlineIn(TimeSpan timeout) =>
        DateTime.UtcNow + (timeout == Timeout.InfiniteTimeSpan ? throw NoEnd()
            : timeout < TimeSpan.Zero ? TimeSpan.Zero
            : timeout > Longest ? Longest
            : timeout);

    private static ArgumentOutOfRangeException NoEnd() => new("timeout", "every call has an end; give it a longer timeout");
}
