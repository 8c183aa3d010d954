namespace Coordinator.Orchestrator.Responses;

using System.Diagnostics;
using Coordinator.Orchestrator.Controllers;
using Coordinator.Orchestrator.Json;
using Microsoft.AspNetCore.Mvc;

/// <summary>Writes refusals: as an ApiResponse, or with the same facts as problem details to who prefers them.</summary>
internal static class RefusalWriter
{
    private const string Problem = "application/problem+json";

    /// <summary>Writes status, headers and body; also to a caller who is about to leave.</summary>
    public static Task WriteAsync(HttpContext context, Refusal refusal)
    {
        context.Response.StatusCode = refusal.StatusCode;
        var notes = context.Features.Get<RequestNotes>();
        WriteHeaders(context.Response.Headers, refusal, notes);
        var traceId = Activity.Current?.TraceId.ToHexString();
        if (PrefersProblem(context.Request))
        {
            return context.Response.WriteAsJsonAsync(ToProblem(refusal, traceId), options: null, Problem, CancellationToken.None);
        }
        return context.Response.WriteAsJsonAsync((ApiResponse<object>)refusal.ToResponse().With(notes?.Warnings, traceId), CancellationToken.None);
    }

    private static void WriteHeaders(IHeaderDictionary headers, Refusal refusal, RequestNotes? notes)
    {
        if (notes is { IdempotencyKey.Length: > 0 })
        {
            headers[Idempotency.Header] = notes.IdempotencyKey;
        }
        if (refusal.StatusCode == StatusCodes.Status504GatewayTimeout)
        {
            headers.Location = notes?.WorkLocation;
        }
        ErrorHeaders.Write(headers, refusal.StatusCode, refusal.Error);
    }

    private static bool PrefersProblem(HttpRequest request) =>
        request.GetTypedHeaders().Accept.OrderByDescending(accepted => accepted.Quality ?? 1).FirstOrDefault() is { } first
        && first.MediaType.Equals(Problem, StringComparison.OrdinalIgnoreCase);

    private static ProblemDetails ToProblem(Refusal refusal, string? traceId) => new()
    {
        Status = refusal.StatusCode,
        Title = refusal.Error.Reason ?? refusal.Error.Code,
        Detail = refusal.Message,
        Extensions = { ["error"] = refusal.Error, ["traceId"] = traceId },
    };
}
