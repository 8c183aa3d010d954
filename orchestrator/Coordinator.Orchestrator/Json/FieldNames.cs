namespace Coordinator.Orchestrator.Json;

using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Google.Protobuf.Reflection;

/// <summary>The spellings of the fields of one message, and which field each of them means.</summary>
/// <remarks>
/// Read from the descriptor: there is no table of name pairs. The same rules as in the coordinator's
/// <c>processing_service/wire/naming.py</c>.
/// </remarks>
internal sealed partial class FieldNames
{
    private static readonly ConcurrentDictionary<MessageDescriptor, FieldNames> All = new();

    private readonly Dictionary<string, FieldDescriptor> _current = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FieldDescriptor?> _folded = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FieldDescriptor?> _listed = new(StringComparer.Ordinal);

    private FieldNames(MessageDescriptor message)
    {
        foreach (var field in message.Fields.InDeclarationOrder())
        {
            _current[field.Name] = _current[field.JsonName] = field;
            Add(_folded, Fold(field.Name), field);
            foreach (var plural in LegacyPlurals(field.Name))
            {
                Add(_listed, Fold(plural), field);
            }
        }
    }

    /// <summary>The spellings of the fields of <paramref name="message"/>.</summary>
    public static FieldNames Of(MessageDescriptor message) => All.GetOrAdd(message, made => new FieldNames(made));

    /// <summary>The field that <paramref name="spelling"/> means; null if there is none.</summary>
    /// <remarks>
    /// In this order: the proto or JSON name, the same letters (<c>ModelId</c>, <c>modelID</c>, <c>MODEL_ID</c>), the
    /// same with a leading <c>id</c> moved to the end (<c>idModel</c>, <c>id_model</c>), and for lists the same with the
    /// plural at either word (<c>idModels</c>, <c>idsModel</c>).
    /// </remarks>
    public FieldDescriptor? Find(string spelling) =>
        _current.GetValueOrDefault(spelling)
        ?? _folded.GetValueOrDefault(Fold(spelling))
        ?? _folded.GetValueOrDefault(Fold(Rotate(Words(spelling))))
        ?? _listed.GetValueOrDefault(Fold(spelling));

    /// <summary>True for a spelling that is accepted but should be rewritten.</summary>
    public bool IsLegacy(string spelling) => !_current.ContainsKey(spelling);

    /// <summary>The JSON name most like <paramref name="spelling"/>; empty if none is like it.</summary>
    public string Nearest(string spelling) =>
        Json.Nearest.To(Camel(Words(spelling)), _current.Values.Select(field => field.JsonName).Distinct());

    /// <summary>What all spellings of one name share: one case, without <c>_</c>.</summary>
    internal static string Fold(string name) =>
        name.Replace("_", "", StringComparison.Ordinal).ToUpperInvariant();

    /// <summary>The words of a name in whatever spelling, in lower case; digits belong to the word before them.</summary>
    internal static IReadOnlyList<string> Words(string name) =>
        [.. Word().Matches(BeforeDigit().Replace(name, "")).Select(word => Lower(word.Value))];

    private static string Camel(IReadOnlyList<string> words) =>
        string.Concat(words.Select((word, index) => index == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));

    private static string Rotate(IReadOnlyList<string> words) =>
        words.Count > 1 && words[0] == "id" ? string.Concat(words.Skip(1)) + "id" : string.Concat(words);

    private static IEnumerable<string> LegacyPlurals(string name)
    {
        if (!name.EndsWith("_ids", StringComparison.Ordinal))
        {
            return [];
        }
        var noun = name[..^"_ids".Length];
        return [$"id_{Plural(noun)}", $"ids_{noun}", $"ids_{Plural(noun)}"];
    }

    private static string Plural(string noun) =>
        ConsonantY().IsMatch(noun) ? noun[..^1] + "ies" : noun + (Hissing().IsMatch(noun) ? "es" : "s");

    /// <summary>A spelling that two fields share means neither of them.</summary>
    private static void Add(Dictionary<string, FieldDescriptor?> spellings, string key, FieldDescriptor field) =>
        spellings[key] = spellings.ContainsKey(key) ? null : field;

    internal static string Lower(string word) =>
        string.Create(word.Length, word, (span, given) => given.AsSpan().ToLowerInvariant(span));

    [GeneratedRegex("[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*")]
    private static partial Regex Word();

    [GeneratedRegex("_+(?=[0-9])")]
    private static partial Regex BeforeDigit();

    [GeneratedRegex("[^aeiou]y$")]
    private static partial Regex ConsonantY();

    [GeneratedRegex("(?:s|x|z|ch|sh)$")]
    private static partial Regex Hissing();
}
