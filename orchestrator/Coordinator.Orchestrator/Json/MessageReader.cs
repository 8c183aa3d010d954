namespace Coordinator.Orchestrator.Json;

using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Coordinator.Error.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;

/// <summary>Reads messages from JSON in any spelling of their fields.</summary>
internal static class MessageReader
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false, MaxDepth = 100 };

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    private static readonly JsonParser Parser = new(JsonParser.Settings.Default.WithIgnoreUnknownFields(false));

    /// <summary>The message, and the legacy spellings that were met.</summary>
    /// <exception cref="RequestRefusedException">With every fault.</exception>
    public static (IMessage Message, IReadOnlyList<LegacySpelling> Legacy) Read(ReadOnlyMemory<byte> json, MessageDescriptor message)
    {
        using var document = Parse(json);
        return Read(document.RootElement, message);
    }

    /// <inheritdoc cref="Read(ReadOnlyMemory{byte}, MessageDescriptor)"/>
    public static (IMessage Message, IReadOnlyList<LegacySpelling> Legacy) Read(JsonElement json, MessageDescriptor message)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw RequestRefusedException.Invalid("", $"expected an object, not {FieldValues.Noun(json.ValueKind)}");
        }
        var buffer = new ArrayBufferWriter<byte>();
        using var writer = new Utf8JsonWriter(buffer);
        var walk = new FieldWalk(writer);
        Walk(walk, json, message);
        writer.Flush();
        RequestRefusedException.ThrowIfAny(walk.Faults);
        return (Parse(buffer.WrittenSpan, message), walk.Legacy);
    }

    private static void Walk(FieldWalk walk, JsonElement json, MessageDescriptor message)
    {
        try
        {
            walk.Message(json, message, "");
        }
        catch (InvalidOperationException)
        {
            throw RequestRefusedException.NotUnicode("");
        }
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> json)
    {
        if (!Utf8.IsValid(json.Span))
        {
            throw RequestRefusedException.Invalid("", "the body is not UTF-8");
        }
        try
        {
            return JsonDocument.Parse(WithoutMark(json), Strict);
        }
        catch (JsonException error)
        {
            throw RequestRefusedException.Invalid("", NotJson(error));
        }
        catch (InvalidOperationException)
        {
            throw RequestRefusedException.NotUnicode("");
        }
    }

    /// <summary>Some editors and shells begin a file with one; a reader may leave it out (RFC 8259, section 8.1).</summary>
    private static ReadOnlyMemory<byte> WithoutMark(ReadOnlyMemory<byte> json) =>
        json.Span.StartsWith(ByteOrderMark) ? json[ByteOrderMark.Length..] : json;

    private static string NotJson(JsonException error) =>
        error.LineNumber is { } line && error.BytePositionInLine is { } position
            ? $"the body is not JSON: line {line + 1}, byte {position + 1}"
            : "the body is not JSON, or a key stands in it twice";

    /// <summary>What the walk lets pass and the parser does not is the last resort: it has no path.</summary>
    private static IMessage Parse(ReadOnlySpan<byte> json, MessageDescriptor message)
    {
        try
        {
            return Parser.Parse(Encoding.UTF8.GetString(json), message);
        }
        catch (Exception error) when (error is InvalidProtocolBufferException or InvalidJsonException or FormatException)
        {
            throw new RequestRefusedException([new FieldFault(ErrorReason.FieldInvalid, "", $"the body is not a {message.Name}: {error.Message}")]);
        }
    }
}
