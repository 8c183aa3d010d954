using Google.Rpc;
using Grpc.Core;

namespace ReadText;

/// <summary>What an error of a call says.</summary>
internal static class Refusal
{
    /// <summary>Prints it by its google.rpc details.</summary>
    public static void Describe(RpcException error)
    {
        var status = error.GetRpcStatus();
        var reason = status?.GetDetail<ErrorInfo>()?.Reason;
        Console.WriteLine($"refused {(int)error.StatusCode} {reason} {error.Status.Detail}");
        foreach (var violation in status?.GetDetail<BadRequest>()?.FieldViolations ?? [])
        {
            Console.WriteLine($"violation {violation.Field} {violation.Description}");
        }

        if (status?.GetDetail<RetryInfo>() is { } retry)
        {
            Console.WriteLine($"retry_after_ms {retry.RetryDelay.ToTimeSpan().TotalMilliseconds}");
        }
    }
}
