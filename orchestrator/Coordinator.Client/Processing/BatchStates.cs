namespace Coordinator.Client;

using Coordinator.Processing.V1;

/// <summary>What the states of a batch mean.</summary>
public static class BatchStates
{
    /// <summary>True if no cell runs or will, unless failed ones are retried.</summary>
    public static bool IsTerminal(this BatchState state) => state is >= BatchState.Succeeded and <= BatchState.Cancelled;
}
