namespace Coordinator.Client;

using System.Security.Cryptography;
using Grpc.Core;
using Microsoft.Extensions.Logging;

/// <summary>When a broken stream is opened again, and when it is given up.</summary>
/// <remarks>Waits double with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015), or are the server's.</remarks>
internal sealed class Comeback(CoordinatorClientOptions options, ILogger logger)
{
    private int _tries;
    private long _start;

    /// <summary>The stream works again.</summary>
    public void Reset() => _tries = 0;

    /// <summary>Waits for the next try; throws <paramref name="error"/> if it is for good or the window is over.</summary>
    public async Task WaitAsync(CoordinatorException error, CancellationToken cancellationToken)
    {
        if (!IsWorthATry(error))
        {
            throw error;
        }
        var clock = options.TimeProvider;
        _start = _tries == 0 ? clock.GetTimestamp() : _start;
        var delay = error.RetryAfter ?? Jitter();
        if (clock.GetElapsedTime(_start) + delay > options.ReconnectWindow)
        {
            throw error;
        }
        _tries++;
        logger.Reconnecting(_tries, delay.TotalSeconds, error.StatusCode);
        await Task.Delay(delay, clock, cancellationToken).ConfigureAwait(false);
    }

    private static bool IsWorthATry(CoordinatorException error) =>
        error.IsTransient || error.StatusCode == StatusCode.DeadlineExceeded || error is { StatusCode: StatusCode.Cancelled, ReasonName.Length: 0 };

    private TimeSpan Jitter()
    {
        var longest = options.Retry.InitialBackoff * Math.Pow(2, Math.Min(_tries, 30));
        var bound = longest < options.Retry.MaxBackoff ? longest : options.Retry.MaxBackoff;
        return bound * (RandomNumberGenerator.GetInt32(1_000_000) / 1e6);
    }
}
