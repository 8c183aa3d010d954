namespace Coordinator.Orchestrator.Binary;

using System.Text;
using Coordinator.Orchestrator.Hosting;
using Coordinator.Orchestrator.Json;
using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Microsoft.AspNetCore.Mvc.Formatters;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

/// <summary>An execution as multipart/form-data: its fields as text, its files as payloads, each stored as it comes.</summary>
internal sealed class MultipartFormatter : InputFormatter
{
    private const int MostParts = 1024;
    private const int LongestBoundary = 70; // RFC 2046, section 5.1.1

    public MultipartFormatter() => SupportedMediaTypes.Add(MediaTypeHeaderValue.Parse("multipart/form-data"));

    public override async Task<InputFormatterResult> ReadRequestBodyAsync(InputFormatterContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var http = context.HttpContext;
        var fields = new FormFields(http.RequestServices.GetRequiredService<IOptions<OrchestratorOptions>>().Value.MaxBodyBytes);
        var payloads = new Dictionary<string, Datum>(StringComparer.Ordinal);
        await TakeAllAsync(http, fields, payloads);
        var request = fields.Read<PostWorkflowExecuteRequest>(http);
        foreach (var (name, datum) in payloads)
        {
            Add(request.Payloads, name, datum);
        }
        return await InputFormatterResult.SuccessAsync(request);
    }

    protected override bool CanReadType(Type type) => type == typeof(PostWorkflowExecuteRequest);

    private static async Task TakeAllAsync(HttpContext http, FormFields fields, Dictionary<string, Datum> payloads)
    {
        var reader = new MultipartReader(Boundary(http.Request), http.Request.Body);
        var count = 0;
        try
        {
            while (await reader.ReadNextSectionAsync(http.RequestAborted) is { } section)
            {
                RequestRefusedException.ThrowIfTooLarge(++count > MostParts, $"a form has {MostParts} parts at most");
                await TakeAsync(http, section, fields, payloads);
            }
        }
        catch (Exception error) when (error is InvalidDataException or DecoderFallbackException or (IOException and not BadHttpRequestException))
        {
            throw RequestRefusedException.Invalid("", "the body is not whole, or not multipart/form-data with texts in UTF-8");
        }
    }

    private static async Task TakeAsync(HttpContext http, MultipartSection section, FormFields fields, Dictionary<string, Datum> payloads)
    {
        var disposition = section.GetContentDispositionHeader();
        var name = HeaderUtilities.RemoveQuotes(disposition?.Name ?? default).ToString();
        if (name == FormFields.RequestPart)
        {
            fields.AddJson(await TextAsync(section, fields.Left, http.RequestAborted));
        }
        else if (disposition is not null && disposition.IsFileDisposition())
        {
            var upload = http.RequestServices.GetRequiredService<Upload>();
            var stored = await upload.StoreAsync(section.Body, section.ContentType, null, "", name, http.RequestAborted);
            Add(payloads, name, new Datum { Artifact = stored.Artifact, MediaType = stored.Artifact.MediaType });
        }
        else
        {
            fields.Add(name, await TextAsync(section, fields.Left, http.RequestAborted));
        }
    }

    private static void Add(IDictionary<string, Datum> payloads, string name, Datum datum)
    {
        if (!payloads.TryAdd(name, datum))
        {
            throw RequestRefusedException.Conflict($"payloads.{name}", "two payloads of one name");
        }
    }

    /// <summary>Of a text that is too long just so much that it is seen to be.</summary>
    private static async Task<string> TextAsync(MultipartSection section, long longest, CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(section.Body, StrictUtf8.Encoding);
        var (text, buffer) = (new StringBuilder(), new char[4096]);
        while (text.Length <= longest && await reader.ReadAsync(buffer, cancellationToken) is > 0 and var count)
        {
            text.Append(buffer, 0, count);
        }
        return text.ToString();
    }

    private static string Boundary(HttpRequest request)
    {
        var boundary = MediaTypeHeaderValue.TryParse(request.ContentType, out var type) ? HeaderUtilities.RemoveQuotes(type.Boundary) : default;
        return boundary.Length is > 0 and <= LongestBoundary
            ? boundary.ToString()
            : throw RequestRefusedException.Invalid("", $"multipart/form-data needs a boundary of 1 to {LongestBoundary} characters");
    }
}
