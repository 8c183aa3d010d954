namespace Coordinator.Client.Tests;

using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coordinator.Processing.V1;
using Grpc.Core;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Xunit;

public sealed class ConnectionTests
{
    private static readonly GetProcessingSessionRequest Request = new() { SessionId = "one" };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_socket_file_is_an_address()
    {
        var folder = Directory.CreateTempSubdirectory("coordinator-");
        var path = Path.Combine(folder.FullName, "s");
        await using var server = await FakeCoordinator.StartAsync(kestrel => kestrel.ListenUnixSocket(path, FakeCoordinator.Http2));
        await using var client = server.Client(options => options.Address = $"unix:{path}");

        var reply = await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);

        Assert.Equal("one", reply.Session.SessionId);
        await server.DisposeAsync();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_name_is_resolved_by_the_channel()
    {
        await using var server = await FakeCoordinator.StartAsync();
        await using var client = server.Client(options => options.Address = $"dns:///localhost:{new Uri(server.Address).Port}");

        var reply = await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);

        Assert.Equal("one", reply.Session.SessionId);
    }

    [Fact]
    public async Task The_token_is_asked_for_each_call_and_sent()
    {
        await using var server = await FakeCoordinator.StartAsync();
        var count = 0;
        await using var client = server.Client(options => options.AccessToken = _ => ValueTask.FromResult($"t{++count}"));

        await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);
        await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);

        Assert.Equal(["Bearer t1", "Bearer t2", "Bearer t3"], server.Processing.Calls.Select(call => call.Headers.GetValue("authorization")));
    }

    [Theory]
    [InlineData(StatusCode.Unauthenticated)]
    [InlineData(StatusCode.PermissionDenied)]
    public async Task A_token_that_is_refused_is_an_error_with_its_reason_and_not_tried_again(StatusCode code)
    {
        await using var server = await FakeCoordinator.StartAsync();
        server.Processing.OnGetSession = (_, _) => throw Refusal.Of(code, code == StatusCode.Unauthenticated ? "UNAUTHENTICATED" : "PERMISSION_DENIED");
        await using var client = server.Client(options => options.AccessToken = _ => ValueTask.FromResult("stale"));

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));

        Assert.Equal(code, error.StatusCode);
        Assert.Equal($"{code}", error.Reason.ToString());
        Assert.Single(server.Processing.Names);
    }

    [Fact]
    public async Task A_certificate_of_a_trusted_root_is_taken_and_the_client_shows_its_own()
    {
        using var certificate = SelfSigned();
        X509Certificate2? shown = null;
        await using var server = await StartTlsAsync(certificate, seen => shown = seen);
        await using var client = server.Client(options =>
        {
            options.Tls.TrustedRoots = [certificate];
            options.Tls.ClientCertificate = () => certificate;
        });

        await client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop);

        Assert.Equal(certificate.Thumbprint, shown?.Thumbprint);
    }

    [Fact]
    public async Task A_certificate_of_an_unknown_root_is_an_error_that_says_tls()
    {
        using var certificate = SelfSigned();
        await using var server = await StartTlsAsync(certificate, _ => { });
        await using var client = server.Client(options => options.Tls.ClientCertificate = () => certificate);

        var error = await Assert.ThrowsAsync<CoordinatorException>(() => client.Processing.GetProcessingSessionAsync(Request, cancellationToken: Stop));

        Assert.Contains("TLS", error.Message, StringComparison.Ordinal);
        Assert.Contains("TrustedRoots", error.Message, StringComparison.Ordinal);
    }

    private static Task<FakeCoordinator> StartTlsAsync(X509Certificate2 certificate, Action<X509Certificate2?> onShown) =>
        FakeCoordinator.StartAsync(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            FakeCoordinator.Http2(listen);
            listen.UseHttps(new HttpsConnectionAdapterOptions
            {
                ServerCertificate = certificate,
                ClientCertificateMode = ClientCertificateMode.RequireCertificate,
                ClientCertificateValidation = (shown, _, _) =>
                {
                    onShown(shown);
                    return true;
                },
            });
        }));

    private static X509Certificate2 SelfSigned()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
