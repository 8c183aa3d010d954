namespace Coordinator.Orchestrator.Responses;

using Coordinator.Client;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Json;
using Grpc.Core;

/// <summary>Every exception as a refusal: the one place where errors are translated.</summary>
internal static class Refusals
{
    private const double ShortestRetrySeconds = 1;

    /// <summary>What to answer.</summary>
    /// <param name="error">What was thrown.</param>
    /// <param name="callersToken">True if the token that the coordinator was shown, or was not, is the caller's matter.</param>
    public static Refusal Of(Exception error, bool callersToken) => error switch
    {
        RequestRefusedException refused => OfRequest(refused),
        CoordinatorException refused => OfCoordinator(refused, callersToken),
        BadHttpRequestException refused => OfHttp(refused.StatusCode),
        OperationCanceledException => Own(StatusCode.Unavailable, ErrorReason.ServerDraining, "the orchestrator is shutting down; ask again") with
        {
            StatusCode = StatusCodes.Status503ServiceUnavailable,
        },
        _ => OfFault(),
    };

    /// <summary>A refusal that only an HTTP status is known of.</summary>
    public static Refusal OfHttp(int status) =>
        Own(StatusMap.FromHttp(status), Reason(status), HttpText(status)) with { StatusCode = status };

    /// <summary>More requests at once than are taken.</summary>
    public static Refusal Overloaded() =>
        Own(StatusCode.Unavailable, ErrorReason.ServerOverloaded, "as many requests as are taken are under way; ask again");

    /// <summary>A token that may do less than is asked for.</summary>
    public static Refusal NotEnough(string needed) =>
        Own(StatusCode.PermissionDenied, ErrorReason.PermissionDenied, $"the token may not do this; it needs the scope, or the role, '{needed}'");

    private static Refusal OfRequest(RequestRefusedException refused)
    {
        var own = Own(StatusMap.FromHttp(refused.StatusCode), refused.Faults[0].Reason, refused.Message);
        return own with { StatusCode = refused.StatusCode, Error = own.Error with { Fields = [.. refused.Faults.Select(Field)] } };
    }

    private static ApiField Field(FieldFault fault) =>
        new(fault.Path, fault.Description, fault.Suggestion.Length > 0 ? fault.Suggestion : null);

    private static Refusal OfCoordinator(CoordinatorException refused, bool callersToken)
    {
        if (IsOurFault(refused, callersToken) is { } text)
        {
            return Own(refused.StatusCode, null, text) with { StatusCode = StatusCodes.Status502BadGateway };
        }
        var status = StatusMap.ToHttp(refused.StatusCode, refused.Reason);
        var isServers = status == StatusCodes.Status500InternalServerError;
        return new Refusal(status, isServers ? FaultText : Text(refused), ErrorOf(refused, status));
    }

    /// <summary>Refusals of what the orchestrator itself is or sends say nothing of the caller's request.</summary>
    private static string? IsOurFault(CoordinatorException refused, bool callersToken) => refused switch
    {
        { StatusCode: StatusCode.ResourceExhausted, ReasonName.Length: 0 } =>
            "the reply of the coordinator is larger than the orchestrator takes; ask for less, or for artifacts by digest",
        { StatusCode: StatusCode.Unauthenticated or StatusCode.PermissionDenied } when !callersToken =>
            "the coordinator refused the credentials of the orchestrator; its operator has to mend Orchestrator:TokenFile",
        _ when ContractMismatch.Is(refused) => refused.Message,
        _ => null,
    };

    private static string Text(CoordinatorException refused) => refused switch
    {
        { StatusCode: StatusCode.DeadlineExceeded } when refused.Operation.StartsWith("Get", StringComparison.Ordinal) => "no answer in time; ask again",
        { StatusCode: StatusCode.DeadlineExceeded } =>
            "no answer in time; the work may go on: read what Location names, or send the same request with the same Idempotency-Key",
        { StatusCode: StatusCode.Unimplemented } => "the coordinator does not serve this yet; it is older than the orchestrator",
        { StatusCode: StatusCode.Unavailable, ReasonName.Length: 0 } => "the coordinator cannot be reached; ask again",
        { ReasonName.Length: 0 } => $"the coordinator answered {StatusMap.Name(refused.StatusCode)}",
        _ => refused.Message,
    };

    private static ApiError ErrorOf(CoordinatorException refused, int status) => new()
    {
        Code = StatusMap.Name(refused.StatusCode),
        Reason = NullIfEmpty(refused.ReasonName),
        Fields = NullIfNone(refused.FieldViolations.Select(violation => new ApiField(FieldPaths.Camel(violation.Field), violation.Description))),
        Resource = refused.Resource is { } resource ? new ApiResource(resource.Type, resource.Name) : null,
        Preconditions = NullIfNone(refused.Preconditions.Select(one => new ApiPrecondition(one.Type, one.Subject, one.Description))),
        Metadata = refused.Metadata.Count > 0 ? refused.Metadata : null,
        RetryAfterSeconds = RetryAfter(refused, status),
        Help = HelpOf(refused.ReasonName),
    };

    private static double? RetryAfter(CoordinatorException refused, int status) =>
        refused.RetryAfter is { } delay ? delay.TotalSeconds
        : status == StatusCodes.Status503ServiceUnavailable || status == StatusCodes.Status429TooManyRequests ? ShortestRetrySeconds
        : null;

    private static Refusal OfFault() => Own(StatusCode.Internal, ErrorReason.Internal, FaultText);

    private const string FaultText = "a fault of the server; its operators find it by the trace id";

    private static Refusal Own(StatusCode code, ErrorReason? reason, string text)
    {
        var status = StatusMap.ToHttp(code);
        var name = reason is { } known ? ReasonNames.Of(known) : "";
        var error = new ApiError
        {
            Code = StatusMap.Name(code),
            Reason = NullIfEmpty(name),
            RetryAfterSeconds = status == StatusCodes.Status503ServiceUnavailable ? ShortestRetrySeconds : null,
            Help = HelpOf(name),
        };
        return new Refusal(status, text, error);
    }

    private static ErrorReason? Reason(int status) => status switch
    {
        StatusCodes.Status413PayloadTooLarge => ErrorReason.PayloadTooLarge,
        StatusCodes.Status401Unauthorized => ErrorReason.Unauthenticated,
        StatusCodes.Status403Forbidden => ErrorReason.PermissionDenied,
        StatusCodes.Status400BadRequest => ErrorReason.FieldInvalid,
        _ => null,
    };

    private static string HttpText(int status) => status switch
    {
        StatusCodes.Status404NotFound => "there is no such route; GET /openapi/v1.json lists all of them",
        StatusCodes.Status405MethodNotAllowed => "the route does not take this method; Allow has those that it takes",
        StatusCodes.Status408RequestTimeout => "the body came too slowly",
        StatusCodes.Status413PayloadTooLarge => "the body is too large; send large content as artifacts",
        StatusCodes.Status415UnsupportedMediaType => "the route does not take this Content-Type; send application/json",
        StatusCodes.Status401Unauthorized => "no credentials, or credentials that are not valid",
        StatusCodes.Status403Forbidden => "the caller may not do this",
        _ => "the request cannot be read",
    };

    private static string? HelpOf(string? reason) =>
        string.IsNullOrEmpty(reason) ? null : "docs/reference/errors.md#" + FieldNames.Lower(reason);

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static List<T>? NullIfNone<T>(IEnumerable<T> items)
    {
        var list = items.ToList();
        return list.Count > 0 ? list : null;
    }
}
