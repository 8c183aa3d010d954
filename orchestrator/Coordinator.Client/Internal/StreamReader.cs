namespace Coordinator.Client;

using Grpc.Core;

/// <summary>A stream of replies whose errors are ours.</summary>
internal sealed class StreamReader<T>(IAsyncStreamReader<T> inner, string operation, CancellationToken callToken)
    : IAsyncStreamReader<T>
{
    public T Current => inner.Current;

    public async Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        try
        {
            return await inner.MoveNext(cancellationToken).ConfigureAwait(false);
        }
        catch (RpcException error)
        {
            throw ErrorReader.Read(error, operation, cancellationToken.IsCancellationRequested ? cancellationToken : callToken);
        }
    }
}
