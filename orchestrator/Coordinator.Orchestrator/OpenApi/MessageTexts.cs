namespace Coordinator.Orchestrator.OpenApi;

using System.Xml.Linq;
using Coordinator.Processing.V1;
using Google.Protobuf.Reflection;

/// <summary>What the contract says of its messages and fields: its comments, as the XML file of the generated classes has them.</summary>
internal sealed class MessageTexts
{
    private readonly Dictionary<string, string> _texts;

    public MessageTexts()
    {
        var file = Path.Combine(AppContext.BaseDirectory, typeof(Session).Assembly.GetName().Name + ".xml");
        _texts = File.Exists(file) ? Read(XDocument.Load(file)) : [];
    }

    /// <summary>Of a message; null if it says nothing.</summary>
    public string? Of(MessageDescriptor message) => _texts.GetValueOrDefault($"T:{message.ClrType.FullName}");

    /// <summary>Of a field; null if it says nothing.</summary>
    public string? Of(FieldDescriptor field) =>
        _texts.GetValueOrDefault($"P:{field.ContainingType.ClrType.FullName}.{field.PropertyName}");

    private static Dictionary<string, string> Read(XDocument document) => document.Descendants("member")
        .Where(member => member.Element("summary") is not null)
        .ToDictionary(member => member.Attribute("name")!.Value, member => OneLine(member.Element("summary")!.Value));

    private static string OneLine(string text) =>
        string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
