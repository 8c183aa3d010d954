namespace Coordinator.Orchestrator.Json;

using System.Buffers;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Microsoft.AspNetCore.Mvc.Formatters;
using Microsoft.Net.Http.Headers;

/// <summary>Bodies of requests that are messages of the contract; notes the legacy spellings for the reply.</summary>
internal sealed class MessageInputFormatter : InputFormatter
{
    public MessageInputFormatter()
    {
        SupportedMediaTypes.Add(MediaTypeHeaderValue.Parse("application/json"));
        SupportedMediaTypes.Add(MediaTypeHeaderValue.Parse("application/*+json"));
    }

    public override async Task<InputFormatterResult> ReadRequestBodyAsync(InputFormatterContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var body = await ReadAllAsync(context.HttpContext);
        var descriptor = MessageJsonConverter.DescriptorOf(context.ModelType);
        return await InputFormatterResult.SuccessAsync(Read(context.HttpContext, body, descriptor));
    }

    /// <summary>One message of a request, whose legacy spellings are noted.</summary>
    public static IMessage Read(HttpContext context, ReadOnlyMemory<byte> json, MessageDescriptor descriptor)
    {
        var (message, legacy) = MessageReader.Read(json, descriptor);
        context.Features.Get<RequestNotes>()!.Add(legacy);
        return message;
    }

    protected override bool CanReadType(Type type) => type.IsAssignableTo(typeof(IMessage));

    private static async Task<ReadOnlyMemory<byte>> ReadAllAsync(HttpContext context)
    {
        var buffer = new ArrayBufferWriter<byte>((int)Math.Clamp(context.Request.ContentLength ?? 0, 256, 1 << 20));
        while (await context.Request.Body.ReadAsync(buffer.GetMemory(4096), context.RequestAborted) is > 0 and var count)
        {
            buffer.Advance(count);
        }
        return buffer.WrittenMemory;
    }
}
