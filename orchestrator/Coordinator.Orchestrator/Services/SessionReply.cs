namespace Coordinator.Orchestrator.Services;

using Coordinator.Error.V1;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>What became of an execution, as a reply: ended well, still running, or failed.</summary>
internal static class SessionReply
{
    /// <summary>200 if it succeeded, 202 with its location if it runs, else the status of its failure; always with data.</summary>
    public static ApiResponse<PostWorkflowExecuteResponse> Of(PostWorkflowExecuteResponse response, string routes)
    {
        var session = response.Session ?? new Session();
        var reply = new ApiResponse<PostWorkflowExecuteResponse>
        {
            Success = true,
            Data = response,
            Warnings = response.Warnings.Count > 0 ? [.. response.Warnings] : null,
            Location = session.SessionId.Length > 0 ? $"{routes}/sessions/{session.SessionId}" : null,
        };
        return session switch
        {
            { Failure: { } failure } => Failed(reply, failure),
            { State: SessionState.Succeeded or SessionState.Unspecified } => reply,
            _ => reply with { StatusCode = StatusCodes.Status202Accepted },
        };
    }

    private static ApiResponse<PostWorkflowExecuteResponse> Failed(ApiResponse<PostWorkflowExecuteResponse> reply, Failure failure)
    {
        var code = (StatusCode)failure.StatusCode;
        return reply with
        {
            Success = false,
            Message = failure.Message,
            StatusCode = StatusMap.ToHttp(code, failure.Reason),
            Error = new ApiError
            {
                Code = StatusMap.Name(code),
                Reason = ReasonOf(failure),
                Metadata = failure.Metadata.Count > 0 ? new Dictionary<string, string>(failure.Metadata) : null,
                Fields = failure.FieldViolations.Count > 0 ? [.. failure.FieldViolations.Select(Field)] : null,
                RetryAfterSeconds = failure.RetryDelay?.ToTimeSpan().TotalSeconds,
            },
        };
    }

    private static string ReasonOf(Failure failure) =>
        failure.ReasonName.Length > 0 ? failure.ReasonName : ReasonNames.Of(failure.Reason);

    private static ApiField Field(FieldViolation violation) => new(
        FieldPaths.Camel(violation.FieldPath),
        violation.Description,
        violation.Suggestion.Length > 0 ? violation.Suggestion : null);
}
