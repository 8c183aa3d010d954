namespace Coordinator.Orchestrator.Controllers;

using System.Text;
using Coordinator.Orchestrator.Json;
using Coordinator.Processing.V1;
using Microsoft.AspNetCore.Mvc.Formatters;
using Microsoft.Net.Http.Headers;

/// <summary>A definition as the body itself: <c>curl -T read-text.yaml -H 'Content-Type: application/yaml'</c>.</summary>
/// <remarks>The other fields of the request, such as <c>allowBreaking</c>, stand in the query.</remarks>
internal sealed class DefinitionFormatter : InputFormatter
{
    public DefinitionFormatter()
    {
        SupportedMediaTypes.Add(MediaTypeHeaderValue.Parse("application/yaml"));
        SupportedMediaTypes.Add(MediaTypeHeaderValue.Parse("text/yaml"));
    }

    public override async Task<InputFormatterResult> ReadRequestBodyAsync(InputFormatterContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var request = QueryReader.Read<PutProcessingWorkflowRequest>(context.HttpContext);
        if (request.Source.Length > 0)
        {
            throw RequestRefusedException.Conflict("source", "in the query, and as the body");
        }
        request.Source = await TextAsync(context.HttpContext);
        return await InputFormatterResult.SuccessAsync(request);
    }

    protected override bool CanReadType(Type type) => type == typeof(PutProcessingWorkflowRequest);

    private static async Task<string> TextAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, StrictUtf8.Encoding);
        try
        {
            return await reader.ReadToEndAsync(context.RequestAborted);
        }
        catch (DecoderFallbackException)
        {
            throw RequestRefusedException.Invalid("", "the body is not UTF-8");
        }
    }
}
