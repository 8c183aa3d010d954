namespace Coordinator.Orchestrator.Responses;

using Coordinator.Error.V1;

/// <summary>Reasons as they travel: without the prefix of the enum.</summary>
internal static class ReasonNames
{
    private const string Prefix = "ERROR_REASON_";

    /// <summary>`WORKFLOW_NOT_FOUND` of <see cref="ErrorReason.WorkflowNotFound"/>.</summary>
    public static string Of(ErrorReason reason) =>
        ErrorReflection.Descriptor.EnumTypes[0].FindValueByNumber((int)reason) is { } value ? value.Name[Prefix.Length..] : "";
}
