namespace Coordinator.Client;

using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

/// <summary>A connection to one coordinator, for all threads; make one and keep it.</summary>
public sealed class CoordinatorClient : IAsyncDisposable, IDisposable
{
    private readonly GrpcChannel _channel;
    private readonly ContractCheck _contract;
    private readonly Health.HealthClient _health;
    private readonly CoordinatorClientOptions _options;

    private CoordinatorClient(CoordinatorClientOptions options)
    {
        _options = options;
        var logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger<CoordinatorClient>();
        _channel = ChannelFactory.Open(options, logger);
        var invoker = _channel.CreateCallInvoker();
        _contract = new ContractCheck(invoker, options, logger);
        _health = new Health.HealthClient(invoker);
        Invoker = invoker.Intercept(new CallInterceptor(options, _contract));
        Processing = new ProcessingClient(Invoker, new WatchLoop(options, _contract, logger), _contract, options.MaxMessageSize);
        Models = new ModelClient(Invoker);
        Inference = new InferenceClient(Invoker);
        Postprocessing = new PostprocessingClient(Invoker);
    }

    /// <summary>Workflows, sessions and batches.</summary>
    public ProcessingClient Processing { get; }

    /// <summary>Models of the repository.</summary>
    public ModelClient Models { get; }

    /// <summary>Runs of models.</summary>
    public InferenceClient Inference { get; }

    /// <summary>Operations on images, tensors and texts.</summary>
    public PostprocessingClient Postprocessing { get; }

    /// <summary>
    /// For stubs that were generated elsewhere, such as those of a workflow's typed service: their calls have the same
    /// deadline, token and exceptions. Only RPCs of the contract are tried again, and are given a <c>request_id</c>; that
    /// of a typed service stands in its <c>workflow_call</c>, for the caller to fill.
    /// </summary>
    public CallInvoker Invoker { get; }

    /// <summary>Makes a client; it connects at its first call.</summary>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">The options have faults; all are said.</exception>
    public static CoordinatorClient Create(CoordinatorClientOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        OptionsCheck.Demand(options);
        return new CoordinatorClient(options);
    }

    /// <summary>Makes a client of the coordinator at an address; it connects at its first call.</summary>
    public static CoordinatorClient Create(string address) => Create(new CoordinatorClientOptions { Address = address });

    /// <summary>Asks the coordinator whether it serves; false also if it cannot be reached.</summary>
    /// <param name="service">Full name of a service; empty for the whole server.</param>
    /// <param name="timeout">Longest wait; null for 1 second.</param>
    /// <param name="cancellationToken">Gives up the wait.</param>
    public async Task<bool> CheckHealthAsync(
        string service = "", TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        var call = Calls.Options(timeout ?? TimeSpan.FromSeconds(1), cancellationToken);
        try
        {
            var reply = await _health.CheckAsync(new HealthCheckRequest { Service = service }, call).ConfigureAwait(false);
            return reply.Status == HealthCheckResponse.Types.ServingStatus.Serving;
        }
        catch (RpcException error)
        {
            return cancellationToken.IsCancellationRequested
                ? throw ErrorReader.Read(error, nameof(_health.Check), cancellationToken)
                : false;
        }
    }

    /// <summary>Waits until the coordinator serves, for as long as the token lets it.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled first.</exception>
    public async Task WaitForReadyAsync(CancellationToken cancellationToken = default)
    {
        while (!await CheckHealthAsync(cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            await Task.Delay(TimeSpan.FromSeconds(0.1), _options.TimeProvider, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Ends all calls and closes the connections.</summary>
    public void Dispose()
    {
        _channel.Dispose();
        _contract.Dispose();
    }

    /// <summary>Ends all calls and closes the connections.</summary>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }
}
