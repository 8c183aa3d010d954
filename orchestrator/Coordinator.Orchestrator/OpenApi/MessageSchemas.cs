namespace Coordinator.Orchestrator.OpenApi;

using System.Text.Json.Nodes;
using Coordinator.Orchestrator.Json;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Microsoft.OpenApi;

/// <summary>Schemas of messages, read from their descriptors, as components of one document.</summary>
internal sealed class MessageSchemas(OpenApiDocument document, MessageTexts texts)
{
    /// <summary>A reference to the schema of a message, which becomes a component with all that it needs.</summary>
    public IOpenApiSchema Of(MessageDescriptor message) =>
        OwnForm(message) is { } own ? own : Component(message.Name, schema => Fill(schema, message));

    /// <summary>The schema of one value of a field: of an item, where it is a list.</summary>
    public IOpenApiSchema OfValue(FieldDescriptor field) => field.FieldType switch
    {
        FieldType.Message => Of(field.MessageType),
        FieldType.Enum => OfEnum(field.EnumType),
        FieldType.String => Text(),
        FieldType.Bytes => Text("byte"),
        FieldType.Bool => new OpenApiSchema { Type = JsonSchemaType.Boolean },
        FieldType.Double or FieldType.Float => new OpenApiSchema { Type = JsonSchemaType.Number, Format = "double" },
        FieldType.Int64 or FieldType.SInt64 or FieldType.SFixed64 => Text("int64"),
        FieldType.UInt64 or FieldType.Fixed64 => Text("uint64"),
        _ => new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32" },
    };

    /// <summary>The schema of a field with all its values.</summary>
    public IOpenApiSchema OfField(FieldDescriptor field) => field switch
    {
        { IsMap: true } => new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            AdditionalProperties = OfValue(field.MessageType.FindFieldByNumber(2)),
        },
        { IsRepeated: true } => new OpenApiSchema { Type = JsonSchemaType.Array, Items = OfValue(field) },
        _ => OfValue(field),
    };

    /// <summary>A field with its text; a reference takes its text beside it.</summary>
    public IOpenApiSchema Described(FieldDescriptor field)
    {
        var text = texts.Of(field);
        var schema = OfField(field);
        switch (schema)
        {
            case OpenApiSchema own:
                own.Description = text;
                break;
            case OpenApiSchemaReference reference:
                reference.Description = text;
                break;
        }
        return schema;
    }

    private void Fill(OpenApiSchema schema, MessageDescriptor message)
    {
        schema.Type = JsonSchemaType.Object;
        schema.Description = texts.Of(message);
        schema.AdditionalPropertiesAllowed = false;
        schema.Properties = message.Fields.InFieldNumberOrder().ToDictionary(field => field.JsonName, Described);
    }

    private OpenApiSchemaReference OfEnum(EnumDescriptor type) => Component(
        type.Name,
        schema =>
        {
            schema.Type = JsonSchemaType.String;
            schema.Enum = [.. type.Values.Select(value => (JsonNode)JsonValue.Create(value.Name))];
        });

    /// <summary>It is there before it is filled, since messages contain themselves.</summary>
    private OpenApiSchemaReference Component(string name, Action<OpenApiSchema> fill)
    {
        var components = document.Components ??= new OpenApiComponents();
        var schemas = components.Schemas ??= new Dictionary<string, IOpenApiSchema>();
        if (!schemas.ContainsKey(name))
        {
            var schema = new OpenApiSchema();
            schemas[name] = schema;
            fill(schema);
        }
        return new OpenApiSchemaReference(name, document);
    }

    private static OpenApiSchema? OwnForm(MessageDescriptor message) =>
        message == Timestamp.Descriptor ? Text("date-time")
        : message == Duration.Descriptor ? new OpenApiSchema { Type = JsonSchemaType.String, Pattern = @"^-?[0-9]+(\.[0-9]{1,9})?s$" }
        : message == Struct.Descriptor ? new OpenApiSchema { Type = JsonSchemaType.Object, AdditionalPropertiesAllowed = true }
        : FieldValues.HasOwnForm(message) ? new OpenApiSchema()
        : null;

    private static OpenApiSchema Text(string? format = null) => new() { Type = JsonSchemaType.String, Format = format };
}
