using System.Reflection;
using Google.Protobuf.Reflection;

namespace ContractCheck;

/// <summary>What the generated classes of some packages say of themselves.</summary>
/// <param name="packages">How the names of the packages begin, such as <c>coordinator.</c></param>
internal sealed class Contract(string packages)
{
    /// <summary>Every message that has a class, by its full name.</summary>
    public IReadOnlyDictionary<string, MessageDescriptor> Messages { get; } =
        Files(packages).SelectMany(file => file.MessageTypes).SelectMany(WithNested)
            .ToDictionary(message => message.FullName);

    /// <summary>Every enum, by its full name.</summary>
    public IReadOnlyDictionary<string, EnumDescriptor> Enums { get; } =
        Files(packages).SelectMany(EnumsOf).ToDictionary(declared => declared.FullName);

    // Every file that was generated has a class *Reflection.
    private static IEnumerable<FileDescriptor> Files(string packages) =>
        from type in typeof(Contract).Assembly.GetTypes()
        where type.Name.EndsWith("Reflection", StringComparison.Ordinal)
        let property = type.GetProperty("Descriptor", BindingFlags.Public | BindingFlags.Static)
        where property?.PropertyType == typeof(FileDescriptor)
        let file = (FileDescriptor)property.GetValue(null)!
        where file.Package.StartsWith(packages, StringComparison.Ordinal)
        orderby file.Name
        select file;

    private static IEnumerable<EnumDescriptor> EnumsOf(FileDescriptor file) =>
        file.EnumTypes.Concat(file.MessageTypes.SelectMany(WithNested).SelectMany(message => message.EnumTypes));

    private static IEnumerable<MessageDescriptor> WithNested(MessageDescriptor message) =>
        message.ClrType is null ? [] : message.NestedTypes.SelectMany(WithNested).Prepend(message);
}
