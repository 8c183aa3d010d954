namespace Coordinator.Orchestrator.Responses;

using Coordinator.Client;
using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>A coordinator whose contract is of another major version than this program's: a fault of whoever put them together.</summary>
internal static class ContractMismatch
{
    private static readonly string Operation = ProcessingService.Descriptor.FindMethodByName("GetProcessingContract").Name;

    /// <summary>True if the client found that out; its text has both versions.</summary>
    public static bool Is(CoordinatorException error) => error is { StatusCode: StatusCode.FailedPrecondition } && error.Operation == Operation;
}
