namespace Coordinator.Benchmarks;

using System.Diagnostics;
using Coordinator.Client;
using Coordinator.Processing.V1;
using Grpc.Net.Client;

/// <summary>Unary calls, as fast as the callers can ask.</summary>
internal static class Calls
{
    private const double WarmUpSeconds = 1;

    public static async Task<object> UnaryAsync(bool byClient, string address, string sessionId, double seconds, int callers)
    {
        using var client = CoordinatorClient.Create(address);
        using var channel = GrpcChannel.ForAddress(address);
        var stub = new ProcessingService.ProcessingServiceClient(channel);
        var request = new GetProcessingSessionRequest { SessionId = sessionId };
        Func<Task> call = byClient
            ? () => client.Processing.GetProcessingSessionAsync(request)
            : () => stub.GetProcessingSessionAsync(request).ResponseAsync;
        await LoopAsync(call, WarmUpSeconds, callers);
        var latencies = await LoopAsync(call, seconds, callers);
        return new { calls = latencies.Count, seconds };
    }

    /// <summary>Latencies in seconds.</summary>
    public static async Task<List<double>> LoopAsync(Func<Task> call, double seconds, int callers)
    {
        var start = Stopwatch.GetTimestamp();
        var all = await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(OneAsync)));
        return [.. all.SelectMany(one => one)];

        async Task<List<double>> OneAsync()
        {
            var latencies = new List<double>();
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                var begun = Stopwatch.GetTimestamp();
                await call();
                latencies.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds);
            }
            return latencies;
        }
    }
}
