namespace Coordinator.Orchestrator.Json;

using System.Text.Json;
using System.Text.Json.Serialization;
using Google.Protobuf;
using Google.Protobuf.Reflection;

/// <summary>Messages of the contract in their own JSON form, inside of what System.Text.Json writes.</summary>
internal sealed class MessageJsonConverter : JsonConverterFactory
{
    private static readonly JsonFormatter Formatter = new(JsonFormatter.Settings.Default);

    public override bool CanConvert(Type typeToConvert) => typeToConvert.IsAssignableTo(typeof(IMessage));

    public override JsonConverter CreateConverter(Type typeToConvert, JsonSerializerOptions options) =>
        (JsonConverter)Activator.CreateInstance(typeof(Of<>).MakeGenericType(typeToConvert))!;

    /// <summary>The JSON of one message.</summary>
    public static string Format(IMessage message) => Formatter.Format(message);

    /// <summary>The descriptor of a type of message.</summary>
    public static MessageDescriptor DescriptorOf(Type message) => ((IMessage)Activator.CreateInstance(message)!).Descriptor;

    private sealed class Of<T> : JsonConverter<T>
        where T : IMessage, new()
    {
        private static readonly MessageDescriptor Descriptor = new T().Descriptor;

        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            using var document = JsonDocument.ParseValue(ref reader);
            return (T)MessageReader.Read(document.RootElement, Descriptor).Message;
        }

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
            writer.WriteRawValue(Format(value), skipInputValidation: true);
    }
}
