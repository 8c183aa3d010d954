namespace Coordinator.Orchestrator.Responses;

/// <summary>A failed request, ready to be written.</summary>
/// <param name="StatusCode">HTTP status.</param>
/// <param name="Message">For people.</param>
/// <param name="Error">For programs.</param>
internal sealed record Refusal(int StatusCode, string Message, ApiError Error)
{
    /// <summary>As the body of a reply.</summary>
    public ApiResponse<object> ToResponse() => new() { Success = false, Message = Message, Error = Error, StatusCode = StatusCode };
}
