namespace Coordinator.Orchestrator.Json;

using Coordinator.Error.V1;

/// <summary>A request that is refused here, before the coordinator is asked.</summary>
internal sealed class RequestRefusedException(IReadOnlyList<FieldFault> faults) : Exception(Text(faults))
{
    /// <summary>A refusal without a cause.</summary>
    public RequestRefusedException()
        : this("the request is refused")
    {
    }

    /// <summary>A refusal of the body as a whole.</summary>
    public RequestRefusedException(string message)
        : this([new FieldFault(ErrorReason.FieldInvalid, "", message)])
    {
    }

    /// <summary>A refusal of the body as a whole; the cause is not told.</summary>
    public RequestRefusedException(string message, Exception innerException)
        : this(message) => _ = innerException;

    /// <summary>Every fault, the first first; at least one.</summary>
    public IReadOnlyList<FieldFault> Faults { get; } = faults;

    /// <summary>HTTP status.</summary>
    public int StatusCode { get; init; } = StatusCodes.Status400BadRequest;

    /// <summary>One value that does not fit.</summary>
    public static RequestRefusedException Invalid(string path, string description) =>
        new([new FieldFault(ErrorReason.FieldInvalid, path, description)]);

    /// <summary>Text that JSON can write and nobody can read: half a character, as <c>\ud800</c>.</summary>
    public static RequestRefusedException NotUnicode(string path) => Invalid(path, "a text in it is not Unicode: it has half of a surrogate pair");

    /// <summary>Two values for one field.</summary>
    public static RequestRefusedException Conflict(string path, string description) =>
        new([new FieldFault(ErrorReason.FieldConflict, path, description)]);

    /// <summary>413 if it is more than is taken.</summary>
    public static void ThrowIfTooLarge(bool isTooLarge, string description)
    {
        if (isTooLarge)
        {
            throw new RequestRefusedException([new FieldFault(ErrorReason.PayloadTooLarge, "", description)])
            {
                StatusCode = StatusCodes.Status413PayloadTooLarge,
            };
        }
    }

    public static void ThrowIfAny(IReadOnlyList<FieldFault> faults)
    {
        if (faults.Count > 0)
        {
            throw new RequestRefusedException(faults);
        }
    }

    private static string Text(IReadOnlyList<FieldFault> faults)
    {
        var first = faults[0];
        var place = first.Path.Length > 0 ? $"{first.Path}: " : "";
        var advice = first.Suggestion.Length > 0 ? $"; did you mean '{first.Suggestion}'?" : "";
        var rest = faults.Count > 1 ? $" (and {faults.Count - 1} more)" : "";
        return $"{place}{first.Description}{advice}{rest}";
    }
}
