namespace Coordinator.Orchestrator.Security;

using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Mvc;

/// <summary>Bearer tokens of callers; asked for where the section of ASP.NET Core that describes them is there.</summary>
internal static class Bearer
{
    private const string Section = "Authentication:Schemes:" + JwtBearerDefaults.AuthenticationScheme;

    /// <summary>Reads tokens as the section says, and asks every route but health for one.</summary>
    public static void AddBearer(this WebApplicationBuilder builder)
    {
        if (IsConfigured(builder.Configuration))
        {
            AddAuthentication(builder.Services);
            AddAuthorization(builder.Services);
        }
    }

    /// <summary>Refuses callers without a token, or with one that is not enough.</summary>
    public static void UseBearer(this WebApplication application)
    {
        if (IsConfigured(application.Configuration))
        {
            application.UseAuthentication();
            application.UseAuthorization();
        }
    }

    private static void AddAuthentication(IServiceCollection services)
    {
        services.AddAuthentication().AddJwtBearer(options => options.MapInboundClaims = false); // "scope" stays "scope"
        services.AddOptions<JwtBearerOptions>(JwtBearerDefaults.AuthenticationScheme)
            .Validate(HasKeys, $"{Section} has no SigningKeys of its ValidIssuer, and no Authority to ask for them: no token would be valid")
            .ValidateOnStart();
    }

    private static void AddAuthorization(IServiceCollection services)
    {
        services.AddSingleton<IAuthorizationMiddlewareResultHandler, AccessRefusal>();
        services.AddAuthorization(AddPolicies);
        services.Configure<MvcOptions>(options => options.Conventions.Add(new AccessConvention()));
    }

    private static bool IsConfigured(IConfiguration configuration) => configuration.GetSection(Section).Exists();

    private static bool HasKeys(JwtBearerOptions options) =>
        options.ConfigurationManager is not null || options.TokenValidationParameters.IssuerSigningKeys?.Any() == true;

    private static void AddPolicies(AuthorizationOptions options)
    {
        foreach (var access in Access.All)
        {
            options.AddPolicy(access, policy => policy.RequireAuthenticatedUser().AddRequirements(new AccessRequirement(access)));
        }
        options.FallbackPolicy = options.GetPolicy(Access.Read);
    }
}
