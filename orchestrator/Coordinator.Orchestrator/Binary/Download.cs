namespace Coordinator.Orchestrator.Binary;

using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using Coordinator.Client;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Json;
using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>One content on its way out, with the headers that describe it.</summary>
internal sealed class Download(ArtifactContent artifacts)
{
    private const string Plain = "application/octet-stream";

    /// <summary>A payload of a session: bytes as they are, a tensor as its raw elements.</summary>
    public Task WriteAsync(HttpContext context, Datum datum) => datum.ContentCase switch
    {
        Datum.ContentOneofCase.Artifact => WriteAsync(context, datum.Artifact),
        Datum.ContentOneofCase.Tensor => WriteBytesAsync(context, TensorFrame.ContentType(datum.Tensor), datum.Tensor.Data.Memory),
        _ => WriteBytesAsync(context, datum.MediaType, datum.InlineBytes.Memory),
    };

    /// <summary>An artifact by its digest, from the offset of the header <c>Range</c>.</summary>
    public async Task WriteAsync(HttpContext context, string digest)
    {
        var offset = Offset(context.Request);
        await using var chunks = artifacts.ReadAsync(digest, offset, context.RequestAborted).GetAsyncEnumerator(context.RequestAborted);
        await BeginAsync(chunks);
        Describe(context, chunks.Current.Artifact, digest, offset);
        await SendAsync(context.Response, chunks, 0, context.RequestAborted);
    }

    private async Task WriteAsync(HttpContext context, Artifact artifact)
    {
        if (artifact.TypeName != TensorFrame.TypeName)
        {
            await WriteAsync(context, artifact.Digest);
            return;
        }
        await using var chunks = artifacts.ReadAsync(artifact.Digest, 0, context.RequestAborted).GetAsyncEnumerator(context.RequestAborted);
        while (await chunks.MoveNextAsync() && chunks.Current.Data.IsEmpty)
        {
        }
        var (tensor, start) = TensorFrame.Read(chunks.Current.Data.Span);
        SetType(context.Response, TensorFrame.ContentType(tensor));
        context.Response.ContentLength = artifact.SizeBytes - start;
        await SendAsync(context.Response, chunks, start, context.RequestAborted);
    }

    /// <summary>The first chunk; throws what refuses the download, before the status is sent.</summary>
    private static async Task BeginAsync(IAsyncEnumerator<GetProcessingArtifactResponse> chunks)
    {
        try
        {
            await chunks.MoveNextAsync();
        }
        catch (CoordinatorException error) when (error.StatusCode == StatusCode.OutOfRange)
        {
            throw OutOfRange(error.Message);
        }
    }

    private static void Describe(HttpContext context, Artifact artifact, string digest, long offset)
    {
        var response = context.Response;
        if (offset > 0 && offset == artifact.SizeBytes)
        {
            throw OutOfRange($"byte {offset} is behind the end; all {artifact.SizeBytes} bytes are there");
        }
        SetType(response, artifact.MediaType);
        response.ContentLength = artifact.SizeBytes - offset;
        response.Headers.ETag = $"\"{digest}\"";
        response.Headers.AcceptRanges = "bytes";
        if (offset > 0)
        {
            response.StatusCode = StatusCodes.Status206PartialContent;
            response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {offset}-{artifact.SizeBytes - 1}/{artifact.SizeBytes}");
        }
    }

    /// <summary>The type is what some caller said: content is shown as that, but never as a page of this server.</summary>
    private static void SetType(HttpResponse response, string mediaType)
    {
        response.ContentType = Ascii.IsValid(mediaType) && MediaTypeHeaderValue.TryParse(mediaType, out var type) ? type.ToString() : Plain;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.ContentSecurityPolicy = "default-src 'none'; sandbox";
    }

    /// <summary>From where on: only the form <c>bytes=N-</c>, which goes on with a broken download, is taken.</summary>
    private static long Offset(HttpRequest request)
    {
        var header = request.Headers.Range.ToString();
        if (header.Length == 0)
        {
            return 0;
        }
        var isOne = RangeHeaderValue.TryParse(header, out var range) && range.Unit == "bytes" && range.Ranges.Count == 1;
        return isOne && range!.Ranges.First() is { From: { } from, To: null }
            ? from
            : throw OutOfRange("expected bytes=N-, from byte N to the end");
    }

    private static RequestRefusedException OutOfRange(string description) =>
        new([new FieldFault(ErrorReason.FieldInvalid, "Range", description)]) { StatusCode = StatusCodes.Status416RangeNotSatisfiable };

    private static async Task SendAsync(HttpResponse response, IAsyncEnumerator<GetProcessingArtifactResponse> chunks, int start, CancellationToken cancellationToken)
    {
        do
        {
            await response.Body.WriteAsync(chunks.Current.Data.Memory[start..], cancellationToken);
            start = 0;
        }
        while (await chunks.MoveNextAsync());
    }

    private static Task WriteBytesAsync(HttpContext context, string mediaType, ReadOnlyMemory<byte> content)
    {
        SetType(context.Response, mediaType);
        context.Response.ContentLength = content.Length;
        return context.Response.Body.WriteAsync(content, context.RequestAborted).AsTask();
    }
}
