namespace Coordinator.Orchestrator.Security;

using System.Text;
using Coordinator.Client;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Hosting;
using Coordinator.Orchestrator.Responses;
using Grpc.Core;
using Microsoft.Extensions.Options;

/// <summary>Whose token the coordinator is shown: that of the caller where this is wanted, else that of the orchestrator.</summary>
internal sealed class TokenForwarding(IHttpContextAccessor accessor, IOptions<OrchestratorOptions> options)
{
    private const string Scheme = "Bearer ";
    private const int LongestToken = 8 << 10; // gRPC takes no more metadata with a call

    /// <summary>True if it is for the caller to show the coordinator a token, or another one.</summary>
    public bool IsCallers => options.Value.ForwardToken;

    /// <summary>The token for a call to the coordinator; empty for none.</summary>
    /// <remarks>Where tokens are forwarded, a caller without one has none: that of the orchestrator is not lent to him.</remarks>
    public async ValueTask<string> TokenAsync(CancellationToken cancellationToken)
    {
        if (IsCallers && accessor.HttpContext is { } context && context.Request.Path.StartsWithSegments("/api"))
        {
            return OfCaller(context.Request.Headers.Authorization.ToString());
        }
        var file = options.Value.TokenFile;
        return file.Length > 0 ? await OwnAsync(file, cancellationToken) : "";
    }

    /// <summary>A file that cannot be read is a fault of the operator, not a coordinator out of reach.</summary>
    private static async Task<string> OwnAsync(string file, CancellationToken cancellationToken)
    {
        try
        {
            return (await File.ReadAllTextAsync(file, cancellationToken)).Trim();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoordinatorException(StatusCode.Unauthenticated, $"Orchestrator:TokenFile cannot be read: {error.Message}", error);
        }
    }

    private static string OfCaller(string header) =>
        header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? Sendable(header[Scheme.Length..].Trim()) : "";

    /// <summary>What no call could carry is no token of the coordinator.</summary>
    private static string Sendable(string token) => token.Length <= LongestToken && Ascii.IsValid(token) && !token.Any(char.IsControl)
        ? token
        : throw new CoordinatorException(StatusCode.Unauthenticated, $"the token is longer than {LongestToken} bytes, or is no ASCII")
        {
            Reason = ErrorReason.Unauthenticated,
            ReasonName = ReasonNames.Of(ErrorReason.Unauthenticated),
        };
}
