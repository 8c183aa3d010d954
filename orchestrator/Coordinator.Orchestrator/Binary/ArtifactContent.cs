namespace Coordinator.Orchestrator.Binary;

using System.Buffers;
using System.Runtime.CompilerServices;
using Coordinator.Client;
using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Google.Protobuf;
using Grpc.Core;

/// <summary>Content of artifacts to and from the coordinator, chunk by chunk, never whole in memory.</summary>
internal sealed class ArtifactContent(CoordinatorClient client)
{
    private const int ChunkBytes = 256 << 10;

    private readonly ProcessingService.ProcessingServiceClient _stub = new(client.Invoker);

    /// <summary>Stores content.</summary>
    /// <param name="content">Read to its end.</param>
    /// <param name="announced">What it will be.</param>
    /// <param name="head">Goes before the content.</param>
    /// <param name="cancellationToken">Ends the upload; nothing is stored.</param>
    public async Task<PostProcessingArtifactResponse> PutAsync(
        Stream content, Artifact announced, ReadOnlyMemory<byte> head, CancellationToken cancellationToken)
    {
        using var call = _stub.PostProcessingArtifact(cancellationToken: cancellationToken);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var first = new PostProcessingArtifactRequest { Artifact = announced, Data = UnsafeByteOperations.UnsafeWrap(head) };
        var sending = SendAsync(first, content, call.RequestStream, enough.Token);
        if (await Task.WhenAny(sending, call.ResponseAsync) != sending)
        {
            await enough.CancelAsync(); // a write that waits for room waits for ever once nobody reads any more
        }
        try
        {
            await sending;
        }
        catch (Exception error) when (error is RpcException || (call.ResponseAsync.IsCompleted && !cancellationToken.IsCancellationRequested))
        {
            // the coordinator has answered before the end: the reply says why
        }
        return await call.ResponseAsync;
    }

    /// <summary>The content from an offset; what it is stands in the first chunk.</summary>
    public async IAsyncEnumerable<GetProcessingArtifactResponse> ReadAsync(
        string digest, long offset, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var call = _stub.GetProcessingArtifact(new() { Digest = digest, Offset = offset }, cancellationToken: cancellationToken);
        await foreach (var chunk in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            yield return chunk;
        }
    }

    private static async Task SendAsync(
        PostProcessingArtifactRequest first,
        Stream content,
        IClientStreamWriter<PostProcessingArtifactRequest> requests,
        CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            await requests.WriteAsync(first, cancellationToken);
            while (await content.ReadAtLeastAsync(buffer, ChunkBytes, throwOnEndOfStream: false, cancellationToken) is > 0 and var count)
            {
                await requests.WriteAsync(new() { Data = UnsafeByteOperations.UnsafeWrap(buffer.AsMemory(0, count)) }, cancellationToken);
            }
            await requests.CompleteAsync();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
