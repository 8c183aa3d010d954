namespace Coordinator.Orchestrator.Controllers;

using Coordinator.Client;
using Coordinator.Error.V1;
using Coordinator.Orchestrator.Binary;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Processing.V1;
using Microsoft.AspNetCore.Mvc;

/// <summary>The routes of binary content: images, tensors, files; streamed both ways.</summary>
[ApiController]
[Route("api/processing")]
[Tags("Content")]
internal sealed class ControllerArtifacts(ProcessingClient client, Upload upload, Download download) : ControllerBase
{
    /// <summary>Stores the body as an artifact, as it comes.</summary>
    /// <remarks>
    /// Raw elements of a tensor have the Content-Type
    /// <c>application/vnd.coordinator.tensor; data-type=float32; shape="1,3,224,224"</c>.
    /// </remarks>
    /// <param name="digest" example="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855">SHA-256 that it has to have.</param>
    /// <param name="cancellationToken">The caller leaves; nothing is stored.</param>
    [HttpPost("artifacts")]
    [Media(Request = "application/octet-stream")]
    [Success(200, 201)]
    public async Task<ApiResponse<PostProcessingArtifactResponse>> PostProcessingArtifact([FromQuery] string? digest, CancellationToken cancellationToken)
    {
        var stored = await upload.StoreAsync(Request.Body, Request.ContentType, Request.ContentLength, digest ?? "", "body", cancellationToken);
        return new()
        {
            Success = true,
            Data = stored,
            StatusCode = stored.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK,
            Location = $"/api/processing/artifacts/{stored.Artifact.Digest}",
        };
    }

    /// <summary>The content of an artifact; <c>Range: bytes=N-</c> goes on with a broken download.</summary>
    /// <param name="digest" example="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855">SHA-256 of the content.</param>
    [HttpGet("artifacts/{digest}")]
    [Success(200, 206)]
    [Media(Reply = "application/octet-stream")]
    public Task GetProcessingArtifact(string digest) => download.WriteAsync(HttpContext, digest);

    /// <summary>The content of one payload of a session: a file as it is, a tensor as its raw elements.</summary>
    /// <param name="sessionId" example="first">Which.</param>
    /// <param name="name" example="annotated">Name of the output.</param>
    /// <param name="cancellationToken">The caller leaves.</param>
    [HttpGet("sessions/{sessionId}/payloads/{name}")]
    [Success(200, 206)]
    [Media(Reply = "application/octet-stream")]
    public async Task GetProcessingSessionPayload(string sessionId, string name, CancellationToken cancellationToken)
    {
        var response = await client.GetProcessingSessionAsync(new() { SessionId = sessionId }, cancellationToken: cancellationToken);
        var payloads = response.Session.Payloads;
        var datum = payloads.TryGetValue(name, out var found) ? found : throw Missing(name, payloads.Keys);
        await download.WriteAsync(HttpContext, datum);
    }

    private static RequestRefusedException Missing(string name, IEnumerable<string> known) =>
        new([new FieldFault(ErrorReason.ArtifactNotFound, "name", $"the session has no payload '{name}'", Nearest.To(name, known))])
        {
            StatusCode = StatusCodes.Status404NotFound,
        };
}
