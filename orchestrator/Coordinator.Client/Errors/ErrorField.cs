namespace Coordinator.Client;

/// <summary>A field of the request that the coordinator did not take.</summary>
/// <param name="Field">Its path in the names of the contract, such as <c>steps[2].max_parallel</c>.</param>
/// <param name="Description">What is wrong with it, and what is right.</param>
public sealed record ErrorField(string Field, string Description)
{
    /// <summary>Its path in C# names, such as <c>Steps[2].MaxParallel</c>.</summary>
    public string PropertyPath => PropertyPaths.Of(Field);
}
