namespace Coordinator.Client;

/// <summary>A state in which the coordinator does not do what was asked.</summary>
/// <param name="Type">The reason's name.</param>
/// <param name="Subject">What is in that state.</param>
/// <param name="Description">The state, and what would be possible.</param>
public sealed record ErrorPrecondition(string Type, string Subject, string Description);
