namespace Coordinator.Orchestrator.Controllers;

using Coordinator.Client;
using Coordinator.Orchestrator.Streams;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.RateLimiting;

/// <summary>The routes of server-sent events.</summary>
[ApiController]
[Route("api/processing")]
[Tags("Events")]
[DisableRateLimiting] // a stream that is open costs next to nothing
internal sealed class ControllerEvents(ProcessingClient client, EventStream stream) : ControllerBase
{
    /// <summary>A snapshot of a session, every event behind <c>Last-Event-ID</c>, and progress between them.</summary>
    /// <remarks>204 if nothing will ever come: the last event of an attempt that has ended was seen.</remarks>
    /// <param name="sessionId" example="first">Which.</param>
    [HttpGet("sessions/{sessionId}/events")]
    [Media(Reply = "text/event-stream")]
    [Success(200, 204)]
    public Task<IResult> WatchProcessingSession(string sessionId)
    {
        var after = EventId.After(Request, sessionId);
        return stream.OpenAsync(HttpContext, sessionId, after, ended => client.WatchProcessingSessionAsync(sessionId, after, ended).SelectMany(StreamUpdates.Of));
    }

    /// <summary>A snapshot of a batch, every event behind <c>Last-Event-ID</c>, and progress between them.</summary>
    /// <remarks>204 if nothing will ever come: the last event of a batch that has ended was seen.</remarks>
    /// <param name="batchId" example="receipts">Which.</param>
    [HttpGet("batches/{batchId}/events")]
    [Media(Reply = "text/event-stream")]
    [Success(200, 204)]
    public Task<IResult> WatchProcessingBatch(string batchId)
    {
        var after = EventId.After(Request, batchId);
        return stream.OpenAsync(HttpContext, batchId, after, ended => client.WatchProcessingBatchAsync(batchId, after, ended).SelectMany(StreamUpdates.Of));
    }
}
