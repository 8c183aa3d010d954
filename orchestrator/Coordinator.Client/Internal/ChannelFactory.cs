namespace Coordinator.Client;

using System.Diagnostics.CodeAnalysis;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;
using Microsoft.Extensions.Logging;

/// <summary>Makes the channel of a client; connects to nothing.</summary>
internal static class ChannelFactory
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RenewedAfter = TimeSpan.FromMinutes(5);

    [SuppressMessage("Reliability", "CA2000", Justification = "The channel disposes its handlers.")]
    public static GrpcChannel Open(CoordinatorClientOptions options, ILogger logger)
    {
        var address = CoordinatorAddress.Parse(options.Address);
        var config = CallPolicies.Of(options);
        if (address.IsResolved)
        {
            config.LoadBalancingConfigs.Add(new RoundRobinConfig());
        }
        var bottom = options.HttpHandler ?? Sockets(options, address);
        return GrpcChannel.ForAddress(address.Target, new GrpcChannelOptions
        {
            HttpHandler = new CallHandler(bottom, options, logger),
            DisposeHttpClient = options.HttpHandler is null,
            Credentials = address.IsEncrypted ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure,
            ServiceConfig = config,
            LoggerFactory = options.LoggerFactory,
            MaxReceiveMessageSize = options.MaxMessageSize,
            MaxSendMessageSize = options.MaxMessageSize,
            MaxRetryAttempts = 5,
            MaxRetryBufferPerCallSize = options.MaxMessageSize,
            MaxRetryBufferSize = 16L * options.MaxMessageSize,
            MaxReconnectBackoff = ConnectTimeout,
        });
    }

    private static SocketsHttpHandler Sockets(CoordinatorClientOptions options, CoordinatorAddress address)
    {
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true,
            ConnectTimeout = ConnectTimeout,
            KeepAlivePingDelay = options.KeepAlive.Delay,
            KeepAlivePingTimeout = options.KeepAlive.Timeout,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            SslOptions = Certificates(options.Tls),
        };
        if (address.IsResolved || options.Tls.ClientCertificate is not null)
        {
            handler.PooledConnectionLifetime = RenewedAfter;
        }
        if (address.SocketPath is { } path)
        {
            handler.ConnectCallback = (_, token) => ConnectAsync(path, token);
        }
        return handler;
    }

    private static SslClientAuthenticationOptions Certificates(TlsOptions tls)
    {
        var certificates = new SslClientAuthenticationOptions { TargetHost = tls.ServerName };
        if (tls.TrustedRoots is { } roots)
        {
            certificates.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            certificates.CertificateChainPolicy.CustomTrustStore.AddRange(roots.ToArray());
        }
        if (tls.ClientCertificate is { } certificate)
        {
            certificates.LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate()!;
        }
        return certificates;
    }

    [SuppressMessage("Reliability", "CA2000", Justification = "The stream disposes the socket.")]
    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
