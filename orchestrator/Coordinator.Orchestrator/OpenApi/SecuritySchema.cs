namespace Coordinator.Orchestrator.OpenApi;

using Coordinator.Orchestrator.Security;
using Microsoft.OpenApi;

/// <summary>The bearer token in the document, and which scope of it each method needs.</summary>
internal static class SecuritySchema
{
    private const string Name = "bearer";

    /// <summary>Makes the scheme a component.</summary>
    public static void Add(OpenApiDocument document) => document.Components!.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
    {
        [Name] = new OpenApiSecurityScheme
        {
            Type = SecuritySchemeType.Http,
            Scheme = Name,
            BearerFormat = "JWT",
            Description = "Asked for where the web API was told of an issuer; scopes or roles are read, operate and admin, each with those before it.",
        },
    };

    /// <summary>What a method needs.</summary>
    public static IList<OpenApiSecurityRequirement> Of(OpenApiDocument document, string httpMethod) =>
        [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(Name, document)] = [Access.Of(httpMethod)] }];
}
