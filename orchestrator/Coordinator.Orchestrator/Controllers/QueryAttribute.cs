namespace Coordinator.Orchestrator.Controllers;

/// <summary>Says which message the query of a route spells, for the OpenAPI document.</summary>
/// <param name="message">The type of the message.</param>
/// <param name="routeField">JSON name of the field that the route has already.</param>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class QueryAttribute(Type message, string routeField = "") : Attribute
{
    /// <summary>The type of the message.</summary>
    public Type Message { get; } = message;

    /// <summary>JSON name of the field that the route has already.</summary>
    public string RouteField { get; } = routeField;
}
