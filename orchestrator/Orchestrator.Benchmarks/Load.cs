namespace Coordinator.Orchestrator.Benchmarks;

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Serialization;

/// <summary>What callers did that each do one operation after the other.</summary>
internal sealed record Load(
    [property: JsonPropertyName("operations")] int Operations,
    [property: JsonPropertyName("seconds")] double Seconds,
    [property: JsonPropertyName("p50")] double P50)
{
    /// <summary>For some time.</summary>
    public static Task<Load> ForAsync(int callers, TimeSpan time, Func<Task> operation)
    {
        var end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
        return RunAsync(callers, () => Stopwatch.GetTimestamp() < end, operation);
    }

    /// <summary>Until all together did so many.</summary>
    public static Task<Load> OfAsync(int callers, int count, Func<Task> operation)
    {
        var begun = 0;
        return RunAsync(callers, () => Interlocked.Increment(ref begun) <= count, operation);
    }

    private static async Task<Load> RunAsync(int callers, Func<bool> goesOn, Func<Task> operation)
    {
        var latencies = new ConcurrentBag<double>();
        var started = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(() => CallAsync(goesOn, operation, latencies))));
        var sorted = latencies.Order().ToList();
        return new Load(sorted.Count, Stopwatch.GetElapsedTime(started).TotalSeconds, sorted[sorted.Count / 2]);
    }

    private static async Task CallAsync(Func<bool> goesOn, Func<Task> operation, ConcurrentBag<double> latencies)
    {
        while (goesOn())
        {
            var started = Stopwatch.GetTimestamp();
            await operation();
            latencies.Add(Stopwatch.GetElapsedTime(started).TotalSeconds);
        }
    }
}
