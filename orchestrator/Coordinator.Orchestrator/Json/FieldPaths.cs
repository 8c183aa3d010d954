namespace Coordinator.Orchestrator.Json;

using System.Text.RegularExpressions;
using Coordinator.Processing.V1;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;

/// <summary>Paths of fields, as errors of the coordinator name them.</summary>
internal static partial class FieldPaths
{
    /// <summary>Names of the fields whose keys are the caller's own: maps, and what stands inside a Struct.</summary>
    private static readonly HashSet<string> Keyed =
        [.. ProcessingService.Descriptor.File.MessageTypes.SelectMany(message => message.Fields.InDeclarationOrder()).Where(IsKeyed).Select(field => field.Name)];

    /// <summary>In JSON names: <c>steps[2].max_parallel</c> as <c>steps[2].maxParallel</c>, but <c>parameters.my_text</c> as it is.</summary>
    public static string Camel(string path)
    {
        var names = path.Split('.');
        return string.Join('.', names.Select((name, index) => index > 0 && Keyed.Contains(names[index - 1]) ? name : CamelName(name)));
    }

    private static bool IsKeyed(FieldDescriptor field) =>
        field.IsMap || (field.FieldType == FieldType.Message && field.MessageType == Struct.Descriptor);

    private static string CamelName(string name) => UnderscoreLetter().Replace(name, match => match.Value[1..].ToUpperInvariant());

    [GeneratedRegex("_[a-z]")]
    private static partial Regex UnderscoreLetter();
}
