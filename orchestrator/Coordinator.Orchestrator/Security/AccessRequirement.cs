namespace Coordinator.Orchestrator.Security;

using System.Security.Claims;
using Microsoft.AspNetCore.Authorization;

/// <summary>A token needs a scope, or a role, of that name or of one that includes it.</summary>
/// <param name="access">One of <see cref="Access"/>.</param>
internal sealed class AccessRequirement(string access) : AuthorizationHandler<AccessRequirement>, IAuthorizationRequirement
{
    /// <summary>What issuers call it: of OAuth 2.0, of others, and of roles.</summary>
    private static readonly string[] Claims = ["scope", "scp", "role", "roles"];

    private readonly IReadOnlyList<string> _sufficient = Access.Sufficient(access);

    /// <summary>What is needed.</summary>
    public string Name { get; } = access;

    protected override Task HandleRequirementAsync(AuthorizationHandlerContext context, AccessRequirement requirement)
    {
        if (context.User.Claims.Any(requirement.Grants))
        {
            context.Succeed(requirement);
        }
        return Task.CompletedTask;
    }

    private bool Grants(Claim claim) => Claims.Contains(claim.Type) && claim.Value.Split(' ').Any(_sufficient.Contains);
}
