namespace Coordinator.Orchestrator.Json;

using Coordinator.Error.V1;

/// <summary>One fault of a request.</summary>
/// <param name="Reason">Why, in the words of the contract.</param>
/// <param name="Path">Where, in JSON names; empty for the body as a whole.</param>
/// <param name="Description">What is wrong.</param>
/// <param name="Suggestion">The nearest right name or value; may be empty.</param>
internal sealed record FieldFault(ErrorReason Reason, string Path, string Description, string Suggestion = "");

/// <summary>A legacy spelling that was accepted.</summary>
/// <param name="Field">Full name of the field in the contract.</param>
/// <param name="Path">Where it stood, as it was spelled.</param>
/// <param name="JsonName">What to write.</param>
internal sealed record LegacySpelling(string Field, string Path, string JsonName)
{
    /// <summary>For the reply.</summary>
    public string Warning => $"{Path}: a legacy spelling, write {JsonName}";
}
