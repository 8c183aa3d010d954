namespace Coordinator.Orchestrator.Responses;

using System.Text.Json.Serialization;

/// <summary>What every reply of <c>api/</c> is, whatever it carries.</summary>
internal interface IApiResponse
{
    /// <summary>HTTP status of the reply.</summary>
    int StatusCode { get; }

    /// <summary>Why not; null for success.</summary>
    ApiError? Error { get; }

    /// <summary>Where what was made can be read; null if nothing was.</summary>
    string? Location { get; }

    /// <summary>The same reply with what is known only at its end.</summary>
    IApiResponse With(IReadOnlyList<string>? warnings, string? traceId);
}

/// <summary>One shape for success and failure.</summary>
/// <typeparam name="T">A message of the contract, in its own JSON form.</typeparam>
internal sealed record ApiResponse<T> : IApiResponse
    where T : class
{
    /// <summary>False if the request was refused, or what it started has failed.</summary>
    public required bool Success { get; init; }

    /// <summary>For people: what, where, and the next thing to do.</summary>
    public string? Message { get; init; }

    /// <summary>The response of the RPC; also filled for a session that failed.</summary>
    public T? Data { get; init; }

    /// <summary>Why not.</summary>
    public ApiError? Error { get; init; }

    /// <summary>Legacy spellings and other things to mend.</summary>
    public IReadOnlyList<string>? Warnings { get; init; }

    /// <summary>W3C trace id, 32 hexadecimal digits.</summary>
    public string? TraceId { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public int StatusCode { get; init; } = StatusCodes.Status200OK;

    /// <inheritdoc/>
    [JsonIgnore]
    public string? Location { get; init; }

    /// <inheritdoc/>
    public IApiResponse With(IReadOnlyList<string>? warnings, string? traceId) =>
        this with { Warnings = warnings is null ? Warnings : [.. warnings, .. Warnings ?? []], TraceId = traceId };
}
