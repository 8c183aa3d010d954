namespace Coordinator.Orchestrator.Binary;

using Coordinator.Orchestrator.Json;
using Coordinator.Payload.V1;
using Coordinator.Processing.V1;

/// <summary>One content on its way in: plain bytes of a media type, or the raw elements of a tensor.</summary>
internal sealed class Upload(ArtifactContent artifacts)
{
    /// <summary>Stores it as it comes.</summary>
    /// <param name="content">The bytes.</param>
    /// <param name="contentType">Media type; <see cref="TensorFrame.MediaType"/> announces a tensor.</param>
    /// <param name="length">Length in bytes; null if it is not known.</param>
    /// <param name="digest">SHA-256 that what is stored has to have, as replies tell it; may be empty.</param>
    /// <param name="path">What stands in an error.</param>
    /// <param name="cancellationToken">Ends the upload.</param>
    public Task<PostProcessingArtifactResponse> StoreAsync(
        Stream content, string? contentType, long? length, string digest, string path, CancellationToken cancellationToken) =>
        TensorFrame.Announced(contentType, path) is { } tensor
            ? StoreTensorAsync(content, tensor, length, digest, path, cancellationToken)
            : artifacts.PutAsync(
                content,
                new Artifact { MediaType = contentType ?? "", SizeBytes = length ?? 0, Digest = digest },
                ReadOnlyMemory<byte>.Empty,
                cancellationToken);

    private Task<PostProcessingArtifactResponse> StoreTensorAsync(
        Stream content, Tensor tensor, long? length, string digest, string path, CancellationToken cancellationToken)
    {
        var size = TensorFrame.SizeOf(tensor);
        if (length is { } given && given != size)
        {
            throw RequestRefusedException.Invalid(path, $"{given} bytes, but data-type and shape make {size}");
        }
        var head = TensorFrame.Head(tensor);
        var announced = new Artifact { TypeName = TensorFrame.TypeName, SizeBytes = head.Length + size, Digest = digest };
        return artifacts.PutAsync(content, announced, head, cancellationToken);
    }
}
