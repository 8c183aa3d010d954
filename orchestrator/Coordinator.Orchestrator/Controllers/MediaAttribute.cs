namespace Coordinator.Orchestrator.Controllers;

/// <summary>What a route takes or gives that is not JSON, for the OpenAPI document.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class MediaAttribute : Attribute
{
    /// <summary>Media type of the body of the request; empty if it is JSON, or none.</summary>
    public string Request { get; init; } = "";

    /// <summary>Media type of a body that is taken beside JSON; empty if there is none.</summary>
    public string OtherRequest { get; init; } = "";

    /// <summary>Media type of the reply; empty if it is JSON.</summary>
    public string Reply { get; init; } = "";
}
