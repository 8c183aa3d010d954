namespace Coordinator.Client.Tests;

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

/// <summary>A server of this process, on a free port, that answers as a test says and keeps what it was asked.</summary>
public sealed class FakeCoordinator : IAsyncDisposable
{
    private readonly WebApplication _app;

    private FakeCoordinator(WebApplication app, FakeProcessing processing) => (_app, Processing) = (app, processing);

    /// <summary>What it answers.</summary>
    public FakeProcessing Processing { get; }

    /// <summary>Where it is.</summary>
    public string Address => _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    /// <summary>Starts one.</summary>
    /// <param name="listen">Where; null for a free port of this machine without TLS.</param>
    public static async Task<FakeCoordinator> StartAsync(Action<KestrelServerOptions>? listen = null)
    {
        var processing = new FakeProcessing();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(listen ?? (kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, Http2)));
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(processing);
        var app = builder.Build();
        app.MapGrpcService<FakeProcessing>();
        app.MapGrpcService<FakeHealth>();
        await app.StartAsync();
        return new FakeCoordinator(app, processing);
    }

    /// <summary>A client of it.</summary>
    public CoordinatorClient Client(Action<CoordinatorClientOptions>? configure = null)
    {
        var options = new CoordinatorClientOptions { Address = Address, Timeout = TimeSpan.FromSeconds(20) };
        options.Retry.InitialBackoff = TimeSpan.FromMilliseconds(5);
        configure?.Invoke(options);
        return CoordinatorClient.Create(options);
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    internal static void Http2(ListenOptions listen) => listen.Protocols = HttpProtocols.Http2;
}
