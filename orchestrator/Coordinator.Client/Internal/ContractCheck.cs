namespace Coordinator.Client;

using Coordinator.Processing.V1;
using Grpc.Core;
using Microsoft.Extensions.Logging;

/// <summary>Finds out, once, whether the coordinator has the contract that this client was built with.</summary>
internal sealed class ContractCheck(CallInvoker invoker, CoordinatorClientOptions options, ILogger logger) : IDisposable
{
    /// <summary>Major version of the contract that this client was built with.</summary>
    public const int Major = 1;

    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(1);

    private readonly ProcessingService.ProcessingServiceClient _stub = new(invoker);
    private readonly SemaphoreSlim _turn = new(1, 1);
    private volatile bool _isDone = !options.CheckContract;

    /// <summary>Whether there is nothing left to find out.</summary>
    public bool IsDone => _isDone;

    /// <summary>Asks the coordinator if no call has done so with success.</summary>
    /// <exception cref="CoordinatorException">As the RPC; FAILED_PRECONDITION if the major versions differ.</exception>
    public async ValueTask EnsureAsync(DateTime? deadline, CancellationToken cancellationToken)
    {
        if (_isDone)
        {
            return;
        }
        var end = deadline ?? DateTime.UtcNow + options.Timeout;
        await TakeTurnAsync(end, cancellationToken).ConfigureAwait(false);
        try
        {
            if (!_isDone)
            {
                Judge(await AskAsync(end, cancellationToken).ConfigureAwait(false));
                _isDone = true;
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    public void Dispose() => _turn.Dispose();

    // Each call has a deadline of its own, also while it waits for what another one finds out.
    private async Task TakeTurnAsync(DateTime deadline, CancellationToken cancellationToken)
    {
        var left = deadline - DateTime.UtcNow;
        var bounded = left < TimeSpan.Zero ? TimeSpan.Zero : left < LongestWait ? left : LongestWait;
        if (!await _turn.WaitAsync(bounded, cancellationToken).ConfigureAwait(false))
        {
            throw new CoordinatorException(StatusCode.DeadlineExceeded, $"the coordinator at {options.Address} did not tell its contract in time; nothing was sent")
            {
                Operation = nameof(_stub.GetProcessingContract),
            };
        }
    }

    private async Task<GetProcessingContractResponse> AskAsync(DateTime deadline, CancellationToken cancellationToken)
    {
        var call = new CallOptions(deadline: deadline, cancellationToken: cancellationToken);
        try
        {
            return await _stub.GetProcessingContractAsync(new(), call).ConfigureAwait(false);
        }
        catch (RpcException error)
        {
            throw ErrorReader.Read(error, nameof(_stub.GetProcessingContract), cancellationToken);
        }
    }

    private void Judge(GetProcessingContractResponse contract)
    {
        logger.ContractChecked(contract.ContractVersion, contract.ServerVersion);
        if (contract.ContractVersion.Split('.')[0] != $"{Major}")
        {
            var text = $"the coordinator at {options.Address} has contract version {contract.ContractVersion}, this client"
                + $" needs {Major}.x; use the client package of that major version";
            throw new CoordinatorException(StatusCode.FailedPrecondition, text)
            {
                Operation = nameof(_stub.GetProcessingContract),
            };
        }
    }
}
