namespace Coordinator.Orchestrator.OpenApi;

using Microsoft.OpenApi;

/// <summary>The schema of ApiError, and what each HTTP status says.</summary>
internal static class ErrorSchema
{
    private const string Name = "ApiError";

    /// <summary>A reference to it.</summary>
    public static IOpenApiSchema Of(OpenApiDocument document)
    {
        document.Components ??= new OpenApiComponents();
        document.Components.Schemas ??= new Dictionary<string, IOpenApiSchema>();
        document.Components.Schemas.TryAdd(Name, Make());
        return new OpenApiSchemaReference(Name, document);
    }

    /// <summary>What a refusal of that status says.</summary>
    public static string TextOf(int status) => status switch
    {
        400 => "A field is wrong, or the state does not allow it.",
        401 => "No token, or one that is not valid; WWW-Authenticate says which.",
        403 => "The token may not do this; WWW-Authenticate says which scope it needs.",
        404 => "What the path or the body names is not there.",
        409 => "It is there already, or the Idempotency-Key was used with other content.",
        413 => "The body is too large.",
        429 => "As much work as is taken; Retry-After says when to ask again.",
        502 => "The coordinator and the web API do not fit: its contract is another, or it refuses the credentials of the web API.",
        503 => "The coordinator cannot be reached, or drains; Retry-After says when to ask again.",
        504 => "No answer in time; the work may go on, and Location is where to read it.",
        _ => "A fault of the server.",
    };

    private static OpenApiSchema Make() => Object(
        ("code", Text()),
        ("reason", Text()),
        ("fields", List(Object(("field", Text()), ("description", Text()), ("suggestion", Text())))),
        ("resource", Object(("type", Text()), ("name", Text()))),
        ("preconditions", List(Object(("type", Text()), ("subject", Text()), ("description", Text())))),
        ("metadata", new OpenApiSchema { Type = JsonSchemaType.Object, AdditionalProperties = Text() }),
        ("retryAfterSeconds", new OpenApiSchema { Type = JsonSchemaType.Number }),
        ("help", Text()));

    private static OpenApiSchema Object(params (string Name, IOpenApiSchema Schema)[] properties) =>
        new() { Type = JsonSchemaType.Object, Properties = properties.ToDictionary(one => one.Name, one => one.Schema) };

    private static OpenApiSchema List(IOpenApiSchema item) => new() { Type = JsonSchemaType.Array, Items = item };

    private static OpenApiSchema Text() => new() { Type = JsonSchemaType.String };
}
