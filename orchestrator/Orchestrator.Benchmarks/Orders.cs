namespace Coordinator.Orchestrator.Benchmarks;

using System.Globalization;
using System.Text;
using System.Text.Json;
using Coordinator.Client;
using Coordinator.Processing.V1;
using Google.Protobuf.WellKnownTypes;

/// <summary>What can be asked of this program.</summary>
internal sealed class Orders : IAsyncDisposable
{
    private const string Body = """{"workflowId": "echoes1", "parameters": {"text": "hello"}}""";

    private readonly CoordinatorClient _client;
    private readonly HttpClient _rest;

    public Orders(Uri coordinator, Uri rest)
    {
        _client = CoordinatorClient.Create(coordinator.ToString().TrimEnd('/'));
        _rest = new HttpClient { BaseAddress = new Uri(rest, "api/processing/") };
    }

    /// <summary>Does one order; its result as a line of JSON.</summary>
    public async Task<string> DoAsync(string[] words) => JsonSerializer.Serialize<object>(words switch
    {
        ["grpc", var callers, var seconds] => await Load.ForAsync(Number(callers), Time(seconds), ExecuteAsync),
        ["rest", var callers, var seconds] => await Load.ForAsync(Number(callers), Time(seconds), PostAsync),
        ["get", var callers, var count, var session] => await Load.OfAsync(Number(callers), Number(count), () => GetAsync(session)),
        ["streams", var count, var session] => await Streams.ReadAsync(_rest.BaseAddress!, session, Number(count)),
        _ => throw new ArgumentException($"no such order: {string.Join(' ', words)}"),
    });

    public async ValueTask DisposeAsync()
    {
        _rest.Dispose();
        await _client.DisposeAsync();
    }

    private async Task ExecuteAsync()
    {
        var request = new PostWorkflowExecuteRequest { WorkflowId = "echoes1", Parameters = new Struct { Fields = { ["text"] = Value.ForString("hello") } } };
        var response = await _client.Processing.PostWorkflowExecuteAsync(request);
        Demand(response.Session.State == SessionState.Succeeded, response.Session.State.ToString());
    }

    private async Task PostAsync()
    {
        using var content = new StringContent(Body, Encoding.UTF8, "application/json");
        using var response = await _rest.PostAsync(new Uri("workflows/execute", UriKind.Relative), content);
        var text = await response.Content.ReadAsStringAsync();
        Demand(response.IsSuccessStatusCode && text.Contains("SESSION_STATE_SUCCEEDED", StringComparison.Ordinal), text);
    }

    private async Task GetAsync(string session)
    {
        using var response = await _rest.GetAsync(new Uri("sessions/" + session, UriKind.Relative));
        Demand(response.IsSuccessStatusCode, response.StatusCode.ToString());
        await response.Content.ReadAsByteArrayAsync();
    }

    private static void Demand(bool fulfilled, string text)
    {
        if (!fulfilled)
        {
            throw new InvalidOperationException("an operation failed: " + text);
        }
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static TimeSpan Time(string seconds) => TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture));
}
