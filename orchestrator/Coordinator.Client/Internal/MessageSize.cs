namespace Coordinator.Client;

using System.Globalization;
using Coordinator.Error.V1;
using Google.Protobuf;
using Grpc.Core;

/// <summary>Whether a request may be sent at all: what the channel says of one that is too large looks like a quota.</summary>
internal static class MessageSize
{
    /// <summary>True if the coordinator would take a request of this length.</summary>
    public static bool Fits(object request, CoordinatorClientOptions options) => Of(request) <= options.MaxMessageSize;

    /// <summary>Passes what fits.</summary>
    /// <exception cref="CoordinatorException">PAYLOAD_TOO_LARGE, as the coordinator says it.</exception>
    public static void Check(object request, CoordinatorClientOptions options, string operation)
    {
        if (!Fits(request, options))
        {
            throw TooLarge(Of(request), options.MaxMessageSize, operation);
        }
    }

    private static int Of(object request) => request is IMessage message ? message.CalculateSize() : 0;

    private static CoordinatorException TooLarge(int size, int limit, string operation) =>
        new(StatusCode.ResourceExhausted, $"the request of {operation} has {size} bytes, more than MaxMessageSize, which is {limit}; send large content as artifacts")
        {
            Operation = operation,
            Reason = ErrorReason.PayloadTooLarge,
            ReasonName = "PAYLOAD_TOO_LARGE",
            Metadata = new Dictionary<string, string>
            {
                ["size_bytes"] = size.ToString(CultureInfo.InvariantCulture),
                ["limit_bytes"] = limit.ToString(CultureInfo.InvariantCulture),
            },
        };
}
