namespace Coordinator.Client;

/// <summary>What an error is about.</summary>
/// <param name="Type">Its kind, such as <c>session</c>.</param>
/// <param name="Name">Its id.</param>
/// <param name="Description">What is the matter with it; may be empty.</param>
public sealed record ErrorResource(string Type, string Name, string Description);
