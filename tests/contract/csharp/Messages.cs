using Google.Protobuf;

namespace ContractCheck;

/// <summary>Messages that another language encoded, through C# and out again.</summary>
internal static class Messages
{
    private static readonly JsonFormatter Formatter = new(JsonFormatter.Settings.Default);

    /// <summary>
    /// Writes OUTPUT/name.binpb and name.json from name.binpb, and name.parsed.binpb from name.json. A file that cannot
    /// be read, or that has a field unknown to C#, is a line.
    /// </summary>
    public static IEnumerable<string> Reencode(Contract contract, string input, string output)
    {
        foreach (var path in Directory.EnumerateFiles(input, "*.binpb").Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileNameWithoutExtension(path);
            var target = Path.Combine(output, name);
            var descriptor = contract.Messages[name.Split('#')[0]];
            var message = descriptor.Parser.WithDiscardUnknownFields(true).ParseFrom(File.ReadAllBytes(path));
            File.WriteAllBytes($"{target}.binpb", message.ToByteArray());
            File.WriteAllText($"{target}.json", Formatter.Format(message));
            var parsed = JsonParser.Default.Parse(File.ReadAllText(Path.ChangeExtension(path, ".json")), descriptor);
            File.WriteAllBytes($"{target}.parsed.binpb", parsed.ToByteArray());
            if (!parsed.Equals(message))
            {
                yield return $"{name}: the message from JSON is not the message from bytes";
            }
        }
    }
}
