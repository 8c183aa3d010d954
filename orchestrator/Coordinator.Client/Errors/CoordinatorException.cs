namespace Coordinator.Client;

using Coordinator.Error.V1;
using Grpc.Core;

/// <summary>A call that failed: what the coordinator answered, or that it did not.</summary>
/// <remarks>Branch on <see cref="Reason"/>. The message is for people: what, where, and the next thing to do.</remarks>
public sealed class CoordinatorException : Exception
{
    /// <summary>An error of unknown cause.</summary>
    public CoordinatorException()
        : this(StatusCode.Unknown, "the call failed")
    {
    }

    /// <summary>An error with a message.</summary>
    public CoordinatorException(string message)
        : this(StatusCode.Unknown, message)
    {
    }

    /// <summary>An error with a message and a cause.</summary>
    public CoordinatorException(string message, Exception innerException)
        : this(StatusCode.Unknown, message, innerException)
    {
    }

    /// <summary>An error with a status, as substitutes of the clients raise it.</summary>
    public CoordinatorException(StatusCode statusCode, string message, Exception? innerException = null)
        : base(message, innerException) => StatusCode = statusCode;

    /// <summary>The gRPC status.</summary>
    public StatusCode StatusCode { get; }

    /// <summary>Why; Unspecified if nobody said so, or with a reason that this build does not know.</summary>
    public ErrorReason Reason { get; init; }

    /// <summary>The reason's name, such as <c>SESSION_NOT_FOUND</c>, also one that is newer than this build; may be empty.</summary>
    public string ReasonName { get; init; } = "";

    /// <summary>Name of the RPC; empty if there was none.</summary>
    public string Operation { get; init; } = "";

    /// <summary>Facts by name, such as <c>state</c> or <c>nearest</c>; docs/reference/errors.md has them by reason.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>The fields that are wrong.</summary>
    public IReadOnlyList<ErrorField> FieldViolations { get; init; } = [];

    /// <summary>What stands against it.</summary>
    public IReadOnlyList<ErrorPrecondition> Preconditions { get; init; } = [];

    /// <summary>What it is about; null if nobody said so.</summary>
    public ErrorResource? Resource { get; init; }

    /// <summary>How long to wait before another try; null if nobody said so.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>True if the same call may succeed later.</summary>
    public bool IsTransient => RetryAfter is not null || StatusCode is StatusCode.Unavailable or StatusCode.Aborted;

    /// <summary>
    /// True if the call may have done its work all the same, since no answer came from the coordinator itself. The same
    /// request with the same <c>request_id</c> finds out and does it at most once.
    /// </summary>
    public bool MayHaveHappened => ReasonName.Length == 0
        ? StatusCode is StatusCode.DeadlineExceeded or StatusCode.Cancelled or StatusCode.Unavailable or StatusCode.Unknown
            or StatusCode.Internal
        : StatusCode is StatusCode.DeadlineExceeded or StatusCode.Cancelled;
}
