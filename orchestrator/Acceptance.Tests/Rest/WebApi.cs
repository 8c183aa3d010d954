namespace Coordinator.Acceptance.Tests.Rest;

using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Logging;
using Xunit;

/// <summary>The web API on a port of its own, before a coordinator.</summary>
internal sealed class WebApi : IAsyncDisposable
{
    private readonly WebApplicationFactory<Program> _application;

    public WebApi(string coordinator, params (string Key, string Value)[] settings)
    {
        _application = new WebApplicationFactory<Program>().WithWebHostBuilder(builder =>
        {
            builder.UseSetting("urls", "http://127.0.0.1:0");
            builder.UseSetting("Coordinator:Address", coordinator);
            builder.UseSetting("Orchestrator:DrainDelay", "00:00:00");
            builder.ConfigureLogging(logging => logging.ClearProviders());
            foreach (var (key, value) in settings)
            {
                builder.UseSetting(key, value);
            }
        });
        _application.UseKestrel(0);
        Client = _application.CreateClient();
        Client.Timeout = TimeSpan.FromMinutes(2);
    }

    public HttpClient Client { get; }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public Task<HttpResponseMessage> GetAsync(string route, params (string Name, string Value)[] headers) => SendAsync(HttpMethod.Get, route, null, headers);

    public Task<HttpResponseMessage> PostAsync(string route, string json, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, route, Json(json), headers);

    /// <summary>Puts a workflow of the examples.</summary>
    public async Task PutAsync(string workflowId)
    {
        using var content = new StringContent(Checkout.Workflow(workflowId), Encoding.UTF8, "application/yaml");
        using var response = await SendAsync(HttpMethod.Put, "workflows/" + workflowId, content);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Token));
    }

    public Task<HttpResponseMessage> SendAsync(HttpMethod method, string route, HttpContent? content, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(method, new Uri("/api/processing/" + route, UriKind.Relative)) { Content = content };
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }
        return Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
    }

    public static async Task<JsonNode> JsonAsync(HttpResponseMessage response) => JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!;

    public static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    public static ByteArrayContent Bytes(byte[] content, string mediaType) => new(content) { Headers = { ContentType = MediaTypeHeaderValue.Parse(mediaType) } };

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _application.DisposeAsync();
    }
}
