namespace Coordinator.Orchestrator.Security;

using Coordinator.Orchestrator.Responses;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Authorization.Policy;
using Microsoft.Net.Http.Headers;

/// <summary>Tells a caller whose token is not enough what would be (RFC 6750, section 3.1).</summary>
internal sealed class AccessRefusal : IAuthorizationMiddlewareResultHandler
{
    private readonly AuthorizationMiddlewareResultHandler _other = new();

    public Task HandleAsync(RequestDelegate next, HttpContext context, AuthorizationPolicy policy, PolicyAuthorizationResult authorizeResult)
    {
        if (!authorizeResult.Forbidden)
        {
            return _other.HandleAsync(next, context, policy, authorizeResult);
        }
        var needed = policy.Requirements.OfType<AccessRequirement>().First().Name;
        context.Response.Headers[HeaderNames.WWWAuthenticate] = $"Bearer error=\"insufficient_scope\", scope=\"{needed}\"";
        return RefusalWriter.WriteAsync(context, Refusals.NotEnough(needed));
    }
}
