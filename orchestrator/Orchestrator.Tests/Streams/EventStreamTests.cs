namespace Coordinator.Orchestrator.Tests.Streams;

using System.Net;
using System.Text.Json.Nodes;
using Coordinator.Orchestrator.Telemetry;
using Coordinator.Processing.V1;
using Grpc.Core;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

public sealed class EventStreamTests : OrchestratorTest
{
    private const string Route = "sessions/s/events";

    private readonly FakeTimeProvider _clock = new();
    private readonly KeptLog _log = new();

    [Fact]
    public async Task Events_have_ids_and_the_rest_has_none()
    {
        Fake.Updates = [Snapshot(0), Event(1), Progress(), Event(2, EventKind.SessionEnded)];

        using var response = await GetAsync(Route);
        var events = await ReadAllAsync(response);

        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(["snapshot", "event", "progress", "event", "end"], events.Select(one => one.Kind));
        Assert.Equal(["", "s:1", "", "s:2", ""], events.Select(one => one.Id));
        Assert.Equal("""{"state":"SESSION_STATE_SUCCEEDED"}""", events[^1].Data);
    }

    [Theory]
    [InlineData("s:4", 4)]
    [InlineData("s:0", 0)]
    public async Task A_stream_goes_on_behind_the_last_event(string last, long after)
    {
        Fake.Updates = [Snapshot(9), Event(after + 1, EventKind.SessionEnded)];

        using var response = await GetAsync(Route, ("Last-Event-ID", last));
        await ReadAllAsync(response);

        Assert.Equal(after, Assert.IsType<WatchProcessingSessionRequest>(Assert.Single(Fake.Requests)).AfterSequence);
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("s:")]
    [InlineData("s:-1")]
    [InlineData("s:99999999999999999999")]
    [InlineData("other:4")]
    public async Task An_id_that_is_garbage_or_of_another_stream_is_refused(string last)
    {
        using var response = await GetAsync(Route, ("Last-Event-ID", last));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("Last-Event-ID", (string?)(await JsonAsync(response))["error"]!["fields"]![0]!["field"]);
        Assert.Empty(Fake.Requests);
    }

    [Theory]
    [InlineData("?after_sequence=4", "FIELD_UNKNOWN")]
    [InlineData("?afterSequence=-4", "FIELD_INVALID")]
    public async Task A_parameter_that_is_wrong_or_unknown_is_refused(string query, string reason)
    {
        using var response = await GetAsync(Route + query);

        Assert.Equal(reason, (string?)(await JsonAsync(response))["error"]!["reason"]);
        Assert.Empty(Fake.Requests);
    }

    [Fact]
    public async Task Where_nothing_will_come_there_is_no_content()
    {
        Fake.Updates = [Snapshot(8, SessionState.Succeeded)];

        using var response = await GetAsync(Route, ("Last-Event-ID", "s:8"));

        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
    }

    [Fact]
    public async Task A_client_that_leaves_cancels_the_watch_of_the_coordinator()
    {
        (Fake.Updates, Fake.WatchEnds) = ([Snapshot(0)], false);
        var response = await GetAsync(Route);
        await ReadLineAsync(response);

        response.Dispose();

        await Fake.WatchCancelled.Task.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task A_coordinator_that_tells_nothing_is_not_waited_for_in_silence()
    {
        Fake.WatchEnds = false;
        var asking = GetAsync(Route);
        while (!asking.IsCompleted)
        {
            _clock.Advance(TimeSpan.FromSeconds(1));
            await Task.WhenAny(asking, Task.Delay(5, Token));
        }

        using var response = await asking;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
        await Fake.WatchCancelled.Task.WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    [Fact]
    public async Task A_silent_stream_has_heartbeats_without_an_id()
    {
        (Fake.Updates, Fake.WatchEnds) = ([Snapshot(0)], false);
        using var response = await GetAsync(Route);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Token));
        var kinds = new List<string>();

        while (kinds.Count(kind => kind == "heartbeat") < 2)
        {
            var line = reader.ReadLineAsync(Token).AsTask();
            while (!line.IsCompleted)
            {
                _clock.Advance(TimeSpan.FromSeconds(15));
                await Task.WhenAny(line, Task.Delay(5, Token));
            }
            kinds.AddRange((await line)!.StartsWith("event: ", StringComparison.Ordinal) ? [(await line)!["event: ".Length..]] : []);
        }

        Assert.Equal("snapshot", kinds[0]);
        Assert.All(kinds.Skip(1), kind => Assert.Equal("heartbeat", kind));
    }

