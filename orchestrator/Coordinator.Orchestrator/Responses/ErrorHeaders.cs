namespace Coordinator.Orchestrator.Responses;

using System.Globalization;

/// <summary>What headers say of an error beside its body.</summary>
internal static class ErrorHeaders
{
    /// <summary>When to come again, and that a token is asked for.</summary>
    public static void Write(IHeaderDictionary headers, int statusCode, ApiError error)
    {
        if (error.RetryAfterSeconds is { } seconds)
        {
            headers.RetryAfter = Math.Max(1, Math.Ceiling(seconds)).ToString(CultureInfo.InvariantCulture);
        }
        if (statusCode == StatusCodes.Status401Unauthorized && headers.WWWAuthenticate.Count == 0)
        {
            headers.WWWAuthenticate = "Bearer";
        }
    }
}
