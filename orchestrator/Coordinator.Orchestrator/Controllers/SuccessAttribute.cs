namespace Coordinator.Orchestrator.Controllers;

/// <summary>The statuses with which a route succeeds, for the OpenAPI document; 200 where it is not there.</summary>
/// <param name="statuses">Of HTTP.</param>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SuccessAttribute(params int[] statuses) : Attribute
{
    /// <summary>Of HTTP.</summary>
    public IReadOnlyList<int> Statuses { get; } = statuses;
}
