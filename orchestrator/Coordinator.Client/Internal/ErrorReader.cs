namespace Coordinator.Client;

using System.Security.Authentication;
using Coordinator.Error.V1;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using RpcStatus = Google.Rpc.Status;

/// <summary>Makes exceptions of statuses; details that cannot be read are as if there were none.</summary>
internal static class ErrorReader
{
    private const string Domain = "processing.coordinator";
    private const string Prefix = "ERROR_REASON_";

    /// <summary>The exception to throw: of the coordinator, or of the caller's own token.</summary>
    public static Exception Read(RpcException error, string operation, CancellationToken cancellationToken)
    {
        if (error.StatusCode == StatusCode.Cancelled && cancellationToken.IsCancellationRequested)
        {
            return new OperationCanceledException($"{operation} was given up by its caller", error, cancellationToken);
        }
        var inner = Find<CoordinatorException>(error.Status.DebugException);
        return inner ?? FromDetails(error, Details(error), operation);
    }

    private static CoordinatorException FromDetails(RpcException error, RpcStatus? details, string operation)
    {
        var info = Detail<ErrorInfo>(details);
        return new CoordinatorException(error.StatusCode, info is null ? OwnText(error, operation) : error.Status.Detail, error)
        {
            Operation = operation,
            Reason = Reason(info),
            ReasonName = info?.Reason ?? "",
            Metadata = info is null ? new Dictionary<string, string>() : new Dictionary<string, string>(info.Metadata),
            FieldViolations = [.. (Detail<BadRequest>(details)?.FieldViolations ?? []).Select(one => new ErrorField(one.Field, one.Description))],
            Preconditions = [.. (Detail<PreconditionFailure>(details)?.Violations ?? []).Select(one => new ErrorPrecondition(one.Type, one.Subject, one.Description))],
            Resource = Detail<ResourceInfo>(details) is { } found ? new ErrorResource(found.ResourceType, found.ResourceName, found.Description) : null,
            RetryAfter = Detail<RetryInfo>(details)?.RetryDelay?.ToTimeSpan(),
        };
    }

    private static RpcStatus? Details(RpcException error)
    {
        try
        {
            return error.GetRpcStatus();
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    private static T? Detail<T>(RpcStatus? details)
        where T : class, IMessage<T>, new()
    {
        try
        {
            return details?.GetDetail<T>();
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    private static ErrorReason Reason(ErrorInfo? info)
    {
        var value = info?.Domain == Domain
            ? ErrorReflection.Descriptor.EnumTypes[0].FindValueByName(Prefix + info.Reason)
            : null;
        return (ErrorReason)(value?.Number ?? 0);
    }

    // What comes without a reason has the words of HTTP libraries in it, or none.
    private static string OwnText(RpcException error, string operation) => error.StatusCode switch
    {
        _ when Find<AuthenticationException>(error.Status.DebugException) is { } refused =>
            $"the TLS connection for {operation} was refused; look at TrustedRoots, ClientCertificate and the name of the server: {refused.Message}",
        StatusCode.DeadlineExceeded =>
            $"no answer to {operation} in time; the work may go on: read its state, or repeat the call with the same request_id",
        StatusCode.Unavailable => $"{operation} did not reach the coordinator, or its answer was lost; ask again",
        StatusCode.Cancelled => $"{operation} was cancelled by the coordinator or on the way; ask again",
        StatusCode.Unimplemented => $"the server does not have {operation}; it is older than this client, or no coordinator",
        StatusCode.ResourceExhausted => $"the request or the reply of {operation} is larger than MaxMessageSize; use artifacts, or pages",
        StatusCode.Unauthenticated => $"the credentials of {operation} were not accepted; look at AccessToken",
        StatusCode.PermissionDenied => $"the caller may not do {operation}",
        _ => $"{operation} failed with {error.StatusCode}",
    };

    private static T? Find<T>(Exception? error)
        where T : Exception
    {
        while (error is not null and not T)
        {
            error = error.InnerException;
        }
        return (T?)error;
    }
}
