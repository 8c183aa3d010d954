namespace Coordinator.Acceptance.Tests;

using System.Net;
using System.Threading.Channels;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

/// <summary>One span as it was exported; ids in hexadecimal, the parent's empty for a root.</summary>
public sealed record ExportedSpan(string TraceId, string SpanId, string ParentSpanId, string Name);

/// <summary>A collector of OTLP over gRPC, on a port of its own, that gives its reader the spans of every process that exports to it.</summary>
public sealed class SpanCollector : IAsyncDisposable
{
    private const string Export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    private const int Prefix = 5; // one byte of flags, four of length, before each message of gRPC

    private readonly Channel<ExportedSpan> _spans = Channel.CreateUnbounded<ExportedSpan>();
    private readonly WebApplication _application;

    private SpanCollector()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        _application = builder.Build();
        _application.MapPost(Export, TakeAsync);
    }

    /// <summary>Where it listens.</summary>
    public string Address => _application.Urls.First();

    public static async Task<SpanCollector> StartAsync()
    {
        var collector = new SpanCollector();
        await collector._application.StartAsync();
        return collector;
    }

    /// <summary>The spans of one trace, as soon as there are that many.</summary>
    public async Task<IReadOnlyList<ExportedSpan>> TakeAsync(string traceId, int count, CancellationToken cancellationToken) =>
        await _spans.Reader.ReadAllAsync(cancellationToken).Where(span => span.TraceId == traceId).Take(count).ToListAsync(cancellationToken);

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        foreach (var span in SpansOf(body.ToArray()[Prefix..]))
        {
            _spans.Writer.TryWrite(span);
        }
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(new byte[Prefix], context.RequestAborted);
        context.Response.AppendTrailer("grpc-status", "0");
    }

    /// <summary>ExportTraceServiceRequest.resource_spans[].scope_spans[].spans[], by their numbers.</summary>
    private static IEnumerable<ExportedSpan> SpansOf(byte[] request) =>
        Fields(request, 1).SelectMany(resource => Fields(resource, 2)).SelectMany(scope => Fields(scope, 2)).Select(Span);

    /// <summary>Span: trace_id, span_id, parent_span_id and name.</summary>
    private static ExportedSpan Span(byte[] span) => new(Hex(span, 1), Hex(span, 2), Hex(span, 4), System.Text.Encoding.UTF8.GetString(Fields(span, 5).Single()));

    private static string Hex(byte[] message, int number) => Convert.ToHexStringLower(Fields(message, number).SingleOrDefault([]));

    /// <summary>The contents of every field of that number: bytes, texts and messages look alike.</summary>
    private static List<byte[]> Fields(byte[] message, int number)
    {
        var found = new List<byte[]>();
        using var input = new CodedInputStream(message);
        while (input.ReadTag() is > 0 and var tag)
        {
            if (WireFormat.GetTagFieldNumber(tag) == number)
            {
                found.Add(input.ReadBytes().ToByteArray());
            }
            else
            {
                input.SkipLastField();
            }
        }
        return found;
    }
}
