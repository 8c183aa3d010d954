namespace Coordinator.Orchestrator.Services;

using System.Diagnostics;
using Coordinator.Client;
using Coordinator.Orchestrator.Json;
using Coordinator.Orchestrator.Responses;
using Coordinator.Orchestrator.Telemetry;
using Grpc.Core;

/// <summary>The span, the histogram and the log line of every operation.</summary>
internal sealed class OperationMonitor(OrchestratorTelemetry telemetry, TimeProvider clock, ILogger<OperationMonitor> logger)
{
    private const string Unforeseen = "_OTHER";

    /// <summary>Does the operation; rethrows, and translates nothing.</summary>
    /// <param name="operationName">Of a fixed set, such as <c>get_processing_workflow</c>.</param>
    /// <param name="resourceId">Of what; stands in the span and the log, never in a metric.</param>
    /// <param name="operation">What to do.</param>
    public async Task<ApiResponse<T>> ExecuteWithMonitoring<T>(string operationName, string resourceId, Func<Task<ApiResponse<T>>> operation)
        where T : class
    {
        using var span = telemetry.Start(operationName, resourceId);
        var started = clock.GetTimestamp();
        try
        {
            var response = await operation();
            Ended(operationName, resourceId, response.Error?.Code ?? StatusMap.Name(StatusCode.OK), started);
            return response;
        }
        catch (Exception error)
        {
            Failed(span, operationName, resourceId, error, started);
            throw;
        }
    }

    private void Ended(string operation, string resource, string outcome, long started)
    {
        var elapsed = clock.GetElapsedTime(started);
        telemetry.Ended(operation, outcome, elapsed);
        logger.OperationEnded(operation, resource, outcome, elapsed.TotalMilliseconds);
    }

    private void Failed(Activity? span, string operation, string resource, Exception error, long started)
    {
        var outcome = OutcomeOf(error);
        span?.SetStatus(ActivityStatusCode.Error).AddException(error).SetTag("error.type", outcome);
        telemetry.Ended(operation, outcome, clock.GetElapsedTime(started));
        var reason = (error as CoordinatorException)?.ReasonName ?? "";
        if (IsCallers(error))
        {
            logger.OperationRefused(operation, resource, outcome, reason, error.Message);
        }
        else
        {
            logger.OperationFailed(operation, resource, outcome, reason, error.Message);
        }
    }

    private static string OutcomeOf(Exception error) => error switch
    {
        CoordinatorException refused => StatusMap.Name(refused.StatusCode),
        OperationCanceledException => StatusMap.Name(StatusCode.Cancelled),
        RequestRefusedException => StatusMap.Name(StatusCode.InvalidArgument),
        _ => Unforeseen,
    };

    private static bool IsCallers(Exception error) =>
        error is OperationCanceledException or RequestRefusedException
        || (error is CoordinatorException refused && !ContractMismatch.Is(refused) && StatusMap.ToHttp(refused.StatusCode) < StatusCodes.Status500InternalServerError);
}
