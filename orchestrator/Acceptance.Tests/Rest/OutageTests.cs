namespace Coordinator.Acceptance.Tests.Rest;

using System.Net;
using System.Text;
using Xunit;

/// <summary>A coordinator that is down, comes back, is slow, of another version, or has more to do than it takes.</summary>
public sealed class OutageTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_coordinator_that_is_down_is_503_and_a_stream_does_not_see_its_restart()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var api = new WebApi(coordinator.Address, ("Coordinator:Retry:MaxAttempts", "1"));
        await api.PutAsync("three-echoes");
        using var started = await api.PostAsync("workflows/execute", """{"workflowId": "three-echoes", "sessionId": "watched", "background": true, "parameters": {"delay_seconds": "1s"}}""");
        using var stream = await api.GetAsync("sessions/watched/events");
        var reading = stream.Content.ReadAsStringAsync(Token);

        await coordinator.KillAsync();
        using var refused = await api.GetAsync("sessions/watched");
        using var notReady = await api.Client.GetAsync(new Uri("/health/ready", UriKind.Relative), Token);
        await coordinator.StartAsync();
        var ids = (await reading).Split('\n').Where(line => line.StartsWith("id: ", StringComparison.Ordinal)).ToList();
        using var ended = await api.GetAsync("sessions/watched");
        var last = int.Parse((string)(await WebApi.JsonAsync(ended))["data"]!["session"]!["lastSequence"]!, null);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal("1", refused.Headers.GetValues("Retry-After").Single());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, notReady.StatusCode);
        Assert.Equal(Enumerable.Range(1, last).Select(sequence => $"id: watched:{sequence}"), ids);
        Assert.Contains("event: end", await reading, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_coordinator_of_another_contract_version_is_502_that_says_both_and_is_not_ready()
    {
        await using var coordinator = new CoordinatorProcess("2.0.0");
        await coordinator.StartAsync();
        await using var api = new WebApi(coordinator.Address);

        using var read = await api.GetAsync("workflows");
        using var changed = await api.PostAsync("workflows/execute", """{"workflowId": "three-echoes"}""");
        using var stream = await api.GetAsync("sessions/any/events");
        using var ready = await api.Client.GetAsync(new Uri("/health/ready", UriKind.Relative), Token);
        using var live = await api.Client.GetAsync(new Uri("/health/live", UriKind.Relative), Token);

        foreach (var response in new[] { read, changed, stream })
        {
            var text = (string?)(await WebApi.JsonAsync(response))["message"];
            Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
            Assert.Contains("contract version 2.0.0", text, StringComparison.Ordinal);
            Assert.Contains("needs 1.x", text, StringComparison.Ordinal);
        }
        Assert.Equal((HttpStatusCode.ServiceUnavailable, HttpStatusCode.OK), (ready.StatusCode, live.StatusCode));
    }

    [Fact]
    public async Task Work_that_outlasts_the_wait_is_202_with_its_location_and_goes_on()
    {
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var api = new WebApi(coordinator.Address);
        await using var hasty = new WebApi(coordinator.Address, ("Coordinator:Timeout", "00:00:02"));
        await api.PutAsync("three-echoes");

        using var late = await hasty.PostAsync("workflows/execute", """{"workflowId": "three-echoes", "parameters": {"delay_seconds": "1s"}}""");
        var session = (await WebApi.JsonAsync(late))["data"]!["session"]!;
        using var stream = await api.GetAsync($"sessions/{session["sessionId"]}/events");
        await stream.Content.ReadAsStringAsync(Token);
        using var ended = await api.Client.GetAsync(late.Headers.Location, Token);

        Assert.Equal((HttpStatusCode.Accepted, "SESSION_STATE_RUNNING"), (late.StatusCode, (string?)session["state"]));
        Assert.Equal("SESSION_STATE_SUCCEEDED", (string?)(await WebApi.JsonAsync(ended))["data"]!["session"]!["state"]);
    }

    [Fact]
    public async Task A_coordinator_that_does_not_answer_in_time_is_504_with_the_way_to_the_session()
    {
        const string Body = """{"workflowId": "three-echoes", "sessionId": "late"}""";
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var api = new WebApi(coordinator.Address);
        await using var hasty = new WebApi(coordinator.Address, ("Coordinator:Timeout", "00:00:02"));
        await api.PutAsync("three-echoes");
        using var early = await hasty.GetAsync("workflows");
        await coordinator.SignalAsync("STOP");

        using var late = await hasty.PostAsync("workflows/execute", Body, ("Idempotency-Key", "order-17"));
        using var notReady = await api.Client.GetAsync(new Uri("/health/ready", UriKind.Relative), Token);
        await coordinator.SignalAsync("CONT");
        using var again = await api.PostAsync("workflows/execute", Body, ("Idempotency-Key", late.Headers.GetValues("Idempotency-Key").Single()));
        using var read = await api.Client.GetAsync(late.Headers.Location, Token);
        var reply = await WebApi.JsonAsync(late);

        Assert.Equal(HttpStatusCode.OK, early.StatusCode);
        Assert.Equal((HttpStatusCode.GatewayTimeout, "DEADLINE_EXCEEDED"), (late.StatusCode, (string?)reply["error"]!["code"]));
        Assert.Equal("/api/processing/sessions/late", late.Headers.Location?.ToString());
        Assert.Contains("the work may go on: read what Location names", (string?)reply["message"], StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, notReady.StatusCode);
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (again.StatusCode, read.StatusCode));
    }

    [Fact]
    [Trait("speed", "slow")]
    public async Task Ten_thousand_requests_at_once_are_done_or_sent_away_and_none_is_lost()
    {
        const int Count = 10_000;
        await using var coordinator = new CoordinatorProcess();
        await coordinator.StartAsync();
        await using var api = new WebApi(coordinator.Address, ("Orchestrator:MaxInFlight", "256"));
        await api.PutAsync("three-echoes");
        using var handler = new SocketsHttpHandler { MaxConnectionsPerServer = 512 };
        using var many = new HttpClient(handler) { BaseAddress = api.Client.BaseAddress, Timeout = TimeSpan.FromMinutes(10) };
        var refused = 0;

        await Task.WhenAll(Enumerable.Range(0, Count).Select(number => UntilDoneAsync(many, number, () => Interlocked.Increment(ref refused))));
        using var listed = await api.GetAsync("sessions?pageSize=1");

        Assert.True(refused > 0, "none was sent away: that is no saturation");
        Assert.Equal(Count.ToString(null as IFormatProvider), (string?)(await WebApi.JsonAsync(listed))["data"]!["totalCount"]);
    }

    private static async Task UntilDoneAsync(HttpClient many, int number, Action onRefused)
    {
        var body = $$"""{"workflowId": "three-echoes", "sessionId": "of-many-{{number}}", "requestId": "of-many-{{number}}", "background": true}""";
        while (true)
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using var response = await many.PostAsync(new Uri("/api/processing/workflows/execute", UriKind.Relative), content, Token);
            if (response.IsSuccessStatusCode)
            {
                return;
            }
            Assert.Contains(response.StatusCode, new[] { HttpStatusCode.TooManyRequests, HttpStatusCode.ServiceUnavailable });
            onRefused();
            await Task.Delay(response.Headers.RetryAfter!.Delta!.Value, Token);
        }
    }
}
