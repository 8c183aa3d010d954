namespace Coordinator.Client;

using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>Workflows, sessions and batches.</summary>
/// <remarks>
/// A method with the name of an RPC and <c>Async</c> is one call of it. Its timeout bounds the wait, with all tries, and is
/// that of the options if it is null; its token gives up the wait, never the work. An empty <c>request_id</c> is filled in,
/// so that the call can be tried again. All raise <see cref="CoordinatorException"/>, and
/// <see cref="OperationCanceledException"/> for the caller's own token.
/// </remarks>
public partial class ProcessingClient
{
    private readonly ProcessingService.ProcessingServiceClient _stub;
    private readonly WatchLoop _watches;
    private readonly ContractCheck _contract;
    private readonly int _chunkBytes;

    internal ProcessingClient(CallInvoker invoker, WatchLoop watches, ContractCheck contract, int maxMessageSize)
    {
        _stub = new ProcessingService.ProcessingServiceClient(invoker);
        _watches = watches;
        _contract = contract;
        _chunkBytes = Math.Min(LargestChunk, maxMessageSize - RestOfChunk);
    }

    /// <summary>For substitutes in tests; the methods of this class then have to be overridden.</summary>
    protected ProcessingClient()
    {
        _stub = null!;
        _watches = null!;
        _contract = null!;
    }
}
