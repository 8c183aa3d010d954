namespace Coordinator.Orchestrator.Json;

using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;

/// <summary>Whether a JSON value is one that a field can take.</summary>
internal static class FieldValues
{
    /// <summary>True for a message of google.protobuf, which has a JSON form of its own.</summary>
    public static bool HasOwnForm(MessageDescriptor message) => message.File.Package == "google.protobuf";

    /// <summary>What is wrong with a single value, and the nearest right one; both empty if it fits.</summary>
    public static (string Description, string Suggestion) Check(JsonElement value, FieldDescriptor field) =>
        field.FieldType switch
        {
            FieldType.Enum => CheckEnum(value, field.EnumType),
            FieldType.String => Unless(value.ValueKind == JsonValueKind.String, "a string", value),
            FieldType.Bool => Unless(value.ValueKind is JsonValueKind.True or JsonValueKind.False, "true or false", value),
            FieldType.Bytes => Unless(IsBase64(value), "bytes in base64", value),
            FieldType.Float or FieldType.Double => Unless(IsNumber(value), "a number", value),
            FieldType.Message => CheckOwnForm(value, field.MessageType),
            _ => Unless(IsWhole(value, field.FieldType), Range(field.FieldType), value),
        };

    /// <summary>What people call a kind of JSON.</summary>
    public static string Noun(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "true or false",
        _ => "null",
    };

    private static (string Description, string Suggestion) CheckEnum(JsonElement value, EnumDescriptor type)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            return Unless(value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out _), $"a name of {type.Name}", value);
        }
        var name = value.GetString()!;
        var known = type.Values.Select(one => one.Name).ToList();
        return known.Contains(name, StringComparer.Ordinal)
            ? ("", "")
            : ($"{type.Name} has no value '{Cut(name)}'", NearestValue(name, type, known));
    }

    /// <summary>`PAUSE` and `pause` are near to `CONTROL_ACTION_PAUSE`, too.</summary>
    private static string NearestValue(string name, EnumDescriptor type, List<string> known)
    {
        var prefix = known[0][..^"UNSPECIFIED".Length];
        var short_ = Nearest.To(name, known.Select(one => one[prefix.Length..]));
        return short_.Length > 0 ? prefix + short_ : Nearest.To(name, known);
    }

    private static (string Description, string Suggestion) CheckOwnForm(JsonElement value, MessageDescriptor message)
    {
        try
        {
            JsonParser.Default.Parse(value.GetRawText(), message);
            return ("", "");
        }
        catch (Exception error) when (error is InvalidProtocolBufferException or InvalidJsonException or FormatException or ArgumentException)
        {
            return (NotOwnForm(value, message), "");
        }
    }

    /// <summary>An object that is no Struct is too deep, or has a number in it that no double holds.</summary>
    private static string NotOwnForm(JsonElement value, MessageDescriptor message) =>
        message == Struct.Descriptor && value.ValueKind == JsonValueKind.Object
            ? "nested too deeply, or a number in it is out of the range of 64 bits of floating point"
            : $"expected {Example(message)}, not {Shown(value)}";

    private static string Example(MessageDescriptor message) =>
        message == Duration.Descriptor ? "a duration such as \"1.5s\""
        : message == Timestamp.Descriptor ? "a time such as \"2026-01-31T12:00:00Z\""
        : message == Struct.Descriptor ? "an object"
        : $"the JSON form of {message.FullName}";

    private static (string Description, string Suggestion) Unless(bool fits, string wanted, JsonElement value) =>
        fits ? ("", "") : ($"expected {wanted}, not {Shown(value)}", "");

    private static string Range(FieldType type) => type switch
    {
        FieldType.Int64 or FieldType.SInt64 or FieldType.SFixed64 => "a whole number of 64 bits",
        FieldType.UInt64 or FieldType.Fixed64 => "a whole number of 64 bits, not negative",
        FieldType.UInt32 or FieldType.Fixed32 => "a whole number of 32 bits, not negative",
        _ => "a whole number of 32 bits",
    };

    private static bool IsWhole(JsonElement value, FieldType type)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText();
        var (low, high) = type switch
        {
            FieldType.Int64 or FieldType.SInt64 or FieldType.SFixed64 => (long.MinValue, (decimal)long.MaxValue),
            FieldType.UInt64 or FieldType.Fixed64 => (0, ulong.MaxValue),
            FieldType.UInt32 or FieldType.Fixed32 => (0, uint.MaxValue),
            _ => (int.MinValue, (decimal)int.MaxValue),
        };
        return value.ValueKind is JsonValueKind.Number or JsonValueKind.String
            && decimal.TryParse(text, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out var number)
            && number == decimal.Truncate(number) && number >= low && number <= high;
    }

    private static bool IsNumber(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number
        || (value.ValueKind == JsonValueKind.String
            && double.TryParse(value.GetString(), System.Globalization.CultureInfo.InvariantCulture, out _));

    private static bool IsBase64(JsonElement value) => value.ValueKind == JsonValueKind.String && value.TryGetBytesFromBase64(out _);

    private static string Shown(JsonElement value) =>
        value.ValueKind is JsonValueKind.Object or JsonValueKind.Array ? Noun(value.ValueKind) : Cut(value.GetRawText());

    private static string Cut(string text) => text.Length > 64 ? text[..64] + "..." : text;
}
