namespace Coordinator.Orchestrator.Responses;

using Coordinator.Orchestrator.Security;
using Coordinator.Orchestrator.Telemetry;

/// <summary>Exceptions as refusals; what is a fault of the server is logged, since its caller is told a trace id only.</summary>
internal sealed class ErrorTranslator(TokenForwarding forwarding, ILogger<ErrorTranslator> logger)
{
    /// <summary>What to answer.</summary>
    /// <param name="path">Of the request.</param>
    /// <param name="error">What was thrown.</param>
    public Refusal Translate(PathString path, Exception error)
    {
        var refusal = Refusals.Of(error, forwarding.IsCallers);
        if (refusal.StatusCode == StatusCodes.Status500InternalServerError)
        {
            logger.Fault(path, error);
        }
        return refusal;
    }
}
