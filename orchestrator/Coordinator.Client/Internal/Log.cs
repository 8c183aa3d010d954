namespace Coordinator.Client;

using Grpc.Core;
using Microsoft.Extensions.Logging;

/// <summary>What the client logs, with its event ids.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "a watch broke with {Status}; try {Number} to come back in {Seconds} s")]
    public static partial void Reconnecting(this ILogger logger, int number, double seconds, StatusCode status);

    [LoggerMessage(2, LogLevel.Information, "{Operation} is tried again, after {Attempts} tries")]
    public static partial void Retrying(this ILogger logger, string operation, string attempts);

    [LoggerMessage(3, LogLevel.Debug, "the coordinator has contract {ContractVersion}, server {ServerVersion}")]
    public static partial void ContractChecked(this ILogger logger, string contractVersion, string serverVersion);
}
