namespace Coordinator.Client;

using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>The watch of a batch.</summary>
internal sealed class BatchWatch(ProcessingService.ProcessingServiceClient stub, string batchId, long? afterSequence)
    : Watch<WatchProcessingBatchResponse>(afterSequence)
{
    public override AsyncServerStreamingCall<WatchProcessingBatchResponse> Open(CallOptions options)
    {
        var request = new WatchProcessingBatchRequest { BatchId = batchId };
        if (Position is { } position)
        {
            request.AfterSequence = position;
        }
        return stub.WatchProcessingBatch(request, options);
    }

    public override IReadOnlyList<WatchProcessingBatchResponse> News(WatchProcessingBatchResponse update) =>
        update.UpdateCase switch
        {
            WatchProcessingBatchResponse.UpdateOneofCase.Event => IsNew(update.Event) ? [update] : [],
            WatchProcessingBatchResponse.UpdateOneofCase.Snapshot => IsNew(update.Snapshot) ? [update] : [],
            WatchProcessingBatchResponse.UpdateOneofCase.BatchProgress => [update],
            _ => [],
        };

    public override CoordinatorException Cut() =>
        new(StatusCode.Unavailable, $"the watch of batch '{batchId}' ended before the batch did");

    private bool IsNew(BatchEvent one) => Event(one.Sequence, one.Kind == BatchEventKind.BatchEnded);

    private bool IsNew(Batch snapshot) => Snapshot(snapshot.LastSequence, BatchStates.IsTerminal(snapshot.State));
}
