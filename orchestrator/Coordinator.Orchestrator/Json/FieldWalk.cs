namespace Coordinator.Orchestrator.Json;

using System.Text.Json;
using Coordinator.Error.V1;
using Google.Protobuf.Reflection;

/// <summary>Writes the JSON of a message anew with the names of the contract, and collects what is wrong with it.</summary>
/// <remarks>
/// Keys of maps and all that stands inside a Struct belong to the caller and are left alone.
/// </remarks>
internal sealed class FieldWalk(Utf8JsonWriter writer)
{
    private const int MostTold = 64;
    private const int LongestShown = 64;

    private readonly HashSet<(FieldDescriptor Field, string Key)> _noted = [];

    /// <summary>The first of what is wrong, at most 64.</summary>
    public List<FieldFault> Faults { get; } = [];

    /// <summary>Each legacy spelling where it stood first, at most 64.</summary>
    public List<LegacySpelling> Legacy { get; } = [];

    /// <summary>One message, which stands at <paramref name="path"/>.</summary>
    public void Message(JsonElement value, MessageDescriptor message, string path)
    {
        var given = new Dictionary<FieldDescriptor, string>();
        writer.WriteStartObject();
        foreach (var property in value.EnumerateObject())
        {
            if (Faults.Count < MostTold && Named(property.Name, message, path) is { } field)
            {
                Property(property, field, given, Join(path, field.JsonName));
            }
        }
        writer.WriteEndObject();
    }

    private void Property(JsonProperty property, FieldDescriptor field, Dictionary<FieldDescriptor, string> given, string path)
    {
        if (!given.TryAdd(field, property.Name))
        {
            Fault(ErrorReason.FieldConflict, path, $"given twice, as '{Shown(given[field])}' and as '{Shown(property.Name)}'");
            return;
        }
        writer.WritePropertyName(field.JsonName);
        Value(property.Value, field, path);
    }

    private FieldDescriptor? Named(string key, MessageDescriptor message, string path)
    {
        var names = FieldNames.Of(message);
        var field = names.Find(key);
        if (field is null)
        {
            Fault(ErrorReason.FieldUnknown, Join(path, key), $"{message.Name} has no such field", names.Nearest(Shown(key)));
        }
        else if (names.IsLegacy(key) && Legacy.Count < MostTold && _noted.Add((field, key)))
        {
            Legacy.Add(new LegacySpelling(field.FullName, Join(path, key), field.JsonName));
        }
        return field;
    }

    private void Value(JsonElement value, FieldDescriptor field, string path)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            writer.WriteNullValue();
        }
        else if (field.IsMap)
        {
            Entries(value, field.MessageType.FindFieldByNumber(2), path);
        }
        else if (field.IsRepeated)
        {
            Items(value, field, path);
        }
        else
        {
            Single(value, field, path);
        }
    }

    private void Entries(JsonElement value, FieldDescriptor field, string path)
    {
        writer.WriteStartObject();
        foreach (var entry in Expect(value, JsonValueKind.Object, path) ? value.EnumerateObject() : default)
        {
            writer.WritePropertyName(entry.Name);
            Single(entry.Value, field, Join(path, entry.Name));
        }
        writer.WriteEndObject();
    }

    private void Items(JsonElement value, FieldDescriptor field, string path)
    {
        var index = 0;
        writer.WriteStartArray();
        foreach (var item in Expect(value, JsonValueKind.Array, path) ? value.EnumerateArray() : default)
        {
            Single(item, field, $"{path}[{index++}]");
        }
        writer.WriteEndArray();
    }

    private void Single(JsonElement value, FieldDescriptor field, string path)
    {
        if (field.FieldType == FieldType.Message && !FieldValues.HasOwnForm(field.MessageType))
        {
            Nested(value, field.MessageType, path);
            return;
        }
        var fault = FieldValues.Check(value, field);
        if (fault.Description.Length > 0)
        {
            Fault(ErrorReason.FieldInvalid, path, fault.Description, fault.Suggestion);
        }
        value.WriteTo(writer);
    }

    private void Nested(JsonElement value, MessageDescriptor message, string path)
    {
        if (Expect(value, JsonValueKind.Object, path))
        {
            Message(value, message, path);
        }
        else
        {
            writer.WriteNullValue();
        }
    }

    private bool Expect(JsonElement value, JsonValueKind kind, string path)
    {
        var fits = value.ValueKind == kind;
        if (!fits)
        {
            Fault(ErrorReason.FieldInvalid, path, $"expected {FieldValues.Noun(kind)}, not {FieldValues.Noun(value.ValueKind)}");
        }
        return fits;
    }

    private void Fault(ErrorReason reason, string path, string description, string suggestion = "")
    {
        if (Faults.Count < MostTold)
        {
            Faults.Add(new FieldFault(reason, path, description, suggestion));
        }
    }

    private static string Join(string path, string name) => path.Length > 0 ? $"{path}.{Shown(name)}" : Shown(name);

    private static string Shown(string name) => name.Length > LongestShown ? name[..LongestShown] : name;
}
