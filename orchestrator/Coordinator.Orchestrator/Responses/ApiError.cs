namespace Coordinator.Orchestrator.Responses;

/// <summary>Why a request was refused, in a form that a program can act on.</summary>
internal sealed record ApiError
{
    /// <summary>Name of the gRPC status, such as <c>NOT_FOUND</c>.</summary>
    public required string Code { get; init; }

    /// <summary>Value of the contract's ErrorReason without its prefix, such as <c>WORKFLOW_NOT_FOUND</c>.</summary>
    public string? Reason { get; init; }

    /// <summary>Every field that is wrong, by its path in JSON names.</summary>
    public IReadOnlyList<ApiField>? Fields { get; init; }

    /// <summary>What is missing, or taken.</summary>
    public ApiResource? Resource { get; init; }

    /// <summary>What stood in the way of a FAILED_PRECONDITION.</summary>
    public IReadOnlyList<ApiPrecondition>? Preconditions { get; init; }

    /// <summary>Facts of the reason by their key, such as the state and the actions that would be legal.</summary>
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>Seconds to wait before the same request is worth another try.</summary>
    public double? RetryAfterSeconds { get; init; }

    /// <summary>Where the reason is described.</summary>
    public string? Help { get; init; }
}

/// <summary>One field that is wrong.</summary>
/// <param name="Field">Path in JSON names, such as <c>steps[2].maxParallel</c>.</param>
/// <param name="Description">What is wrong.</param>
/// <param name="Suggestion">The nearest right name or value.</param>
internal sealed record ApiField(string Field, string Description, string? Suggestion = null);

/// <summary>A thing with a name.</summary>
/// <param name="Type">Kind, such as <c>workflow</c>.</param>
/// <param name="Name">Its name.</param>
internal sealed record ApiResource(string Type, string Name);

/// <summary>One condition that does not hold.</summary>
/// <param name="Type">Kind.</param>
/// <param name="Subject">Of what.</param>
/// <param name="Description">What would have to be.</param>
internal sealed record ApiPrecondition(string Type, string Subject, string Description);
