namespace Coordinator.Orchestrator.Controllers;

using Coordinator.Orchestrator.Json;
using Google.Protobuf;

/// <summary>The header <c>Idempotency-Key</c> is the <c>request_id</c> of the contract.</summary>
internal static class Idempotency
{
    /// <summary>Name of the header, in requests and in replies.</summary>
    public const string Header = "Idempotency-Key";

    /// <summary>The same request with its request_id: that of the body, of the header, or a new one; the reply tells it.</summary>
    /// <exception cref="RequestRefusedException">FIELD_CONFLICT if body and header differ.</exception>
    public static T Identify<T>(HttpContext context, T request)
        where T : IMessage
    {
        var field = request.Descriptor.FindFieldByName("request_id");
        var key = context.Request.Headers[Header].ToString();
        var given = (string)field.Accessor.GetValue(request);
        if (key.Length > 0 && given.Length > 0 && key != given)
        {
            throw RequestRefusedException.Conflict(field.JsonName, $"'{key}' in {Header}, and '{given}' in the body");
        }
        var id = given.Length > 0 ? given : key.Length > 0 ? key : Guid.CreateVersion7().ToString();
        field.Accessor.SetValue(request, id);
        if (FitsHeader(id))
        {
            context.Response.Headers[Header] = id;
            context.Features.Get<RequestNotes>()!.IdempotencyKey = id; // a refusal starts with clean headers
        }
        return request;
    }

    /// <summary>False for what the coordinator will refuse: its ids are letters and digits of ASCII.</summary>
    private static bool FitsHeader(string id) => id.All(letter => letter is > ' ' and <= '~');
}
