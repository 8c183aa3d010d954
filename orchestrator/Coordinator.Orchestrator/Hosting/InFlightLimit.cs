namespace Coordinator.Orchestrator.Hosting;

using System.Threading.RateLimiting;
using Coordinator.Orchestrator.Responses;
using Microsoft.Extensions.Options;

/// <summary>As many requests at once as the coordinator is to be asked; one more is refused at once, to come again.</summary>
internal static class InFlightLimit
{
    /// <summary>Counts requests of <c>api/</c>; event streams are not among them, as their controller says.</summary>
    public static void AddInFlightLimit(this IServiceCollection services) => services.AddRateLimiter(limiter =>
    {
        limiter.GlobalLimiter = PartitionedRateLimiter.Create<HttpContext, bool>(Partition);
        limiter.OnRejected = (context, _) => new ValueTask(RefusalWriter.WriteAsync(context.HttpContext, Refusals.Overloaded()));
    });

    private static RateLimitPartition<bool> Partition(HttpContext context) => context.Request.Path.StartsWithSegments("/api")
        ? RateLimitPartition.GetConcurrencyLimiter(true, _ => new ConcurrencyLimiterOptions { PermitLimit = Most(context) })
        : RateLimitPartition.GetNoLimiter(false);

    private static int Most(HttpContext context) =>
        context.RequestServices.GetRequiredService<IOptions<OrchestratorOptions>>().Value.MaxInFlight;
}
