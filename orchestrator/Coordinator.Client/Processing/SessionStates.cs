namespace Coordinator.Client;

using Coordinator.Processing.V1;

/// <summary>What the states of a session mean.</summary>
public static class SessionStates
{
    /// <summary>True if the attempt has ended; only a retry begins another.</summary>
    public static bool IsTerminal(this SessionState state) => state is >= SessionState.Succeeded and <= SessionState.TimedOut;
}
