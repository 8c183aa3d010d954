namespace Coordinator.Orchestrator.Json;

using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Microsoft.Extensions.Primitives;

/// <summary>Requests without a body: a message from the query, <c>selector.states=A&amp;labels.team=ocr&amp;pageSize=10</c>.</summary>
internal static class QueryReader
{
    /// <summary>The message that the query spells; legacy spellings are accepted and noted as in bodies.</summary>
    /// <exception cref="RequestRefusedException">With every fault.</exception>
    public static T Read<T>(HttpContext context)
        where T : IMessage, new()
    {
        var root = new JsonObject();
        foreach (var (key, values) in context.Request.Query)
        {
            Put(root, new T().Descriptor, key, values);
        }
        return (T)MessageInputFormatter.Read(context, JsonSerializer.SerializeToUtf8Bytes(root), new T().Descriptor);
    }

    /// <summary>Puts the value of one path into the JSON of a message.</summary>
    public static void Put(JsonObject parent, MessageDescriptor message, string key, StringValues values)
    {
        var dot = key.IndexOf('.', StringComparison.Ordinal);
        var name = dot < 0 ? key : key[..dot];
        var field = FieldNames.Of(message).Find(name);
        if (dot < 0 || field?.FieldType != FieldType.Message)
        {
            Add(parent, key, ToNode(field, values));
            return;
        }
        if (parent[name] is not JsonObject child)
        {
            Add(parent, name, child = []);
        }
        if (field.IsMap)
        {
            Add(child, key[(dot + 1)..], ToNode(field.MessageType.FindFieldByNumber(2), values));
        }
        else
        {
            Put(child, field.MessageType, key[(dot + 1)..], values);
        }
    }

    private static void Add(JsonObject parent, string name, JsonNode? value)
    {
        if (!parent.TryAdd(name, value))
        {
            throw RequestRefusedException.Conflict(name, "given twice");
        }
    }

    private static JsonNode? ToNode(FieldDescriptor? field, StringValues values) =>
        field is { IsRepeated: true, IsMap: false }
            ? new JsonArray([.. values.Select(value => Single(field, value))])
            : values.Count == 1 ? Single(field, values[0]) : new JsonArray([.. values.Select(value => Single(field, value))]);

    private static JsonValue? Single(FieldDescriptor? field, string? value) =>
        field?.FieldType == FieldType.Bool && bool.TryParse(value, out var flag) ? JsonValue.Create(flag) : JsonValue.Create(value);
}
