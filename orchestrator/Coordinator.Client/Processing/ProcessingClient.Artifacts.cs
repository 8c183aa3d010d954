namespace Coordinator.Client;

using Coordinator.Payload.V1;
using Coordinator.Processing.V1;
using Google.Protobuf;
using Grpc.Core;

public partial class ProcessingClient
{
    private const int LargestChunk = 1 << 20;
    private const int RestOfChunk = 4 << 10; // what a message has beside its bytes

    /// <summary>Stores content of any size, sent in chunks of 1 MiB, or less where messages may not be that large.</summary>
    /// <param name="content">Read from where it stands to its end; not closed.</param>
    /// <param name="artifact">What it will be: media type, digest (not checked if empty), size; null if nothing is known.</param>
    /// <param name="cancellationToken">Gives up; what was sent is dropped.</param>
    /// <exception cref="CoordinatorException">
    /// INVALID_ARGUMENT (DIGEST_MISMATCH), RESOURCE_EXHAUSTED (PAYLOAD_TOO_LARGE).
    /// </exception>
    public virtual async Task<PostProcessingArtifactResponse> PostProcessingArtifactAsync(
        Stream content, Artifact? artifact = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(content);
        await _contract.EnsureAsync(null, cancellationToken).ConfigureAwait(false);
        using var call = _stub.PostProcessingArtifact(Calls.Options(null, cancellationToken));
        await SendAsync(call, content, artifact ?? new Artifact(), cancellationToken).ConfigureAwait(false);
        return await call.ResponseAsync.ConfigureAwait(false);
    }

    /// <summary>Reads the content of an artifact, in chunks of at most 1 MiB, from an offset.</summary>
    /// <param name="digest">SHA-256 of the content.</param>
    /// <param name="destination">Where it is written; not closed.</param>
    /// <param name="offset">Where to begin, in bytes.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>What it is.</returns>
    /// <exception cref="CoordinatorException">NOT_FOUND (ARTIFACT_NOT_FOUND), OUT_OF_RANGE (FIELD_INVALID).</exception>
    public virtual async Task<Artifact> GetProcessingArtifactAsync(
        string digest, Stream destination, long offset = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        await _contract.EnsureAsync(null, cancellationToken).ConfigureAwait(false);
        var request = new GetProcessingArtifactRequest { Digest = digest, Offset = offset };
        using var call = _stub.GetProcessingArtifact(request, Calls.Options(null, cancellationToken));
        var artifact = new Artifact();
        while (await call.ResponseStream.MoveNext(cancellationToken).ConfigureAwait(false))
        {
            var chunk = call.ResponseStream.Current;
            artifact = chunk.Artifact ?? artifact;
            await destination.WriteAsync(chunk.Data.Memory, cancellationToken).ConfigureAwait(false);
        }
        return artifact;
    }

    private async Task SendAsync(
        AsyncClientStreamingCall<PostProcessingArtifactRequest, PostProcessingArtifactResponse> call,
        Stream content,
        Artifact artifact,
        CancellationToken cancellationToken)
    {
        var first = artifact;
        var buffer = new byte[_chunkBytes];
        var count = await content.ReadAtLeastAsync(buffer, _chunkBytes, false, cancellationToken).ConfigureAwait(false);
        do
        {
            var chunk = new PostProcessingArtifactRequest { Artifact = first, Data = ByteString.CopyFrom(buffer, 0, count) };
            if (!await IsTakenAsync(call.RequestStream.WriteAsync(chunk, cancellationToken), call.ResponseAsync).ConfigureAwait(false))
            {
                return;
            }
            first = null;
            count = await content.ReadAtLeastAsync(buffer, _chunkBytes, false, cancellationToken).ConfigureAwait(false);
        }
        while (count > 0);
        await IsTakenAsync(call.RequestStream.CompleteAsync(), call.ResponseAsync).ConfigureAwait(false);
    }

    // False where the coordinator has answered before the end; the answer says why. A write that waits for room then
    // waits for ever: nobody reads it any more.
    private static async Task<bool> IsTakenAsync(Task write, Task answer)
    {
        if (await Task.WhenAny(write, answer).ConfigureAwait(false) != write)
        {
            _ = write.Observed();
            return false;
        }
        try
        {
            await write.ConfigureAwait(false);
            return true;
        }
        catch (Exception error) when (error is RpcException or InvalidOperationException)
        {
            return false;
        }
    }
}
