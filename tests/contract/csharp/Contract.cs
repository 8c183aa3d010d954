using System.Reflection;
using Google.Protobuf.Reflection;

namespace ContractCheck;

/// <summary>What the generated classes of this assembly say of themselves.</summary>
internal static class Contract
{
    /// <summary>Every file that was generated, found by its <c>*Reflection</c> class.</summary>
    public static IReadOnlyList<FileDescriptor> Files { get; } =
    [
        .. from type in typeof(Contract).Assembly.GetTypes()
           where type.Name.EndsWith("Reflection", StringComparison.Ordinal)
           let descriptor = type.GetProperty("Descriptor", BindingFlags.Public | BindingFlags.Static)
           where descriptor?.PropertyType == typeof(FileDescriptor)
           let file = (FileDescriptor)descriptor.GetValue(null)!
           orderby file.Name
           select file,
    ];

    /// <summary>Every message that has a class, by its full name.</summary>
    public static IReadOnlyDictionary<string, MessageDescriptor> Messages { get; } =
        Files.SelectMany(file => file.MessageTypes).SelectMany(WithNested).ToDictionary(message => message.FullName);

    /// <summary>Every enum, by its full name.</summary>
    public static IReadOnlyDictionary<string, EnumDescriptor> Enums { get; } =
        Files.SelectMany(file => file.EnumTypes)
            .Concat(Messages.Values.SelectMany(message => message.EnumTypes))
            .ToDictionary(declared => declared.FullName);

    private static IEnumerable<MessageDescriptor> WithNested(MessageDescriptor message) =>
        message.ClrType is null ? [] : message.NestedTypes.SelectMany(WithNested).Prepend(message);
}
