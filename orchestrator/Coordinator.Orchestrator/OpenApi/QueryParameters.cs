namespace Coordinator.Orchestrator.OpenApi;

using Google.Protobuf.Reflection;
using Microsoft.OpenApi;

/// <summary>The fields of a message as parameters of a query.</summary>
internal static class QueryParameters
{
    /// <summary>One parameter a field; those of a message inside by their path.</summary>
    public static IEnumerable<OpenApiParameter> Of(MessageDescriptor message, MessageSchemas schemas, string prefix = "") =>
        message.Fields.InFieldNumberOrder().SelectMany(field => Of(field, schemas, prefix));

    private static IEnumerable<OpenApiParameter> Of(FieldDescriptor field, MessageSchemas schemas, string prefix) => field switch
    {
        { IsMap: true } => [Parameter($"{prefix}{field.JsonName}.key", field, schemas.OfValue(field.MessageType.FindFieldByNumber(2)), schemas)],
        { FieldType: FieldType.Message } when !Json.FieldValues.HasOwnForm(field.MessageType) => Of(field.MessageType, schemas, $"{prefix}{field.JsonName}."),
        _ => [Parameter(prefix + field.JsonName, field, schemas.OfField(field), schemas)],
    };

    private static OpenApiParameter Parameter(string name, FieldDescriptor field, IOpenApiSchema schema, MessageSchemas schemas) =>
        new() { Name = name, In = ParameterLocation.Query, Schema = schema, Description = schemas.Described(field).Description };
}
