namespace Coordinator.Client.Tests;

using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;

/// <summary>Errors as a coordinator sends them.</summary>
public static class Refusal
{
    /// <summary>A status with details.</summary>
    /// <param name="delay">Sent as RetryInfo and as the push-back that channels obey.</param>
    public static RpcException Of(StatusCode code, string reason, string text = "what, where, what next", TimeSpan? delay = null, params IMessage[] details)
    {
        var status = new Google.Rpc.Status { Code = (int)code, Message = text };
        status.Details.Add(Any.Pack(new ErrorInfo { Reason = reason, Domain = "processing.coordinator", Metadata = { ["state"] = "PAUSED" } }));
        status.Details.Add(details.Select(Any.Pack));
        var trailers = new Metadata();
        if (delay is { } wait)
        {
            status.Details.Add(Any.Pack(new RetryInfo { RetryDelay = Duration.FromTimeSpan(wait) }));
            trailers.Add("grpc-retry-pushback-ms", $"{wait.TotalMilliseconds:0}");
        }
        trailers.Add("grpc-status-details-bin", status.ToByteArray());
        return new RpcException(new Grpc.Core.Status(code, text), trailers);
    }
}
