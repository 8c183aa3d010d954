namespace Coordinator.Orchestrator.Health;

using Coordinator.Client;
using Coordinator.Orchestrator.Hosting;
using Coordinator.Orchestrator.Telemetry;
using Grpc.Core;
using Microsoft.Extensions.Diagnostics.HealthChecks;

/// <summary>Ready is what the coordinator's own health says, if its contract is ours and as long as this process is not told to stop.</summary>
internal sealed class CoordinatorHealthCheck(CoordinatorClient client, Draining draining, ILogger<CoordinatorHealthCheck> logger) : IHealthCheck
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (!draining.IsReady)
        {
            return HealthCheckResult.Unhealthy("draining");
        }
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        try
        {
            return await client.CheckHealthAsync(cancellationToken: limit.Token)
                ? await CheckContractAsync(limit.Token)
                : HealthCheckResult.Unhealthy("the coordinator is not serving");
        }
        catch (Exception error) when (error is CoordinatorException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            logger.NotReady(error.Message);
            return HealthCheckResult.Unhealthy("the coordinator does not answer");
        }
    }

    /// <summary>A coordinator that serves another contract answers nothing that is asked of it.</summary>
    private async Task<HealthCheckResult> CheckContractAsync(CancellationToken cancellationToken)
    {
        try
        {
            await client.Processing.GetProcessingContractAsync(new(), cancellationToken: cancellationToken);
            return HealthCheckResult.Healthy("the coordinator is serving");
        }
        catch (CoordinatorException refused) when (refused.StatusCode is StatusCode.Unauthenticated or StatusCode.PermissionDenied)
        {
            return HealthCheckResult.Healthy("the coordinator is serving, to callers with a token");
        }
    }
}
