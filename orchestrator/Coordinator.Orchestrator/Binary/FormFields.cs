namespace Coordinator.Orchestrator.Binary;

using System.Text.Json;
using System.Text.Json.Nodes;
using Coordinator.Orchestrator.Json;
using Google.Protobuf;
using Google.Protobuf.Reflection;

/// <summary>The readable parts of a form: a JSON object, and fields by their path.</summary>
/// <param name="longest">Characters that all of them may have together.</param>
internal sealed class FormFields(long longest)
{
    /// <summary>Name of the part that is the whole request as JSON.</summary>
    public const string RequestPart = "request";

    private readonly List<KeyValuePair<string, string>> _fields = [];
    private JsonObject? _request;

    /// <summary>Characters that are left.</summary>
    public long Left { get; private set; } = longest;

    /// <summary>The part that is the whole request as JSON.</summary>
    public void AddJson(string json)
    {
        Take(json.Length);
        if (_request is not null)
        {
            throw RequestRefusedException.Conflict(RequestPart, "two parts of that name");
        }
        try
        {
            _request = JsonNode.Parse(json, null, new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject
                ?? throw RequestRefusedException.Invalid(RequestPart, "expected an object");
        }
        catch (JsonException)
        {
            throw RequestRefusedException.Invalid(RequestPart, "the part is not JSON, or a key stands in it twice");
        }
        catch (InvalidOperationException)
        {
            throw RequestRefusedException.NotUnicode(RequestPart);
        }
    }

    /// <summary>One field by its path, as in a query.</summary>
    public void Add(string path, string value)
    {
        Take(path.Length + value.Length);
        _fields.Add(new(path, value));
    }

    /// <summary>All of it as a message.</summary>
    public T Read<T>(HttpContext context)
        where T : IMessage, new() => (T)MessageInputFormatter.Read(context, Json(new T().Descriptor), new T().Descriptor);

    private void Take(int length)
    {
        Left -= length;
        RequestRefusedException.ThrowIfTooLarge(Left < 0, "the texts of the form are too large; send them as files");
    }

    private byte[] Json(MessageDescriptor message)
    {
        var root = _request ?? [];
        try
        {
            foreach (var same in _fields.GroupBy(field => field.Key, field => field.Value, StringComparer.Ordinal))
            {
                QueryReader.Put(root, message, same.Key, new([.. same]));
            }
            return JsonSerializer.SerializeToUtf8Bytes(root);
        }
        catch (Exception error) when (error is InvalidOperationException or JsonException) // the first look at its texts
        {
            throw RequestRefusedException.NotUnicode(RequestPart);
        }
    }
}
