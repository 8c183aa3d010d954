namespace Coordinator.Orchestrator.Controllers;

using Coordinator.Orchestrator.Json;
using Google.Protobuf;

/// <summary>Puts the id of a route into the first field of its request, which is the same id.</summary>
internal static class RouteBinding
{
    /// <summary>The same request with the id.</summary>
    /// <exception cref="RequestRefusedException">FIELD_CONFLICT if the body names another one.</exception>
    public static T Bind<T>(T request, string id)
        where T : IMessage
    {
        var field = request.Descriptor.FindFieldByNumber(1);
        if (field.Accessor.GetValue(request) is string { Length: > 0 } given && given != id)
        {
            throw RequestRefusedException.Conflict(field.JsonName, $"'{id}' in the path, and '{given}' in the request");
        }
        field.Accessor.SetValue(request, id);
        return request;
    }
}
