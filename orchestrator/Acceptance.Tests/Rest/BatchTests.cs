namespace Coordinator.Acceptance.Tests.Rest;

using System.Net;
using System.Text.Json.Nodes;
using Xunit;

/// <summary>Batches by their own calls, before the real coordinator.</summary>
public sealed class BatchTests(ServingCoordinator serving) : IClassFixture<ServingCoordinator>, IAsyncLifetime
{
    private const string Pause = """{"batchAction": "BATCH_ACTION_PAUSE"}""";
    private const string Resume = """{"batchAction": "BATCH_ACTION_RESUME"}""";
    private const string Cancel = """{"batchAction": "BATCH_ACTION_CANCEL"}""";

    private WebApi _api = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _api = new WebApi(serving.Coordinator.Address);
        await _api.PutAsync("three-echoes");
    }

    public ValueTask DisposeAsync() => _api.DisposeAsync();

    [Fact]
    public async Task A_batch_is_created_executed_followed_read_and_removed()
    {
        using var created = await _api.PostAsync("batches/create", Batch("whole", Good(5)));
        using var started = await _api.PostAsync("batches/whole/execute", "{}");
        var ids = await EventIdsAsync("whole");
        var ended = await ReadAsync("whole");
        using var removed = await _api.SendAsync(HttpMethod.Delete, "batches/whole", null);
        using var gone = await _api.GetAsync("batches/whole");

        Assert.Equal((HttpStatusCode.Created, "/api/processing/batches/whole"), (created.StatusCode, created.Headers.Location?.ToString()));
        Assert.Equal("BATCH_STATE_CREATED", (string?)(await DataAsync(created))["batch"]!["state"]);
        Assert.Equal((HttpStatusCode.Accepted, "/api/processing/batches/whole"), (started.StatusCode, started.Headers.Location?.ToString()));
        Assert.Equal(Ids("whole", 1, Last(ended)), ids);
        Assert.Equal(("BATCH_STATE_SUCCEEDED", "5"), ((string?)ended["state"], (string?)ended["counts"]!["succeeded"]));
        Assert.Equal("5", (string?)(await DataAsync(removed))["deletedSessionCount"]);
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [Fact]
    public async Task Items_are_added_to_a_batch_that_was_not_started()
    {
        using var created = await _api.PostAsync("batches/create", Batch("filled", ""));
        using var added = await _api.PostAsync("batches/filled/items", $$"""{"items": [{{Good(2)}}]}""");
        using var again = await _api.PostAsync("batches/filled/items", $$"""{"items": [{{Good(1)}}]}""");
        var error = (await WebApi.JsonAsync(again))["error"]!;

        Assert.Equal("2", (string?)(await DataAsync(added))["batch"]!["counts"]!["items"]);
        Assert.Equal((HttpStatusCode.Conflict, "BATCH_ITEM_ALREADY_EXISTS"), (again.StatusCode, (string?)error["reason"]));
        Assert.Equal("items[0].itemId", (string?)error["fields"]![0]!["field"]);
    }

    [Fact]
    public async Task A_stream_goes_on_behind_the_last_event_to_the_end()
    {
        await EndedAsync("followed", Good(3));
        var last = Last(await ReadAsync("followed"));

        var ids = await EventIdsAsync("followed", ("Last-Event-ID", "followed:2"));
        using var nothing = await _api.GetAsync("batches/followed/events", ("Last-Event-ID", $"followed:{last}"));

        Assert.Equal(Ids("followed", 3, last), ids);
        Assert.Equal(HttpStatusCode.NoContent, nothing.StatusCode);
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("other:1")]
    [InlineData("{0}:99999")]
    public async Task A_last_event_id_that_leads_nowhere_is_400(string last)
    {
        var id = await CreatedAsync(Good(1));

        using var response = await _api.GetAsync($"batches/{id}/events", ("Last-Event-ID", last.Replace("{0}", id, StringComparison.Ordinal)));

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task Cells_come_in_pages_and_by_their_state()
    {
        await EndedAsync("paged", Good(4) + "," + Item("item-4", "-1s"));

        var all = await PagesAsync("batches/paged/items?pageSize=2", "cells");
        var failed = await PagesAsync("batches/paged/items?states=SESSION_STATE_FAILED&states=SESSION_STATE_CANCELLED", "cells");

        Assert.Equal([2, 2, 1], all.Select(page => page.Count));
        Assert.Equal(Enumerable.Range(0, 5).Select(number => $"item-{number}"), all.SelectMany(page => page).Select(cell => (string?)cell!["itemId"]));
        var cell = Assert.Single(failed.SelectMany(page => page))!;
        Assert.Equal("item-4", (string?)cell["itemId"]);
        Assert.NotNull(cell["failure"]!["message"]);
        Assert.Equal("BATCH_STATE_PARTIALLY_SUCCEEDED", (string?)(await ReadAsync("paged"))["state"]);
    }

    [Fact]
    public async Task Batches_are_listed_in_pages_and_by_label_and_state()
    {
        foreach (var id in new[] { "one", "two", "three" })
        {
            await CreatedAsync(Good(1), id, """ "labels": {"team": "lists"}, """);
        }
        await EndedAsync("other", Good(1));

        var pages = await PagesAsync("batches?pageSize=2&labels.team=lists&states=BATCH_STATE_CREATED", "batches");

        Assert.Equal(["three", "two", "one"], pages.SelectMany(page => page).Select(batch => (string?)batch!["batchId"]));
        Assert.Equal(2, pages.Count);
    }

    [Fact]
    public async Task A_batch_that_runs_is_paused_resumed_and_cancelled()
    {
        await StartAsync("controlled", Good(50, "0.2s"), """ "maxParallel": 1, """);

        using var paused = await _api.PostAsync("batches/controlled/control", Pause);
        await UntilAsync("controlled", "BATCH_STATE_PAUSED");
        using var resumed = await _api.PostAsync("batches/controlled/control", Resume);
        await UntilAsync("controlled", "BATCH_STATE_RUNNING");
        using var cancelled = await _api.PostAsync("batches/controlled/control", Cancel);
        await UntilAsync("controlled", "BATCH_STATE_CANCELLED");

        Assert.All([paused, resumed, cancelled], response => Assert.True(response.IsSuccessStatusCode));
    }

    [Theory]
    [InlineData(Pause, "PAUSE is not possible")]
    [InlineData(Resume, "RESUME is not possible")]
    public async Task An_action_that_is_not_legal_is_400_with_the_state_and_what_would_be(string action, string text)
    {
        var id = await CreatedAsync(Good(1));

        using var response = await _api.PostAsync($"batches/{id}/control", action);
        var reply = await WebApi.JsonAsync(response);
        var error = reply["error"]!;

        Assert.Equal((HttpStatusCode.BadRequest, "BATCH_STATE_ILLEGAL"), (response.StatusCode, (string?)error["reason"]));
        Assert.Equal(("CREATED", "CANCEL, REPRIORITIZE, EXECUTE"), ((string?)error["metadata"]!["state"], (string?)error["metadata"]!["legal_actions"]));
        Assert.Contains(text, (string?)reply["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_batch_that_runs_is_not_removed_unless_it_is_forced()
    {
        await StartAsync("kept", Good(50, "0.2s"), """ "maxParallel": 1, """);

        using var refused = await _api.SendAsync(HttpMethod.Delete, "batches/kept", null);
        var kept = await ReadAsync("kept");
        using var forced = await _api.SendAsync(HttpMethod.Delete, "batches/kept?force=true", null);
        using var gone = await _api.GetAsync("batches/kept");
        var error = (await WebApi.JsonAsync(refused))["error"]!;

        Assert.Equal((HttpStatusCode.BadRequest, "BATCH_STATE_ILLEGAL"), (refused.StatusCode, (string?)error["reason"]));
        Assert.Equal("RUNNING", (string?)error["metadata"]!["state"]);
        Assert.Equal("BATCH_STATE_RUNNING", (string?)kept["state"]);
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.NotFound), (forced.StatusCode, gone.StatusCode));
    }

    [Theory]
    [InlineData("GET", "batches/nothing")]
    [InlineData("GET", "batches/nothing/items")]
    [InlineData("GET", "batches/nothing/events")]
    [InlineData("POST", "batches/nothing/items", """{"items": [{"itemId": "one"}]}""")]
    [InlineData("POST", "batches/nothing/execute", "{}")]
    [InlineData("POST", "batches/nothing/control", Cancel)]
    [InlineData("DELETE", "batches/nothing")]
    public async Task An_unknown_batch_is_404_with_its_kind(string method, string route, string? body = null)
    {
        using var response = await _api.SendAsync(new HttpMethod(method), route, body is null ? null : WebApi.Json(body));
        var error = (await WebApi.JsonAsync(response))["error"]!;

        Assert.Equal((HttpStatusCode.NotFound, "BATCH_NOT_FOUND"), (response.StatusCode, (string?)error["reason"]));
        Assert.Equal(("batch", "nothing"), ((string?)error["resource"]!["type"], (string?)error["resource"]!["name"]));
    }

    [Fact]
    public async Task The_same_key_creates_one_batch_and_other_content_is_409()
    {
        var key = ("Idempotency-Key", Guid.NewGuid().ToString());
        var content = $$"""{"workflowIds": ["three-echoes"], "items": [{{Good(1)}}]}""";
        using var first = await _api.PostAsync("batches/create", content, key);
        using var again = await _api.PostAsync("batches/create", content, key);
        using var other = await _api.PostAsync("batches/create", """{"workflowIds": ["three-echoes"], "priority": 9}""", key);
        var error = (await WebApi.JsonAsync(other))["error"]!;

        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.Created), (first.StatusCode, again.StatusCode));
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.True(JsonNode.DeepEquals(await DataAsync(first), await DataAsync(again)));
        Assert.Equal((HttpStatusCode.Conflict, "REQUEST_ID_REUSED"), (other.StatusCode, (string?)error["reason"]));
    }

    [Fact]
    public async Task The_same_key_starts_a_batch_once_and_of_another_batch_it_is_409()
    {
        var key = ("Idempotency-Key", Guid.NewGuid().ToString());
        var (id, otherId) = (await CreatedAsync(Good(1)), await CreatedAsync(Good(1)));
        using var first = await _api.PostAsync($"batches/{id}/execute", "{}", key);
        await EventIdsAsync(id);
        using var again = await _api.PostAsync($"batches/{id}/execute", "{}", key);
        using var other = await _api.PostAsync($"batches/{otherId}/execute", "{}", key);
        using var anew = await _api.PostAsync($"batches/{id}/execute", "{}");

        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.Accepted), (first.StatusCode, again.StatusCode));
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.Equal((HttpStatusCode.Conflict, "REQUEST_ID_REUSED"), (other.StatusCode, (string?)(await WebApi.JsonAsync(other))["error"]!["reason"]));
        Assert.Equal("BATCH_STATE_ILLEGAL", (string?)(await WebApi.JsonAsync(anew))["error"]!["reason"]);
        Assert.Equal("BATCH_STATE_CREATED", (string?)(await ReadAsync(otherId))["state"]);
    }

    [Theory]
    [InlineData("{\"priority\": 3}", "FIELD_UNKNOWN")]
    [InlineData("{\"batchId\": \"another\"}", "FIELD_CONFLICT")]
    public async Task A_body_of_execute_is_read_like_every_other(string body, string reason)
    {
        var id = await CreatedAsync(Good(1));

        using var refused = await _api.PostAsync($"batches/{id}/execute", body);

        Assert.Equal((HttpStatusCode.BadRequest, reason), (refused.StatusCode, (string?)(await WebApi.JsonAsync(refused))["error"]!["reason"]));
        Assert.Equal("BATCH_STATE_CREATED", (string?)(await ReadAsync(id))["state"]);
    }

    [Fact]
    public async Task A_batch_is_started_without_a_body()
    {
        var id = await CreatedAsync(Good(1));

        using var started = await _api.SendAsync(HttpMethod.Post, $"batches/{id}/execute", null);

        Assert.Equal(HttpStatusCode.Accepted, started.StatusCode);
    }

    private static string Batch(string batchId, string items, string more = "") =>
        $$"""{"batchId": "{{batchId}}", {{more}}"workflowIds": ["three-echoes"], "items": [{{items}}]}""";

    private static string Good(int count, string delay = "0s") =>
        string.Join(',', Enumerable.Range(0, count).Select(number => Item($"item-{number}", delay)));

    private static string Item(string itemId, string delay) =>
        $$"""{"itemId": "{{itemId}}", "parameters": {"delay_seconds": "{{delay}}"} }""";

    private static IEnumerable<string> Ids(string batchId, int first, int last) =>
        Enumerable.Range(first, last - first + 1).Select(sequence => $"{batchId}:{sequence}");

    private static int Last(JsonNode batch) => int.Parse((string)batch["lastSequence"]!, null);

    private static async Task<JsonNode> DataAsync(HttpResponseMessage response) => (await WebApi.JsonAsync(response))["data"]!;

    private async Task<string> CreatedAsync(string items, string? batchId = null, string more = "")
    {
        var id = batchId ?? Guid.NewGuid().ToString();
        using var created = await _api.PostAsync("batches/create", Batch(id, items, more));
        Assert.Equal(HttpStatusCode.Created, created.StatusCode);
        return id;
    }

    private async Task StartAsync(string batchId, string items, string more = "")
    {
        await CreatedAsync(items, batchId, more);
        using var started = await _api.PostAsync($"batches/{batchId}/execute", "{}");
        Assert.True(started.IsSuccessStatusCode, await started.Content.ReadAsStringAsync(Token));
    }

    private async Task EndedAsync(string batchId, string items)
    {
        await StartAsync(batchId, items);
        await EventIdsAsync(batchId);
    }

    private async Task<JsonNode> ReadAsync(string batchId)
    {
        using var response = await _api.GetAsync("batches/" + batchId);
        return (await DataAsync(response))["batch"]!;
    }

    private async Task UntilAsync(string batchId, string state)
    {
        var batch = await ReadAsync(batchId);
        while ((string?)batch["state"] != state)
        {
            Assert.True(batch["endedAt"] is null, $"ended as {batch["state"]}");
            batch = await ReadAsync(batchId);
        }
    }

    /// <summary>The ids of a stream that ends well.</summary>
    private async Task<List<string>> EventIdsAsync(string batchId, params (string Name, string Value)[] headers)
    {
        using var response = await _api.GetAsync($"batches/{batchId}/events", headers);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.Contains("event: end", text, StringComparison.Ordinal);
        return [.. text.Split('\n').Where(line => line.StartsWith("id: ", StringComparison.Ordinal)).Select(line => line["id: ".Length..])];
    }

    /// <summary>A list as its pages, to the last.</summary>
    private async Task<List<JsonArray>> PagesAsync(string route, string items)
    {
        var pages = new List<JsonArray>();
        var next = "";
        do
        {
            using var response = await _api.GetAsync($"{route}&pageToken={Uri.EscapeDataString(next)}");
            var data = await DataAsync(response);
            pages.Add(data[items]!.AsArray());
            next = (string?)data["nextPageToken"] ?? "";
        }
        while (next.Length > 0);
        return pages;
    }
}
