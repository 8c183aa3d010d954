namespace Coordinator.Orchestrator.Responses;

using Microsoft.AspNetCore.Diagnostics;

/// <summary>Answers for what was thrown anywhere below <c>api/</c>.</summary>
internal sealed class ErrorHandler(ErrorTranslator translator) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        if (httpContext.RequestAborted.IsCancellationRequested)
        {
            httpContext.Response.StatusCode = StatusCodes.Status499ClientClosedRequest;
            return true;
        }
        await RefusalWriter.WriteAsync(httpContext, translator.Translate(httpContext.Request.Path, exception));
        return true;
    }
}
