namespace Coordinator.Client;

using Grpc.Core;

/// <summary>A call that something has to be found out for before it starts.</summary>
internal sealed class LateCall<TResponse>
{
    private readonly Task<AsyncUnaryCall<TResponse>> _start;
    private volatile bool _isDisposed;

    public LateCall(Func<Task<AsyncUnaryCall<TResponse>>> start) => _start = start();

    public AsyncUnaryCall<TResponse> AsCall() =>
        new(ResponseAsync(), HeadersAsync().Observed(), () => Started().GetStatus(), () => Started().GetTrailers(), Dispose);

    private async Task<TResponse> ResponseAsync()
    {
        using var call = await _start.ConfigureAwait(false);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return await call.ResponseAsync.ConfigureAwait(false);
    }

    private async Task<Metadata> HeadersAsync() =>
        await (await _start.ConfigureAwait(false)).ResponseHeadersAsync.ConfigureAwait(false);

    private AsyncUnaryCall<TResponse> Started() =>
        _start.IsCompletedSuccessfully ? _start.Result : throw new InvalidOperationException("the call has not ended yet");

    private void Dispose()
    {
        _isDisposed = true;
        if (_start.IsCompletedSuccessfully)
        {
            _start.Result.Dispose();
        }
    }
}
