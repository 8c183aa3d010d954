namespace Coordinator.Client;

using Grpc.Core;
using Grpc.Core.Interceptors;

/// <summary>What all calls of a client have: a checked contract, a request_id, a deadline, our exceptions.</summary>
/// <remarks>Streams are checked by who opens them: they begin before anything can be awaited here.</remarks>
internal sealed class CallInterceptor(CoordinatorClientOptions options, ContractCheck contract) : Interceptor
{
    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context,
        AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        ArgumentNullException.ThrowIfNull(request);
        var filled = RequestIds.Filled(request);
        var bounded = Bounded(context, options.Timeout);
        return contract.IsDone && MessageSize.Fits(filled, options)
            ? Translated(continuation(filled, bounded), bounded)
            : new LateCall<TResponse>(StartAsync).AsCall();

        async Task<AsyncUnaryCall<TResponse>> StartAsync()
        {
            MessageSize.Check(filled, options, context.Method.Name);
            await contract.EnsureAsync(bounded.Options.Deadline, bounded.Options.CancellationToken).ConfigureAwait(false);
            return Translated(continuation(filled, bounded), bounded);
        }
    }

    public override TResponse BlockingUnaryCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context,
        BlockingUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        ArgumentNullException.ThrowIfNull(request);
        var bounded = Bounded(context, options.Timeout);
        contract.EnsureAsync(bounded.Options.Deadline, bounded.Options.CancellationToken).AsTask().GetAwaiter().GetResult();
        try
        {
            return continuation(RequestIds.Filled(request), bounded);
        }
        catch (RpcException error)
        {
            throw ErrorReader.Read(error, context.Method.Name, bounded.Options.CancellationToken);
        }
    }

    public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        TRequest request, ClientInterceptorContext<TRequest, TResponse> context,
        AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        ArgumentNullException.ThrowIfNull(request);
        var bounded = Bounded(context, options.StreamTimeout);
        var call = continuation(RequestIds.Filled(request), bounded);
        var reader = new StreamReader<TResponse>(call.ResponseStream, context.Method.Name, bounded.Options.CancellationToken);
        return new AsyncServerStreamingCall<TResponse>(
            reader, call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    public override AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(
        ClientInterceptorContext<TRequest, TResponse> context,
        AsyncClientStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        var bounded = Bounded(context, options.StreamTimeout);
        var call = continuation(bounded);
        var response = TranslatedAsync(call.ResponseAsync, context.Method.Name, bounded.Options.CancellationToken).Observed();
        return new AsyncClientStreamingCall<TRequest, TResponse>(
            call.RequestStream, response, call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    private static AsyncUnaryCall<TResponse> Translated<TRequest, TResponse>(
        AsyncUnaryCall<TResponse> call, ClientInterceptorContext<TRequest, TResponse> context)
        where TRequest : class
        where TResponse : class =>
        new(
            TranslatedAsync(call.ResponseAsync, context.Method.Name, context.Options.CancellationToken),
            call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);

    private static async Task<TResponse> TranslatedAsync<TResponse>(
        Task<TResponse> response, string operation, CancellationToken cancellationToken)
    {
        try
        {
            return await response.ConfigureAwait(false);
        }
        catch (RpcException error)
        {
            throw ErrorReader.Read(error, operation, cancellationToken);
        }
    }

    private static ClientInterceptorContext<TRequest, TResponse> Bounded<TRequest, TResponse>(
        ClientInterceptorContext<TRequest, TResponse> context, TimeSpan longest)
        where TRequest : class
        where TResponse : class =>
        context.Options.Deadline is null
            ? new(context.Method, context.Host, context.Options.WithDeadline(Calls.DeadlineIn(longest)))
            : context;
}
