namespace Coordinator.Acceptance.Tests.Rest;

using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Xunit;

/// <summary>What callers do wrong over REST, before the real coordinator.</summary>
public sealed class BadInputTests(ServingCoordinator serving) : IClassFixture<ServingCoordinator>, IAsyncLifetime
{
    private WebApi _api = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _api = new WebApi(serving.Coordinator.Address);
        await _api.PutAsync("three-echoes");
    }

    public ValueTask DisposeAsync() => _api.DisposeAsync();

    [Theory]
    [InlineData("{", "FIELD_INVALID", "the body is not JSON")]
    [InlineData("[]", "FIELD_INVALID", "expected an object, not an array")]
    [InlineData("""{"workflowId": "three-echoes", "prioritty": 3}""", "FIELD_UNKNOWN", "did you mean 'priority'?")]
    [InlineData("""{"workflowId": "three-echoes", "priority": "high"}""", "FIELD_INVALID", "expected a whole number")]
    [InlineData("""{"workflowId": "three-echoes", "modelId": "a", "idModel": "b"}""", "FIELD_CONFLICT", "as 'modelId' and as 'idModel'")]
    [InlineData("""{"workflowId": "three-echoes", "parameters": {"texd": "a"}}""", "FIELD_UNKNOWN", "text")]
    public async Task A_wrong_body_is_400_and_says_what_to_write(string body, string reason, string text)
    {
        using var response = await _api.PostAsync("workflows/execute", body);
        var reply = await WebApi.JsonAsync(response);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(reason, (string?)reply["error"]!["reason"]);
        Assert.Contains(text, (string?)reply["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_413()
    {
        using var content = new StringContent(new string(' ', 7 << 20), Encoding.UTF8, "application/json");

        using var response = await _api.SendAsync(HttpMethod.Post, "workflows/execute", content, ("Expect", "100-continue"));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [Theory]
    [InlineData("workflows/nothing", "workflow")]
    [InlineData("sessions/nothing", "session")]
    [InlineData("sessions/nothing/events", "session")]
    [InlineData("batches/nothing", "batch")]
    [InlineData("batches/nothing/events", "batch")]
    [InlineData("batches/nothing/items", "batch")]
    [InlineData("artifacts/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "artifact")]
    public async Task An_unknown_id_is_404_with_the_kind_of_what_is_missing(string route, string kind)
    {
        using var response = await _api.GetAsync(route);
        var error = (await WebApi.JsonAsync(response))["error"]!;

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(kind, (string?)error["resource"]!["type"]);
    }

    [Fact]
    public async Task An_action_that_is_not_legal_is_400_with_the_state_and_what_would_be()
    {
        var session = await ExecuteAsync("""{"workflowId": "three-echoes"}""");

        using var response = await _api.PostAsync($"sessions/{session["sessionId"]}/control", """{"controlAction": "CONTROL_ACTION_RESUME"}""");
        var error = (await WebApi.JsonAsync(response))["error"]!;

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("SESSION_STATE_ILLEGAL", (string?)error["reason"]);
        Assert.Equal("SUCCEEDED", (string?)error["metadata"]!["state"]);
        Assert.NotNull(error["metadata"]!["legal_actions"]);
    }

    [Theory]
    [InlineData("garbage", 400)]
    [InlineData("other:3", 400)]
    [InlineData("{0}:99999", 400)]
    [InlineData("{0}:8", 204)]
    public async Task A_last_event_id_that_leads_nowhere_is_told(string last, int status)
    {
        var session = await ExecuteAsync("""{"workflowId": "three-echoes"}""");
        var id = (string)session["sessionId"]!;

        using var response = await _api.GetAsync($"sessions/{id}/events", ("Last-Event-ID", last.Replace("{0}", id, StringComparison.Ordinal)));

        Assert.Equal(status, (int)response.StatusCode);
    }

    [Fact]
    public async Task A_stream_goes_on_behind_the_last_event_without_gap_or_duplicate()
    {
        var id = (string)(await ExecuteAsync("""{"workflowId": "three-echoes"}"""))["sessionId"]!;

        using var response = await _api.GetAsync($"sessions/{id}/events", ("Last-Event-ID", id + ":3"));
        var text = await response.Content.ReadAsStringAsync(Token);
        var ids = text.Split('\n').Where(line => line.StartsWith("id: ", StringComparison.Ordinal)).Select(line => line["id: ".Length..]);

        Assert.Equal(Enumerable.Range(4, 5).Select(sequence => $"{id}:{sequence}"), ids);
        Assert.Contains("event: end", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_idempotency_key_gives_the_first_session_and_other_content_is_409()
    {
        var key = Guid.NewGuid().ToString();
        using var first = await _api.PostAsync("workflows/execute", """{"workflowId": "three-echoes"}""", ("Idempotency-Key", key));
        using var again = await _api.PostAsync("workflows/execute", """{"workflowId": "three-echoes"}""", ("Idempotency-Key", key));
        using var other = await _api.PostAsync("workflows/execute", """{"workflowId": "three-echoes", "priority": 9}""", ("Idempotency-Key", key));

        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.Equal(HttpStatusCode.Conflict, other.StatusCode);
        Assert.Equal("REQUEST_ID_REUSED", (string?)(await WebApi.JsonAsync(other))["error"]!["reason"]);
    }

    [Fact]
    public async Task The_trace_of_a_request_is_that_of_its_session()
    {
        using var response = await _api.PostAsync("workflows/execute", """{"workflowId": "three-echoes"}""");
        var reply = await WebApi.JsonAsync(response);

        Assert.Equal((string?)reply["traceId"], (string?)reply["data"]!["session"]!["traceId"]);
    }

    private async Task<JsonNode> ExecuteAsync(string body)
    {
        using var response = await _api.PostAsync("workflows/execute", body);
        var reply = await WebApi.JsonAsync(response);
        Assert.True(response.IsSuccessStatusCode, reply.ToString());
        return reply["data"]!["session"]!;
    }
}
