using Coordinator.Error.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Rpc;

namespace ContractCheck;

/// <summary>Errors that a server made, as a C# client reads them.</summary>
internal static class Errors
{
    private const string Prefix = "ERROR_REASON_";

    private static readonly JsonFormatter Formatter = new(
        JsonFormatter.Settings.Default.WithTypeRegistry(
            TypeRegistry.FromFiles(ErrorDetailsReflection.Descriptor, ErrorReflection.Descriptor)));

    /// <summary>
    /// Writes OUTPUT/REASON.json from REASON.status.binpb, a google.rpc.Status, or REASON.failure.binpb, a Failure. A
    /// file whose reason is not a member of the enum, or not that of its name, is a line.
    /// </summary>
    public static IEnumerable<string> Decode(string input, string output)
    {
        foreach (var path in Directory.EnumerateFiles(input, "*.binpb").Order(StringComparer.Ordinal))
        {
            var (name, kind) = (Path.GetFileName(path).Split('.')[0], Path.GetFileName(path).Split('.')[1]);
            var (message, reason) = kind == "status" ? Status(path) : Failure(path);
            File.WriteAllText(Path.Combine(output, $"{name}.json"), Formatter.Format(message));
            if (NameOf(reason) != Prefix + name)
            {
                yield return $"{name}: the reason is {reason}";
            }
        }
    }

    private static (IMessage Message, ErrorReason Reason) Status(string path)
    {
        var status = Google.Rpc.Status.Parser.ParseFrom(File.ReadAllBytes(path));
        return (status, ReasonOf(status.GetDetail<ErrorInfo>()?.Reason ?? ""));
    }

    private static (IMessage Message, ErrorReason Reason) Failure(string path)
    {
        var failure = Coordinator.Error.V1.Failure.Parser.ParseFrom(File.ReadAllBytes(path));
        return (failure, failure.Reason);
    }

    // The member of the enum whose name in the contract is the reason's, with its prefix.
    private static ErrorReason ReasonOf(string name) =>
        Enum.GetValues<ErrorReason>().SingleOrDefault(reason => NameOf(reason) == Prefix + name);

    private static string NameOf(ErrorReason reason) =>
        ErrorReflection.Descriptor.EnumTypes.Single().FindValueByNumber((int)reason)?.Name ?? "";
}
