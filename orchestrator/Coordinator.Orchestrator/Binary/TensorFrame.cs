namespace Coordinator.Orchestrator.Binary;

using System.Globalization;
using Coordinator.Orchestrator.Json;
using Coordinator.Payload.V1;
using Google.Protobuf;
using Microsoft.Net.Http.Headers;

/// <summary>The bytes of a Tensor message before its elements, so that raw elements go through as a stream.</summary>
internal static class TensorFrame
{
    /// <summary>Media type of raw elements; its parameters are <c>data-type</c> and <c>shape</c>.</summary>
    public const string MediaType = "application/vnd.coordinator.tensor";

    private const uint DataTag = (Tensor.DataFieldNumber << 3) | 2;

    /// <summary>Full name of the message that the stored content encodes.</summary>
    public static string TypeName => Tensor.Descriptor.FullName;

    /// <summary>The tensor that a media type announces, without elements; null if it announces none.</summary>
    /// <exception cref="RequestRefusedException">If its parameters cannot be read.</exception>
    public static Tensor? Announced(string? contentType, string path)
    {
        if (contentType?.StartsWith(MediaType, StringComparison.OrdinalIgnoreCase) != true)
        {
            return null;
        }
        if (!MediaTypeHeaderValue.TryParse(contentType, out var type))
        {
            throw RequestRefusedException.Invalid(path, $"expected {MediaType}; data-type=float32; shape=\"1,3,224,224\", with the quotes");
        }
        var tensor = new Tensor { DataType = DataTypeOf(Parameter(type, "data-type"), path) };
        foreach (var size in Parameter(type, "shape").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            tensor.Shape.Add(long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var axis)
                ? axis
                : throw RequestRefusedException.Invalid(path, $"shape: expected sizes such as \"1,3,224,224\", not '{size}'"));
        }
        return IsBounded(tensor)
            ? tensor
            : throw RequestRefusedException.Invalid(path, $"shape: more than {int.MaxValue} bytes of elements");
    }

    /// <summary>The media type of a tensor's raw elements.</summary>
    public static string ContentType(Tensor tensor) =>
        $"{MediaType}; data-type={ShortName(tensor.DataType)}; shape=\"{string.Join(',', tensor.Shape)}\"";

    /// <summary>What stands before the elements in the encoded message.</summary>
    public static ReadOnlyMemory<byte> Head(Tensor announced)
    {
        using var head = new MemoryStream();
        announced.WriteTo(head);
        using var output = new CodedOutputStream(head, leaveOpen: true);
        output.WriteTag(DataTag);
        output.WriteLength((int)SizeOf(announced));
        output.Flush();
        return head.ToArray();
    }

    /// <summary>Length of the elements, in bytes.</summary>
    public static long SizeOf(Tensor tensor) =>
        tensor.Shape.Aggregate((long)BytesOf(tensor.DataType), (product, axis) => checked(product * axis));

    /// <summary>Reads what stands before the elements: the tensor without them, and where they start.</summary>
    public static (Tensor Tensor, int Start) Read(ReadOnlySpan<byte> beginning)
    {
        using var input = new CodedInputStream(beginning.ToArray());
        uint tag;
        while ((tag = input.ReadTag()) != 0 && tag != DataTag)
        {
            input.SkipLastField();
        }
        var end = tag == DataTag ? (int)input.Position - 1 : beginning.Length;
        var tensor = Tensor.Parser.ParseFrom(beginning[..end]);
        if (tag == DataTag)
        {
            input.ReadLength();
        }
        return (tensor, (int)input.Position);
    }

    private static bool IsBounded(Tensor tensor) =>
        tensor.Shape.Aggregate((double)BytesOf(tensor.DataType), (product, axis) => product * axis) <= int.MaxValue;

    private static DataType DataTypeOf(string name, string path)
    {
        var known = Enum.GetValues<DataType>().Where(type => type != DataType.Unspecified).ToList();
        var found = known.Find(type => ShortName(type).Equals(name, StringComparison.OrdinalIgnoreCase));
        return found != DataType.Unspecified
            ? found
            : throw RequestRefusedException.Invalid(path, $"data-type: expected one of {string.Join(", ", known.Select(ShortName))}, not '{name}'");
    }

    private static string ShortName(DataType type) => FieldNames.Lower(type.ToString());

    private static int BytesOf(DataType type) => type switch
    {
        DataType.Bool or DataType.Uint8 or DataType.Int8 => 1,
        DataType.Uint16 or DataType.Int16 or DataType.Float16 => 2,
        DataType.Uint32 or DataType.Int32 or DataType.Float32 => 4,
        _ => 8,
    };

    private static string Parameter(MediaTypeHeaderValue type, string name) =>
        HeaderUtilities.RemoveQuotes(type.Parameters.FirstOrDefault(one => one.Name.Equals(name, StringComparison.OrdinalIgnoreCase))?.Value ?? default).ToString();
}
