namespace Coordinator.Client.Tests;

using Coordinator.Processing.V1;
using Grpc.Core;

/// <summary>A read whose first calls are never answered; the others tell which they are.</summary>
public sealed class SlowStart(int silent)
{
    private readonly TaskCompletionSource _cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _count;
    private int _cancelledCount;

    /// <summary>How many calls came.</summary>
    public int Count => _count;

    /// <summary>Done when every call without an answer was cancelled by its caller.</summary>
    public Task AllCancelled => _cancelled.Task;

    public async Task<GetProcessingSessionResponse> AnswerAsync(GetProcessingSessionRequest request, ServerCallContext context)
    {
        var number = Interlocked.Increment(ref _count);
        if (number <= silent)
        {
            await SilenceAsync(context.CancellationToken);
        }
        return new GetProcessingSessionResponse { Session = new Session { SessionId = $"call {number}" } };
    }

    private async Task SilenceAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }
        finally
        {
            if (Interlocked.Increment(ref _cancelledCount) == silent)
            {
                _cancelled.SetResult();
            }
        }
    }
}
