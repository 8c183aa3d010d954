namespace Coordinator.Orchestrator.Benchmarks;

using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

/// <summary>What readers of event streams saw, all of one session.</summary>
/// <param name="Readers">How many.</param>
/// <param name="Complete">Those that saw the events 1 to n, each once and in order, and the end.</param>
/// <param name="Events">Events of the reader that saw most.</param>
internal sealed record Streams(
    [property: JsonPropertyName("readers")] int Readers,
    [property: JsonPropertyName("complete")] int Complete,
    [property: JsonPropertyName("events")] int Events)
{
    /// <summary>Opens all, says `open` once each has its snapshot, and reads them to their end.</summary>
    [SuppressMessage("Reliability", "CA2025", Justification = "All readers are awaited before the end.")]
    public static async Task<Streams> ReadAsync(Uri routes, string session, int count)
    {
        using var client = new HttpClient { BaseAddress = routes, Timeout = Timeout.InfiniteTimeSpan };
        using var open = new CountdownEvent(count);
        var reading = Task.WhenAll(Enumerable.Range(0, count).Select(_ => ReadAsync(client, session, open)));
        await Task.WhenAny(reading, Task.Run(open.Wait));
        await Console.Out.WriteLineAsync("open");
        await Console.Out.FlushAsync();
        var seen = await reading;
        var most = seen.Max();
        return new Streams(count, seen.Count(events => events == most && most > 0), most);
    }

    /// <summary>How many events it saw; -1 if there was a gap, a duplicate, or no end.</summary>
    private static async Task<int> ReadAsync(HttpClient client, string session, CountdownEvent open)
    {
        using var response = await client.GetAsync(new Uri($"sessions/{session}/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        response.EnsureSuccessStatusCode();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(), bufferSize: 1024);
        open.Signal();
        var (events, ended) = (0, false);
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal) && line != $"id: {session}:{++events}")
            {
                return -1;
            }
            ended |= line == "event: end";
        }
        return ended ? events : -1;
    }
}
