namespace Coordinator.Orchestrator.Tests;

using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

/// <summary>Each test has a web API on a port of its own, and a coordinator that answers what the test says.</summary>
public abstract class OrchestratorTest : IAsyncLifetime
{
    private WebApplicationFactory<Program>? _application;

    private protected FakeCoordinator Fake { get; private set; } = null!;

    private protected HttpClient Client { get; private set; } = null!;

    private protected IServiceProvider Services => _application!.Services;

    /// <summary>The token of the test.</summary>
    protected static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Fake = await FakeCoordinator.StartAsync();
        _application = new WebApplicationFactory<Program>().WithWebHostBuilder(builder =>
        {
            builder.UseSetting("Coordinator:Address", Fake.Address);
            builder.UseSetting("Coordinator:Retry:MaxAttempts", "1");
            builder.UseSetting("Orchestrator:DrainDelay", "00:00:00");
            builder.UseSetting("Orchestrator:TryPage", "true");
            builder.UseSetting("urls", "http://127.0.0.1:0");
            builder.ConfigureLogging(logging => logging.ClearProviders());
            Configure(builder);
            builder.ConfigureServices(Configure);
        });
        _application.UseKestrel(0);
        Client = _application.CreateClient();
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _application!.DisposeAsync();
        await Fake.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Settings of a test.</summary>
    protected virtual void Configure(IWebHostBuilder builder)
    {
    }

    /// <summary>Services of a test.</summary>
    protected virtual void Configure(IServiceCollection services)
    {
    }

    private protected Task<HttpResponseMessage> GetAsync(string route, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Get, route, null, headers);

    private protected Task<HttpResponseMessage> PostAsync(string route, string json, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, route, new StringContent(json, Encoding.UTF8, "application/json"), headers);

    private protected Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string route, HttpContent? content, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(method, new Uri("/api/processing/" + route, UriKind.Relative)) { Content = content };
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }
        return Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
    }

    private protected static async Task<JsonNode> JsonAsync(HttpResponseMessage response) =>
        JsonNode.Parse(await response.Content.ReadAsStringAsync(Token))!;

    /// <summary>Content with a Content-Type that is sent as it is, right or wrong.</summary>
    private protected static ByteArrayContent Bytes(byte[] content, string mediaType)
    {
        var bytes = new ByteArrayContent(content);
        bytes.Headers.TryAddWithoutValidation("Content-Type", mediaType);
        return bytes;
    }
}
