namespace Coordinator.Client;

using System.Net.Http.Headers;
using Microsoft.Extensions.Logging;

/// <summary>Sees each try of each call on its way out: puts metadata and token in, and logs tries after the first.</summary>
internal sealed class CallHandler(HttpMessageHandler inner, CoordinatorClientOptions options, ILogger logger)
    : DelegatingHandler(inner)
{
    private const string Attempts = "grpc-previous-rpc-attempts";

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Headers.TryGetValues(Attempts, out var attempts))
        {
            logger.Retrying(request.RequestUri?.AbsolutePath ?? "", string.Concat(attempts));
        }
        foreach (var (key, value) in options.Metadata)
        {
            request.Headers.TryAddWithoutValidation(key, value);
        }
        if (options.AccessToken is { } access && await access(cancellationToken).ConfigureAwait(false) is { Length: > 0 } token)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }
        return await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
    }
}