    [Fact]
    public async Task What_breaks_a_stream_behind_its_beginning_is_its_last_event()
    {
        Fake.Updates = [Snapshot(0), new WatchProcessingSessionResponse { Event = new SessionEvent { Sequence = 1 } }];
        Fake.AfterUpdates = FakeCoordinator.Refusal(StatusCode.NotFound, "SESSION_NOT_FOUND", "it was deleted");

        using var response = await GetAsync(Route);
        var last = (await ReadAllAsync(response))[^1];

        Assert.Equal("error", last.Kind);
        Assert.Contains("SESSION_NOT_FOUND", last.Data, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_of_the_orchestrator_that_is_refused_is_not_the_readers()
    {
        Fake.Updates = [Snapshot(0)];
        Fake.AfterUpdates = FakeCoordinator.Refusal(StatusCode.Unauthenticated, "UNAUTHENTICATED", "secret of the peer");

        using var response = await GetAsync(Route);
        var last = (await ReadAllAsync(response))[^1];

        Assert.Equal("error", last.Kind);
        Assert.DoesNotContain("secret", last.Data, StringComparison.Ordinal);
        Assert.Contains("TokenFile", last.Data, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_fault_in_a_stream_is_logged_under_the_trace_that_its_reader_is_told()
    {
        Fake.Updates = [Snapshot(0)];
        Fake.AfterUpdates = FakeCoordinator.Refusal(StatusCode.Internal, "INTERNAL", "secret of the peer");

        using var response = await GetAsync(Route);
        var last = (await ReadAllAsync(response))[^1];

        Assert.Equal(32, ((string)JsonNode.Parse(last.Data)!["traceId"]!).Length);
        var line = Assert.Single(_log.Lines, line => line.Id.Name == nameof(Log.Fault));
        Assert.Contains(Route, line.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_ends_cleanly_and_without_an_end_when_the_host_stops()
    {
        (Fake.Updates, Fake.WatchEnds) = ([Snapshot(0)], false);
        var response = await GetAsync(Route);
        var reading = ReadAllAsync(response);

        var stopping = Services.GetRequiredService<IHost>().StopAsync(Token);

        Assert.Equal(["snapshot"], (await reading).Select(one => one.Kind));
        await stopping;
    }

    protected override void Configure(IWebHostBuilder builder) => builder.ConfigureLogging(logging => logging.AddProvider(_log));

    protected override void Configure(IServiceCollection services) => services.AddSingleton<TimeProvider>(_clock);

    private static WatchProcessingSessionResponse Snapshot(long last, SessionState state = SessionState.Running) =>
        new() { Snapshot = new Session { SessionId = "s", LastSequence = last, State = state } };

    private static WatchProcessingSessionResponse Event(long sequence, EventKind kind = EventKind.StepStarted) =>
        new()
        {
            Event = new SessionEvent
            {
                Sequence = sequence,
                Kind = kind,
                SessionState = kind == EventKind.SessionEnded ? SessionState.Succeeded : SessionState.Running,
            },
        };

    private static WatchProcessingSessionResponse Progress() => new() { SessionProgress = new SessionProgress { Fraction = 0.5 } };

    private static async Task ReadLineAsync(HttpResponseMessage response)
    {
        var first = new byte[1];
        await (await response.Content.ReadAsStreamAsync(Token)).ReadExactlyAsync(first, Token);
    }

    private static async Task<List<(string Kind, string Id, string Data)>> ReadAllAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(Token);
        return [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(Parse)];
    }

    private static (string Kind, string Id, string Data) Parse(string block)
    {
        var lines = block.Split('\n').ToLookup(line => line[..line.IndexOf(':', StringComparison.Ordinal)], line => line[(line.IndexOf(':', StringComparison.Ordinal) + 2)..]);
        return (lines["event"].Single(), lines["id"].SingleOrDefault(""), string.Join('\n', lines["data"]));
    }
}
