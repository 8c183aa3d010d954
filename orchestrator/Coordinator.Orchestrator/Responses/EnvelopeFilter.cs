namespace Coordinator.Orchestrator.Responses;

using System.Diagnostics;
using Coordinator.Orchestrator.Json;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.Filters;

/// <summary>Gives each ApiResponse its status, its headers, the warnings of the request and the trace id.</summary>
internal sealed class EnvelopeFilter : IResultFilter
{
    public void OnResultExecuting(ResultExecutingContext context)
    {
        if (context.Result is ObjectResult { Value: IApiResponse response } result)
        {
            var warnings = context.HttpContext.Features.Get<RequestNotes>()?.Warnings;
            result.Value = response.With(warnings, Activity.Current?.TraceId.ToHexString());
            result.DeclaredType = result.Value.GetType();
            result.StatusCode = response.StatusCode;
            WriteHeaders(context.HttpContext.Response.Headers, response);
        }
    }

    private static void WriteHeaders(IHeaderDictionary headers, IApiResponse response)
    {
        headers.Location = response.Location;
        if (response.Error is { } error)
        {
            ErrorHeaders.Write(headers, response.StatusCode, error);
        }
    }

    public void OnResultExecuted(ResultExecutedContext context)
    {
    }
}
