namespace Coordinator.Orchestrator.Telemetry;

/// <summary>Every event that the orchestrator logs, by its id.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Debug, "{Operation} of {Resource} ended {Outcome} after {Milliseconds} ms")]
    public static partial void OperationEnded(this ILogger logger, string operation, string resource, string outcome, double milliseconds);

    [LoggerMessage(2, LogLevel.Information, "{Operation} of {Resource} was refused: {Outcome} {Reason}: {Text}")]
    public static partial void OperationRefused(this ILogger logger, string operation, string resource, string outcome, string reason, string text);

    [LoggerMessage(3, LogLevel.Warning, "{Operation} of {Resource} failed: {Outcome} {Reason}: {Text}")]
    public static partial void OperationFailed(this ILogger logger, string operation, string resource, string outcome, string reason, string text);

    [LoggerMessage(4, LogLevel.Warning, "{Path} is a legacy spelling of {Field}; callers should rewrite it")]
    public static partial void LegacySpelling(this ILogger logger, string path, string field);

    [LoggerMessage(5, LogLevel.Error, "a fault while {Path} was answered")]
    public static partial void Fault(this ILogger logger, string path, Exception error);

    [LoggerMessage(6, LogLevel.Information, "draining: not ready any more, streams end in {Seconds} s")]
    public static partial void Draining(this ILogger logger, double seconds);

    [LoggerMessage(7, LogLevel.Warning, "the coordinator is not ready: {Text}")]
    public static partial void NotReady(this ILogger logger, string text);
}
