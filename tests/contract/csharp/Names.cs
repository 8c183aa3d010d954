using System.Reflection;
using System.Text.Json;
using Google.Protobuf.Reflection;

namespace ContractCheck;

/// <summary>Names as the rule makes them, against names as the generator and the runtimes have them.</summary>
internal static class Names
{
    /// <summary>One line for each name that is not what the file says, is missing, or is too many.</summary>
    public static IEnumerable<string> Differences(Contract contract, string path)
    {
        var expected = JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(path))!;
        var actual = contract.Messages.Values.SelectMany(OfMessage).Concat(contract.Enums.Values.SelectMany(OfEnum))
            .ToDictionary(name => name.Element, name => name.Name);
        return expected.Keys.Union(actual.Keys).Order(StringComparer.Ordinal)
            .Where(element => expected.GetValueOrDefault(element) != actual.GetValueOrDefault(element))
            .Select(element => $"{element}: {actual.GetValueOrDefault(element, "missing in C#")}"
                + $" is not {expected.GetValueOrDefault(element, "expected at all")}");
    }

    private static IEnumerable<(string Element, string Name)> OfMessage(MessageDescriptor message)
    {
        foreach (var field in message.Fields.InDeclarationOrder())
        {
            var property = Property(message, field.PropertyName);
            yield return ($"{field.FullName} property", property);
            yield return ($"{field.FullName} json", field.JsonName);
            yield return ($"{field.FullName} CamelCase", JsonNamingPolicy.CamelCase.ConvertName(property));
            yield return ($"{field.FullName} SnakeCaseLower", JsonNamingPolicy.SnakeCaseLower.ConvertName(property));
        }

        foreach (var property in message.ClrType.GetProperties().Where(IsCase))
        {
            var cases = string.Join(", ", Enum.GetNames(property.PropertyType));
            yield return ($"{message.FullName} {property.Name}", $"{property.PropertyType.Name}: {cases}");
        }
    }

    // Only the cases of oneofs are enums directly inside the class; enums of the contract stand in Types.
    private static bool IsCase(PropertyInfo property) =>
        property.PropertyType.IsEnum && property.PropertyType.DeclaringType == property.DeclaringType;

    private static IEnumerable<(string Element, string Name)> OfEnum(EnumDescriptor declared) =>
        from member in declared.ClrType.GetFields(BindingFlags.Public | BindingFlags.Static)
        let original = member.GetCustomAttribute<OriginalNameAttribute>()!.Name
        select ($"{declared.FullName}.{original} value", member.Name);

    // The name counts only if the class really has such a property.
    private static string Property(MessageDescriptor message, string name) =>
        message.ClrType.GetProperty(name)?.Name ?? $"no property ({name})";
}
