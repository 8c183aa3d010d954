namespace Coordinator.Benchmarks;

using Coordinator.Client;

/// <summary>Watches, and calls beside them.</summary>
internal static class Watches
{
    public static async Task<object> BesideAsync(string address, string sessionId, double seconds, int watches)
    {
        using var client = CoordinatorClient.Create(address);
        var open = Enumerable.Range(0, watches)
            .Select(_ => client.Processing.Session(sessionId).WatchAsync().GetAsyncEnumerator()).ToList();
        await Task.WhenAll(open.Select(watch => watch.MoveNextAsync().AsTask()));
        Func<Task> call = () => client.Processing.GetProcessingSessionAsync(new() { SessionId = sessionId });
        await Calls.LoopAsync(call, 1, 1);
        var latencies = await Calls.LoopAsync(call, seconds, 1);
        await Task.WhenAll(open.Select(watch => watch.DisposeAsync().AsTask()));
        latencies.Sort();
        return new { calls = latencies.Count, p50 = At(latencies, 0.5), p99 = At(latencies, 0.99) };
    }

    public static async Task<object> FollowAsync(string address, string sessionId)
    {
        using var client = CoordinatorClient.Create(address);
        await client.WaitForReadyAsync();
        var sequences = new List<long>();
        await foreach (var update in client.Processing.Session(sessionId).WatchAsync(0))
        {
            if (update.Event is { } one)
            {
                sequences.Add(one.Sequence);
            }
        }
        return new { sequences };
    }

    private static double At(List<double> sorted, double part) => sorted[(int)(part * (sorted.Count - 1))];
}
