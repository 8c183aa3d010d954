namespace Coordinator.Orchestrator.Hosting;

using Scalar.AspNetCore;

/// <summary>A page to try the routes; it loads nothing from elsewhere.</summary>
internal static class TryPage
{
    private const string OnlyHere =
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'";

    /// <summary>Serves it at <c>/scalar</c>.</summary>
    public static void MapTryPage(this WebApplication application)
    {
        application.MapScalarApiReference(options =>
        {
            options.Title = "Coordinator";
            options.DefaultFonts = false;
            options.Telemetry = false;
            options.HideClientButton = true;
        }).AddEndpointFilter(static (context, next) =>
        {
            context.HttpContext.Response.Headers.ContentSecurityPolicy = OnlyHere;
            return next(context);
        }).AllowAnonymous();
    }
}
