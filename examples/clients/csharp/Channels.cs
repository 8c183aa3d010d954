using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;

namespace ReadText;

/// <summary>How a client of the coordinator is connected.</summary>
internal static class Channels
{
    /// <summary>Opens a channel; <c>https://</c> where it crosses machines.</summary>
    public static GrpcChannel Open(string address) => GrpcChannel.ForAddress($"http://{address}", new GrpcChannelOptions
    {
        HttpHandler = Handler(),
        DisposeHttpClient = true,
        ServiceConfig = new ServiceConfig { MethodConfigs = { Retries() } },
    });

    private static SocketsHttpHandler Handler() => new()
    {
        KeepAlivePingDelay = TimeSpan.FromSeconds(10),
        KeepAlivePingTimeout = TimeSpan.FromSeconds(20),
        EnableMultipleHttp2Connections = true, // else a hundred watches hold up every other call
    };

    // What may be repeated is, since every mutating call has a request_id. The coordinator's own delay
    // (grpc-retry-pushback-ms) goes before the backoff.
    private static MethodConfig Retries() => new()
    {
        Names = { MethodName.Default },
        RetryPolicy = new RetryPolicy
        {
            MaxAttempts = 4,
            InitialBackoff = TimeSpan.FromMilliseconds(50),
            MaxBackoff = TimeSpan.FromMilliseconds(100),
            BackoffMultiplier = 2,
            RetryableStatusCodes = { StatusCode.Unavailable, StatusCode.ResourceExhausted },
        },
    };
}
